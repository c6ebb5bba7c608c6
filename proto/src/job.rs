//! What a job asks for: a draft as users wrote it in, a checked specification out.

mod check;
pub mod choice;
pub mod format;
mod goal;
mod upscaler;
mod urgency;

use std::ops::Deref;

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};

use crate::ModelFacts;

pub use check::Error;
pub use choice::{
    Choice, Rng, Sampler, Schedule, StrengthSteps, TileGrid, TileMethod, Unknown, UpscaleFilter, VaeMode,
    names, nearest,
};
pub use format::Format;
pub use goal::{Goal, Posterior};
pub use upscaler::Upscaler;
pub use urgency::Urgency;

/// Width and height; the unit is named where the size stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// How large the picture shall become.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A factor on both sides of the base picture or of the given image.
    Scale(f64),
    /// A size in px; a side of 0 follows from the other one by the aspect ratio of the base (A1111's "resize to").
    Size(Size),
}

/// Which model a job wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelRef {
    /// The one model that the workers serve.
    Any,
    /// The model of this name.
    Name(String),
    /// The model whose folder has this content hash.
    #[serde(serialize_with = "as_hex")]
    Hash([u8; 32]),
}

/// All that a job asks for, not yet checked; every field is readable on [`JobSpec`] too.
///
/// `None` leaves a choice to the plan, which knows the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Draft {
    /// What is made.
    pub goal: Goal,
    /// The model.
    pub model: ModelRef,
    /// What to draw, in A1111's prompt syntax.
    pub prompt: String,
    /// What to avoid, likewise.
    pub negative_prompt: String,
    /// The bytes of a picture file to start from; `None` = text to image.
    #[serde(serialize_with = "as_digest")]
    pub image: Option<Bytes>,
    /// Size of the base picture, px; `None` = the model's own size. Not together with `image`.
    pub base: Option<Size>,
    /// How large the picture shall become.
    pub target: Target,
    /// Steps of the base pass.
    pub steps: u32,
    /// Steps of the hires pass; `None` = as many as `steps`.
    pub hires_steps: Option<u32>,
    /// Classifier-free guidance scale, 1 = off.
    pub cfg_scale: f64,
    /// Seed of the noise.
    pub seed: u64,
    /// Source of the noise.
    pub rng: Rng,
    /// Sampler of both passes.
    pub sampler: Sampler,
    /// Noise schedule of both passes.
    pub schedule: Schedule,
    /// Denoising strength of the hires pass, above 0, at most 1.
    pub denoising_strength: f64,
    /// What strength and steps mean together.
    pub strength_steps: StrengthSteps,
    /// What enlarges the base picture.
    pub upscaler: Upscaler,
    /// Tile of an upscaling network, px; 0 = the whole picture in one call.
    pub upscale_tile: Option<u32>,
    /// Tile of the denoising pass, latent px.
    pub tile: Option<Size>,
    /// Least overlap of neighbouring tiles, latent px.
    pub overlap: Option<u32>,
    /// Tiles in one network call.
    pub tile_batch: u32,
    /// Whether the base pass is tiled as well (panoramas).
    pub tile_base: bool,
    /// How overlapping tiles are weighed.
    pub tile_method: TileMethod,
    /// How tiles are placed.
    pub tile_grid: TileGrid,
    /// How the VAE is tiled.
    pub vae: VaeMode,
    /// Tile of the VAE decoder, latent px.
    pub vae_tile: Option<u32>,
    /// Tile of the VAE encoder, image px.
    pub vae_encode_tile: Option<u32>,
    /// Memory that one tile of the VAE may take where its size is left open, MiB.
    pub vae_memory: Option<u32>,
    /// How the picture is written.
    pub format: Format,
    /// In fast mode: the encoder's statistics are exact from where it first makes the picture smaller.
    pub vae_color_fix: bool,
    /// Whether every tile waits until all have done the call before. It changes nothing but the time, and so is no part
    /// of a picture's metadata; nor is what follows.
    #[serde(skip)]
    pub barrier: bool,
    /// How much of a busy fleet the job gets.
    #[serde(skip)]
    pub priority: Urgency,
    /// Whose it is; empty = nobody's in particular.
    #[serde(skip)]
    pub user: String,
    /// Whether to keep the intermediate tensors for fetching.
    pub dump: bool,
    /// Whether to keep when each task ran, for fetching. It is no part of the picture, whose bytes it must not change.
    #[serde(skip)]
    pub trace: bool,
}

