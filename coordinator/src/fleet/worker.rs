//! A worker as the coordinator sees it.

use std::{
    collections::{BTreeSet, HashSet},
    time::Instant,
};

use tessera_proto::{Digest, Hello, LeaseId, ModelFacts};

/// One attended stream.
#[derive(Debug)]
pub struct Worker {
    hello: Hello,
    pub(super) last_seen: Instant,
    /// When it last ended a task, whether that still counted or not.
    pub(super) last_outcome: Option<Instant>,
    pub(super) leases: BTreeSet<LeaseId>,
    pub(super) kept: HashSet<Digest>,
    pub(super) draining: bool,
    pub(super) tasks_done: u64,
}

// === impl Worker ===

impl Worker {
    pub(super) fn new(hello: Hello, now: Instant) -> Self {
        Self {
            hello,
            last_seen: now,
            last_outcome: None,
            leases: BTreeSet::new(),
            kept: HashSet::new(),
            draining: false,
            tasks_done: 0,
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.hello.name
    }

    /// Its device, as given to `--device`.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.hello.device
    }

    /// The model it serves.
    #[must_use]
    pub const fn model(&self) -> &ModelFacts {
        &self.hello.model
    }

    /// Tasks in its hands.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.leases.len()
    }

    /// Tasks done since it came.
    #[must_use]
    pub const fn tasks_done(&self) -> u64 {
        self.tasks_done
    }

    /// When it was last heard of.
    #[must_use]
    pub const fn last_seen(&self) -> Instant {
        self.last_seen
    }
}
