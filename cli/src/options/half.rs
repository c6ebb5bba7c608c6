//! `tessera decode` and `tessera encode`: raw flags in, a checked job of one half of the VAE out.

use std::path::Path;

use tessera_coordinator::render::{Given, Plan};
use tessera_proto::{
    JobSpec,
    job::{Choice, Draft, Posterior, Rng, Urgency, VaeMode},
};

use super::{Error, Machines, Named, Render, format, image, latent, machines, named_files};
use crate::{
    args::{DecodeArgs, EncodeArgs},
    environment::Environment,
};

/// Validates `tessera decode`.
///
/// # Errors
/// The first fault, in the order job, latent, output, machines, model, library, plan: cheap ones first.
pub(crate) fn decode(args: DecodeArgs, environment: &Environment) -> Result<Render, Error> {
    let DecodeArgs { latent: path, model, vae, vae_tile, vae_memory, machines, output } = args;
    let (vae, dump, trace) = (VaeMode::parse(&vae)?, output.dump.is_some(), output.trace.is_some());
    let format = format::of_file(output.output.as_deref(), &output.format)?;
    let draft = |file| Draft { vae, vae_tile, vae_memory, dump, trace, format, ..Draft::decode(file) };
    JobSpec::new(draft(bytes::Bytes::new()))?;
    let (file, source) = latent::read(&path)?;
    let files = named_files(output).resolve(&stem(&path), format, &environment.current)?;
    let machines = machines::resolve(machines, (model, None), environment)?;
    let spec = planned(draft(file), &machines, source.given())?;
    Ok(Render { spec, seed_drawn: false, machines, files })
}

/// Validates `tessera encode`.
///
/// # Errors
/// As [`decode`].
pub(crate) fn encode(args: EncodeArgs, environment: &Environment) -> Result<Render, Error> {
    let EncodeArgs { image: path, model, seed, rng, vae, vae_encode_tile, vae_color_fix, machines, output } =
        args;
    let (vae, rng, trace) = (VaeMode::parse(&vae)?, Rng::parse(&rng)?, output.trace.is_some());
    let posterior = if seed.is_some() { Posterior::Sample } else { Posterior::Mean };
    let seed = seed.unwrap_or_default();
    let draft = |file| Draft {
        vae,
        vae_encode_tile,
        vae_color_fix,
        seed,
        rng,
        trace,
        ..Draft::encode(file, posterior)
    };
    JobSpec::new(draft(bytes::Bytes::new()))?;
    let image = image::read(&path)?;
    let named = Named { result: output.output, dump: None, report: output.report, trace: output.trace };
    let files = named.resolve_latent(&stem(&path), &environment.current)?;
    let machines = machines::resolve(machines, (model, None), environment)?;
    let spec = planned(draft(image.bytes.into()), &machines, Given::Picture(image.size))?;
    Ok(Render { spec, seed_drawn: false, machines, files })
}

/// The job with its model, which can do it as far as we know.
fn planned(draft: Draft, machines: &Machines, given: Given) -> Result<JobSpec, Error> {
    let spec = JobSpec::new(Draft { model: machines.model_ref(), priority: Urgency::Interactive, ..draft })?;
    if let Some(facts) = machines.facts() {
        Plan::new(&spec, facts, given)?;
    }
    Ok(spec)
}

/// What an unnamed result is called after.
fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "tessera".to_owned(), |stem| stem.to_string_lossy().into_owned())
}
