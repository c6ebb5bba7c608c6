//! `tessera plan`: the flags of `render` in, what it would do, cost and take out.

use std::time::Instant;

use serde::Serialize;
use tessera_coordinator::{
    forecast::{self, Advice, Forecast},
    render::Summary,
};

use crate::{
    args::PlanArgs,
    client::Client,
    environment::Environment,
    exit::Failure,
    options::{self, Planned},
    output::{Output, Style},
};

/// What scripts are told.
#[derive(Debug, Serialize)]
struct Told {
    #[serde(flatten)]
    plan: Summary,
    /// `None` where no device is known.
    forecast: Option<Forecast>,
    /// What would make it shorter, if anything does.
    advice: Option<Advice>,
}

/// Prints tiles, cells, model calls and redundancy of every stage, and how long each takes on the devices that are known.
pub(super) async fn run(args: PlanArgs, output: &Output) -> Result<(), Failure> {
    let environment = Environment::of_process().map_err(Failure::failed)?;
    let planning = options::plan(args, &environment).map_err(Failure::usage)?;
    let open = planning.open;
    let planned = match planning.cluster.clone() {
        Some(target) => planning.on(&Client::reach(&target).await?.workers().await?),
        None => planning.here(),
    };
    let Planned { plan, given, devices } = planned.map_err(Failure::usage)?;
    let origin = Instant::now();
    let forecast = (!devices.is_empty()).then(|| Forecast::new(&plan, &devices, origin));
    let advice = forecast::advise(&plan, given, open, (&devices, origin));
    let told = Told { plan: plan.summary(), forecast, advice };
    match output.style() {
        Style::Json => return output.json(&told),
        Style::Quiet => return Ok(()),
        Style::People => {}
    }
    output.data(&told.plan)?;
    match told.forecast {
        Some(forecast) => output.data(format_args!("\n{forecast}"))?,
        None => output
            .note("time: name devices with --devices MS,MS,… or a cluster with --coordinator URL to see it"),
    }
    told.advice.map_or(Ok(()), |advice| output.data(advice))
}
