//! How much there is to do: waiting tasks and leases in, their numbers by network out.

use std::collections::BTreeMap;

use super::{Fleet, Kind, Need};

/// Tasks by the network that they run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// Tasks that a worker could begin now.
    pub ready: BTreeMap<Kind, u64>,
    /// Tasks in workers' hands; one that two workers run counts twice.
    pub running: BTreeMap<Kind, u64>,
}

// === impl Load ===

impl Load {
    /// All tasks together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ready.values().chain(self.running.values()).sum()
    }
}

// === impl Fleet ===

impl Fleet {
    /// What waits and what runs.
    #[must_use]
    pub fn load(&self) -> Load {
        let running = self.leases.values().map(|lease| &lease.need);
        Load { ready: counted(self.queue.waiting()), running: counted(running) }
    }
}

fn counted<'a>(needs: impl Iterator<Item = &'a Need>) -> BTreeMap<Kind, u64> {
    let mut counts = BTreeMap::new();
    needs.for_each(|need| *counts.entry(need.class.kind).or_default() += 1);
    counts
}
