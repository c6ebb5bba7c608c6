//! `tessera plan`: the flags of `render` in, what it would do and cost out.

use crate::{
    args::PlanArgs,
    environment::Environment,
    exit::Failure,
    options,
    output::{Output, Style},
};

/// Prints tiles, cells, model calls and redundancy of every stage.
pub(super) fn run(args: PlanArgs, output: &Output) -> Result<(), Failure> {
    let environment = Environment::of_process().map_err(Failure::failed)?;
    let summary = options::plan(args, &environment).map_err(Failure::usage)?.summary();
    if output.style() == Style::Json { output.json(&summary) } else { output.data(summary) }
}
