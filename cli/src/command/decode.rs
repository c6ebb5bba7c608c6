//! `tessera decode`: a latent in, its picture out.

use std::time::Instant;

use super::errand;
use crate::{args::DecodeArgs, environment::Environment, exit::Failure, options, output::Output};

/// Decodes a latent, on a cluster that lives as long as this command or on a running one.
pub(super) async fn run(args: DecodeArgs, output: &Output) -> Result<(), Failure> {
    let started = Instant::now();
    let environment = Environment::of_process().map_err(Failure::failed)?;
    let options =
        tokio::task::block_in_place(|| options::decode(args, &environment)).map_err(Failure::usage)?;
    errand::run(options, &environment, started, output).await
}
