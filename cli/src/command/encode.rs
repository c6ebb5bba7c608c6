//! `tessera encode`: a picture in, its latent out.

use std::time::Instant;

use super::errand;
use crate::{args::EncodeArgs, environment::Environment, exit::Failure, options, output::Output};

/// Encodes a picture, on a cluster that lives as long as this command or on a running one.
pub(super) async fn run(args: EncodeArgs, output: &Output) -> Result<(), Failure> {
    let started = Instant::now();
    let environment = Environment::of_process().map_err(Failure::failed)?;
    let options =
        tokio::task::block_in_place(|| options::encode(args, &environment)).map_err(Failure::usage)?;
    errand::run(options, &environment, started, output).await
}
