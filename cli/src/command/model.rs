//! `tessera model inspect`: a model folder in, what it says about itself out.

mod kept;
mod push;

use std::{fmt, path::Path};

use serde::Serialize;
use tessera_proto::{ModelFacts, facts::UpscalerFacts};
use tessera_worker::model::ModelFolder;

use crate::{
    args::InspectArgs,
    exit::Failure,
    output::{Output, Style},
};

pub(super) use kept::{list, remove};
pub(super) use push::push;

/// A model folder, for people and scripts.
#[derive(Debug, Serialize)]
struct Inspected<'a> {
    folder: &'a Path,
    /// Content hash, 64 hexadecimal digits.
    hash: String,
    facts: Facts<'a>,
    graphs: Vec<Graph<'a>>,
}

/// The facts without the hash, whose bytes are no sight.
#[derive(Debug, Serialize)]
struct Facts<'a> {
    name: &'a str,
    latent_channels: u32,
    vae_scale: u32,
    scaling_factor: f64,
    prediction: tessera_proto::facts::Prediction,
    sample_size: u32,
    latent_multiple: u32,
    beta_schedule: tessera_proto::facts::BetaSchedule,
    beta_start: f64,
    beta_end: f64,
    num_train_timesteps: u32,
    embedding_width: u32,
    encodes_images: bool,
    upscalers: &'a [UpscalerFacts],
}

#[derive(Debug, Serialize)]
struct Graph<'a> {
    network: String,
    file: &'a Path,
    /// Size of the graph's file without external weights.
    bytes: u64,
}

/// Prints facts, graphs and hash of a folder.
pub(super) fn inspect(args: &InspectArgs, output: &Output) -> Result<(), Failure> {
    let folder = tessera_worker::open_model(&args.folder, &[]).map_err(Failure::usage)?;
    let inspected = Inspected::new(&folder);
    if output.style() == Style::Json { output.json(&inspected) } else { output.data(inspected) }
}

// === impl Inspected ===

impl<'a> Inspected<'a> {
    fn new(folder: &'a ModelFolder) -> Self {
        let graph = |(network, file): &'a (_, std::path::PathBuf)| Graph {
            network: ToString::to_string(network),
            file,
            bytes: file.metadata().map_or(0, |metadata| metadata.len()),
        };
        let facts = folder.facts();
        Self {
            folder: folder.root(),
            hash: facts.hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            facts: Facts::of(facts),
            graphs: folder.graphs().iter().map(graph).collect(),
        }
    }
}

impl fmt::Display for Inspected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = &self.facts;
        let prediction = match facts.prediction {
            tessera_proto::facts::Prediction::Epsilon => "the noise (epsilon)",
            tessera_proto::facts::Prediction::V => "the velocity (v)",
        };
        let upscalers: Vec<String> = facts.upscalers.iter().map(described).collect();
        let upscalers = if upscalers.is_empty() { "none".to_owned() } else { upscalers.join(", ") };
        writeln!(f, "model      {}", facts.name)?;
        writeln!(f, "folder     {}", self.folder.display())?;
        writeln!(f, "hash       {}", self.hash)?;
        writeln!(
            f,
            "latent     {} channels, 1/{} of the picture's sides, scaled by {}",
            facts.latent_channels, facts.vae_scale, facts.scaling_factor
        )?;
        writeln!(
            f,
            "unet       trained on {0}x{0} latent px, sides in multiples of {1}, predicts {prediction}",
            facts.sample_size, facts.latent_multiple
        )?;
        writeln!(
            f,
            "noise      {} steps, beta {} to {}",
            facts.num_train_timesteps, facts.beta_start, facts.beta_end
        )?;
        writeln!(f, "text       {} numbers a token", facts.embedding_width)?;
        let images = if facts.encodes_images { "yes" } else { "no: it has no vae_encoder/" };
        writeln!(f, "images     can be an input: {images}")?;
        write!(f, "upscalers  {upscalers}")?;
        for graph in &self.graphs {
            write!(f, "\ngraph      {}: {} ({} bytes)", graph.network, graph.file.display(), graph.bytes)?;
        }
        Ok(())
    }
}

/// "name (4x, looks 94 px around)"
fn described(upscaler: &UpscalerFacts) -> String {
    let UpscalerFacts { name, scale, radius, multiple } = upscaler;
    let radius = radius.map_or_else(|| "looks at all".to_owned(), |px| format!("looks {px} px around"));
    let sides = if 1 < *multiple { format!(", sides in multiples of {multiple} px") } else { String::new() };
    format!("{name} ({scale}x, {radius}{sides})")
}

// === impl Facts ===

impl<'a> Facts<'a> {
    fn of(facts: &'a ModelFacts) -> Self {
        Self {
            name: &facts.name,
            latent_channels: facts.latent_channels,
            vae_scale: facts.vae_scale,
            scaling_factor: facts.scaling_factor,
            prediction: facts.prediction,
            sample_size: facts.sample_size,
            latent_multiple: facts.latent_multiple,
            beta_schedule: facts.beta_schedule,
            beta_start: facts.beta_start,
            beta_end: facts.beta_end,
            num_train_timesteps: facts.num_train_timesteps,
            embedding_width: facts.embedding_width,
            encodes_images: facts.encodes_images,
            upscalers: &facts.upscalers,
        }
    }
}
