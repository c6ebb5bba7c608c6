//! Measures how a cluster scales: cases in, shares of time that devices were busy out.
//!
//! Everything is the real thing but the engines: the coordinator, workers that dial it over gRPC on loopback, their
//! device threads. All of it runs in this process, so that 64 workers cost threads and not processes.

mod arena;
mod case;
mod chaos;
mod endurance;
mod peer;
mod processes;
mod real;

pub(crate) use arena::Arena;
pub(crate) use case::{Case, Quantity, table};
pub(crate) use chaos::Chaos;
pub(crate) use endurance::{Endurance, Figure};
pub(crate) use peer::ratio;
pub(crate) use real::{Pair, pair};

use tessera_proto::JobSpec;

use crate::exit::Failure;

/// What one run of a case came to.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// In the unit of the case's quantity.
    pub(crate) value: f64,
    /// From a result's arrival to the next task on its way, p99, ms; the largest of the jobs'.
    pub(crate) dispatch_p99_ms: f64,
    /// Events of the jobs' traces.
    pub(crate) events: Vec<serde_json::Value>,
}

/// Whether tiles wait for one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Every tile waits for all others at every model call. One job alone.
    Barrier,
    /// A tile waits for its neighbours. All jobs at once.
    Dataflow,
}

/// Runs a case once.
///
/// # Errors
/// The cluster cannot be started, or a job fails.
pub(crate) async fn measure(case: &Case, seed: u32, order: Order) -> Result<Measured, Failure> {
    let arena = Arena::start(&case.workers(seed)).await?;
    let jobs = if order == Order::Barrier { 1 } else { case.jobs };
    let specs =
        (0..jobs).map(|_| case.job(order)).collect::<Result<Vec<JobSpec>, _>>().map_err(Failure::usage)?;
    let ended = arena.run(specs).await;
    arena.stop().await;
    let ended = ended?;
    // The pass of all jobs together, from the first task's dispatch to the last result, s.
    let begin = ended.iter().map(|job| job.begin_s).fold(f64::INFINITY, f64::min);
    let end = ended.iter().map(|job| job.begin_s + job.wall_s).fold(0.0, f64::max);
    let calls = ended.iter().map(|job| job.calls).sum();
    Ok(Measured {
        value: case.quantity(calls, end - begin),
        dispatch_p99_ms: ended.iter().map(|job| job.dispatch_p99_ms).fold(0.0, f64::max),
        events: ended.into_iter().flat_map(|job| job.events).collect(),
    })
}
