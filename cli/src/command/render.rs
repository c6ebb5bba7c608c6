//! `tessera render`: a prompt or a picture in, a hires picture out.

use std::time::Instant;

use super::errand;
use crate::{args::RenderArgs, environment::Environment, exit::Failure, options, output::Output};

/// Draws the picture, on a cluster that lives as long as this command or on a running one.
pub(super) async fn run(args: RenderArgs, output: &Output) -> Result<(), Failure> {
    let started = Instant::now();
    let environment = Environment::of_process().map_err(Failure::failed)?;
    // Reading a model folder or standard input takes as long as it takes.
    let options =
        tokio::task::block_in_place(|| options::render(args, &environment)).map_err(Failure::usage)?;
    errand::run(options, &environment, started, output).await
}
