//! What happens in a coordinator, counted: events in; numbers that only grow, for a page that Prometheus reads, out.
//!
//! Each coordinator has meters of its own, so that two in one process do not count together. What is so at one moment, and
//! needs no counting, is asked of the actor when the page is made: [`Figures`](crate::actor::Figures).

mod page;
mod server;
mod spans;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use prometheus_client::metrics::{
    counter::Counter,
    family::Family,
    histogram::{Histogram, exponential_buckets},
};
use tessera_proto::{JobId, JobState};

use crate::report::TaskTimes;

pub(crate) use server::serve;
pub(crate) use spans::Spans;

/// A label and its value.
type Label = (&'static str, String);

/// Everything that is counted. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Meters {
    dispatch: Histogram,
    checkpoint: Histogram,
    checkpoint_bytes: Counter,
    store_errors: Counter,
    retries: Family<[Label; 1], Counter>,
    refused: Counter,
    ended: Family<[Label; 1], Counter>,
    tasks: Family<[Label; 2], Counter>,
    busy: Family<[Label; 2], Counter<f64, AtomicU64>>,
    spans: Arc<Spans>,
}

/// Why a task is run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It failed on a worker, or its result was refused.
    Failed,
    /// Its worker is gone.
    Lost,
}

// === impl Meters ===

impl Default for Meters {
    fn default() -> Self {
        let meters = Self {
            // 50 µs to 0.8 s: a fast coordinator takes a third of a millisecond.
            dispatch: Histogram::new(exponential_buckets(50e-6, 2.0, 15)),
            // 1 ms to 16 s.
            checkpoint: Histogram::new(exponential_buckets(1e-3, 2.0, 15)),
            checkpoint_bytes: Counter::default(),
            store_errors: Counter::default(),
            retries: Family::default(),
            refused: Counter::default(),
            ended: Family::default(),
            tasks: Family::default(),
            busy: Family::default(),
            spans: Arc::default(),
        };
        // A counter that appears with its first event cannot show that event as growth.
        for why in [Again::Failed, Again::Lost] {
            drop(meters.retries.get_or_create(&why.label()));
        }
        for state in JobState::ALL.into_iter().filter(|state| state.is_final()) {
            drop(meters.ended.get_or_create(&state_label(state)));
        }
        meters
    }
}

impl Meters {
    /// A task was sent so long after the result was heard that made it possible.
    pub(crate) fn dispatched(&self, after: Duration) {
        self.dispatch.observe(after.as_secs_f64());
    }

    /// A checkpoint of so many bytes is safe, so long after it was ordered.
    pub(crate) fn kept(&self, bytes: usize, after: Duration) {
        self.checkpoint.observe(after.as_secs_f64());
        self.checkpoint_bytes.inc_by(bytes as u64);
    }

    /// Something could not be stored or read.
    pub(crate) fn store_failed(&self) {
        self.store_errors.inc();
    }

    /// A task waits for another worker.
    pub(crate) fn again(&self, why: Again) {
        self.retries.get_or_create(&why.label()).inc();
    }

    /// A worker's result is not what its task asks for.
    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    /// Also tells a collector what tasks and jobs have ended.
    pub(crate) fn told(self, spans: Spans) -> Self {
        Self { spans: Arc::new(spans), ..self }
    }

    /// A job is over that was submitted so long ago.
    pub(crate) fn ended(
        &self,
        job: JobId,
        (state, failure): (JobState, Option<&str>),
        (age, now): (Duration, Instant),
    ) {
        self.ended.get_or_create(&state_label(state)).inc();
        self.spans.job(job, (age, now), state, failure);
    }

    /// Tells the collector what is left to tell.
    pub(crate) async fn farewell(self) {
        if self.spans.is_told() {
            // It only fails where it panics, and then it has said so.
            let _ = tokio::task::spawn_blocking(move || self.spans.end()).await;
        }
    }

    /// A task's result counts.
    pub(crate) fn accepted(&self, job: JobId, times: &TaskTimes, worker: (&str, &str)) {
        self.spans.task(job, times, worker);
    }

    /// A worker has ended a task, and was inside networks for so long.
    pub(crate) fn worked(&self, (worker, device): (&str, &str), busy: Duration) {
        let labels = labels(worker, device);
        self.tasks.get_or_create(&labels).inc();
        self.busy.get_or_create(&labels).inc_by(busy.as_secs_f64());
    }

    /// A worker has come: it has done nothing yet.
    pub(crate) fn came(&self, (worker, device): (&str, &str)) {
        let labels = labels(worker, device);
        drop(self.tasks.get_or_create(&labels));
        drop(self.busy.get_or_create(&labels));
    }

    /// A worker is gone, and its series end: names may be as many as workers that ever were.
    pub(crate) fn went(&self, (worker, device): (&str, &str)) {
        let labels = labels(worker, device);
        self.tasks.remove(&labels);
        self.busy.remove(&labels);
    }
}

// === impl Again ===

impl Again {
    fn label(self) -> [Label; 1] {
        let name = match self {
            Self::Failed => "failed",
            Self::Lost => "lost",
        };
        [("reason", name.to_owned())]
    }
}

fn labels(worker: &str, device: &str) -> [Label; 2] {
    [("worker", worker.to_owned()), ("device", device.to_owned())]
}

fn state_label(state: JobState) -> [Label; 1] {
    [("state", state.name().to_owned())]
}
