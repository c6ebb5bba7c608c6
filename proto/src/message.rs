//! The two sides of a worker's stream, as domain types.

use std::{sync::Arc, time::Duration};

use crate::{Assignment, Digest, LeaseId, ModelFacts, Outcome, Tensor, WorkerId, manifest::ContentHash};

/// Version of the contract between worker and coordinator; both must speak the same.
pub const CONTRACT: u32 = 7;

/// What a worker says.
#[derive(Debug, Clone)]
pub enum FromWorker {
    /// The first message; said anew by one that was told to [serve](ToWorker::Serve) another model.
    Hello(Box<Hello>),
    /// A sign of life, also during a long network call.
    Heartbeat,
    /// A task's end.
    Outcome(Outcome),
    /// No more tasks, please; the stream closes after the last outcome.
    Goodbye,
}

/// Who a worker is and what it can run.
#[derive(Debug, Clone, PartialEq)]
pub struct Hello {
    /// Name for people.
    pub name: String,
    /// Device as given to `--device`.
    pub device: String,
    /// The model it serves; one that fetches may have none yet.
    pub model: Option<ModelFacts>,
    /// Whether it serves whatever model it is told to, fetched from the coordinator.
    pub fetches: bool,
    /// What it could not get a short while ago.
    pub failures: Vec<FetchFailure>,
}

/// A model that a worker could not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchFailure {
    /// The model.
    pub model: ContentHash,
    /// Why, in one sentence.
    pub message: String,
}

/// What the coordinator says.
#[derive(Debug, Clone)]
pub enum ToWorker {
    /// The first message.
    Welcome {
        /// The worker's name for this stream.
        worker: WorkerId,
        /// How often to send a heartbeat.
        heartbeat: Duration,
    },
    /// A tensor that later tasks name by its digest.
    Keep {
        /// Digest of `tensor`; the receiver checks it.
        digest: Digest,
        /// The tensor; many workers may be sent the same one.
        tensor: Arc<Tensor>,
    },
    /// No later task names this tensor.
    Forget {
        /// Its digest.
        digest: Digest,
    },
    /// A task to run.
    Assign(Assignment),
    /// A lease that is void: a task not yet begun need not be run.
    Withdraw {
        /// The lease.
        lease: LeaseId,
        /// Whether it is ended if it has begun: what it would tell of the device's speed is not wanted.
        stop: bool,
    },
    /// The worker is to finish the task in hand, say goodbye and go.
    Leave,
    /// The worker is to finish the task in hand, get this model and say hello anew.
    Serve {
        /// The model.
        model: ContentHash,
    },
}

// === impl Hello ===

impl Hello {
    /// Of a worker that serves one model, and no other.
    #[must_use]
    pub fn serving(name: impl Into<String>, device: impl Into<String>, model: ModelFacts) -> Self {
        let (name, device) = (name.into(), device.into());
        Self { name, device, model: Some(model), fetches: false, failures: Vec::new() }
    }
}
