//! `tessera decode` and `tessera encode`: raw flags in, a checked job of one half of the VAE out.

use std::path::Path;

use tessera_coordinator::render::{Given, Plan};
use tessera_proto::{
    JobSpec,
    job::{Choice, Draft, Posterior, Rng, Urgency, VaeMode},
};

use super::{Error, Machines, Named, Render, format, image, latent, machines, named_files};
use crate::{
    args::{DecodeArgs, EncodeArgs, TurnArgs},
    environment::Environment,
};

/// Validates `tessera decode`.
///
/// # Errors
/// The first fault, in the order job, latent, output, machines, model, library, plan: cheap ones first.
pub(crate) fn decode(args: DecodeArgs, environment: &Environment) -> Result<Render, Error> {
    let DecodeArgs { latent: path, model, vae, vae_tile, vae_memory, machines, turn, output } = args;
    let (vae, dump, trace) = (VaeMode::parse(&vae)?, output.dump.is_some(), output.trace.is_some());
    let format = format::of_file(output.output.as_deref(), &output.format)?;
    let (priority, user) = whose(turn)?;
    let draft = |file| {
        let user = user.clone();
        Draft { vae, vae_tile, vae_memory, dump, trace, format, priority, user, ..Draft::decode(file) }
    };
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
    let EncodeArgs {
        image: path,
        model,
        seed,
        rng,
        vae,
        vae_encode_tile,
        vae_color_fix,
        machines,
        turn,
        output,
    } = args;
    let (vae, rng, trace) = (VaeMode::parse(&vae)?, Rng::parse(&rng)?, output.trace.is_some());
    let posterior = if seed.is_some() { Posterior::Sample } else { Posterior::Mean };
    let seed = seed.unwrap_or_default();
    let (priority, user) = whose(turn)?;
    let draft = |file| Draft {
        priority,
        user: user.clone(),
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
    let spec = JobSpec::new(Draft { model: machines.model_ref(), ..draft })?;
    if let Some(facts) = machines.facts() {
        Plan::new(&spec, facts, given)?;
    }
    Ok(spec)
}

/// How urgent the job is, and whose. Somebody waits for it, unless they say otherwise.
fn whose(turn: TurnArgs) -> Result<(Urgency, String), Error> {
    let priority = turn.priority.as_deref().map(Urgency::parse).transpose()?;
    Ok((priority.unwrap_or(Urgency::Interactive), turn.user))
}

/// What an unnamed result is called after.
fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "tessera".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn turn(line: &str) -> TurnArgs {
        match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Decode(args) => args.turn,
            Command::Encode(args) => args.turn,
            other => panic!("neither decode nor encode: {other:?}"),
        }
    }

    #[test]
    fn both_halves_say_whose_they_are_and_how_urgent() {
        for command in ["tessera decode a.safetensors", "tessera encode a.png"] {
            let of_ann = whose(turn(&format!("{command} --user ann"))).unwrap();
            assert_eq!(of_ann, (Urgency::Interactive, "ann".to_owned()));
            let later = whose(turn(&format!("{command} --user ann --priority batch"))).unwrap();
            assert_eq!(later.0, Urgency::Batch);
            let unknown = whose(turn(&format!("{command} --priority soon"))).unwrap_err().to_string();
            assert!(unknown.contains("soon"), "{unknown}");
        }
    }
}
