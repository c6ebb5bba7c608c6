//! `tessera bench endurance`: flags in; what a cluster that is left running promises, measured, out.

use anyhow::anyhow;

use crate::{
    args::EnduranceArgs,
    bench::{Endurance, Figure},
    default_model,
    environment::Environment,
    exit::Failure,
    output::{Output, Style},
};

/// Measures, prints each figure as it comes, and fails where one is above its bound.
pub(super) async fn run(args: EnduranceArgs, output: &Output) -> Result<(), Failure> {
    let environment = Environment::of_process().map_err(Failure::failed)?;
    let model = match args.simulated {
        true => None,
        false => Some(default_model::find(&environment).map_err(Failure::usage)?),
    };
    if args.database.is_none() {
        output.note(
            "two coordinators on one database: name one with --database postgres://… to see a take-over",
        );
    }
    let bench = Endurance {
        executable: environment.executable,
        database: args.database,
        model,
        open: args.open,
        jobs: args.jobs,
        watchers: args.watchers,
    };
    let tell = |figure: &Figure| {
        let _ = match output.style() {
            Style::Json => output.json(figure),
            _ => output.data(line(figure)),
        };
    };
    let figures = Box::pin(bench.run(tell)).await.map_err(Failure::failed)?;
    let missed: Vec<&str> =
        figures.iter().filter(|figure| !figure.reached).map(|figure| figure.what.as_str()).collect();
    if missed.is_empty() {
        Ok(())
    } else {
        Err(Failure::failed(anyhow!("above the bound: {}", missed.join("; "))))
    }
}

fn line(figure: &Figure) -> String {
    let Figure { what, value, unit, bound, reached } = figure;
    let verdict = if *reached { "reached" } else { "MISSED" };
    format!("{what}: {value:.2} {unit} (at most {bound} {unit}) {verdict}")
}