/// A checked job; reads like its [`Draft`].
///
/// What depends on the model (does a tile fit, is there an encoder) is checked by the plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct JobSpec(Draft);

// === impl ModelRef ===

impl ModelRef {
    /// Whether it means the model with these facts.
    #[must_use]
    pub fn is(&self, facts: &ModelFacts) -> bool {
        match self {
            Self::Any => true,
            // The short hash is what `tessera workers` and the PNG show.
            Self::Name(name) => *name == facts.name || *name == facts.short_hash(),
            Self::Hash(hash) => *hash == facts.hash,
        }
    }
}

// === impl Draft ===

impl Draft {
    /// A text-to-image job with A1111's defaults (20 steps, CFG 7, Euler, 2x hires fix at strength 0.7 with "Latent").
    #[must_use]
    pub fn text_to_image(prompt: impl Into<String>) -> Self {
        Self {
            goal: Goal::Render,
            model: ModelRef::Any,
            prompt: prompt.into(),
            negative_prompt: String::new(),
            image: None,
            base: None,
            target: Target::Scale(2.0),
            steps: 20,
            hires_steps: None,
            cfg_scale: 7.0,
            seed: 0,
            rng: Rng::Cpu,
            sampler: Sampler::Euler,
            schedule: Schedule::Normal,
            denoising_strength: 0.7,
            strength_steps: StrengthSteps::A1111,
            upscaler: Upscaler::Filter(UpscaleFilter::Latent),
            upscale_tile: None,
            tile: None,
            overlap: None,
            tile_batch: 1,
            tile_base: false,
            tile_method: TileMethod::MultiDiffusion,
            tile_grid: TileGrid::Spread,
            vae: VaeMode::Exact,
            vae_tile: None,
            vae_encode_tile: None,
            vae_memory: None,
            format: Format::default(),
            vae_color_fix: false,
            barrier: false,
            priority: Urgency::Batch,
            user: String::new(),
            dump: false,
            trace: false,
        }
    }

    /// The decode of a latent, the bytes of a safetensors file; see [`Goal::Decode`].
    #[must_use]
    pub fn decode(latent: impl Into<Bytes>) -> Self {
        Self { goal: Goal::Decode(latent.into()), ..Self::text_to_image("") }
    }

    /// The encode of a picture, the bytes of an image file.
    #[must_use]
    pub fn encode(image: impl Into<Bytes>, posterior: Posterior) -> Self {
        Self { goal: Goal::Encode(posterior), image: Some(image.into()), ..Self::text_to_image("") }
    }
}

// === impl JobSpec ===

impl JobSpec {
    /// Checks every field of a draft that can be judged without the model.
    ///
    /// # Errors
    /// The first field that is out of its bounds, with the bound, the value and a way out.
    pub fn new(draft: Draft) -> Result<Self, Error> {
        check::draft(&draft)?;
        Ok(Self(draft))
    }

    /// Steps of the hires pass.
    #[must_use]
    pub fn hires_steps(&self) -> u32 {
        self.0.hires_steps.unwrap_or(self.0.steps)
    }

    /// Gives the plain fields back, to put them on the wire.
    #[must_use]
    pub fn into_draft(self) -> Draft {
        self.0
    }
}

impl Deref for JobSpec {
    type Target = Draft;

    fn deref(&self) -> &Draft {
        &self.0
    }
}

fn as_hex<S: Serializer>(hash: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&blake3::Hash::from_bytes(*hash).to_hex())
}

/// A picture's bytes do not belong into metadata: its hash does.
fn as_digest<S: Serializer>(image: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
    match image {
        Some(bytes) => serializer.serialize_str(&blake3::hash(bytes).to_hex()),
        None => serializer.serialize_none(),
    }
}
