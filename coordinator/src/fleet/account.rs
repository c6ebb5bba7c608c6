//! One job's waiting tasks, and what it has had of the fleet.

use std::collections::BTreeMap;

use tessera_proto::WorkerId;

use super::{Line, Need, Priority, Standing, TaskNumber};

/// Where a task stands among those of its job.
pub(super) type Key = (Priority, TaskNumber);

/// What a task is taken to cost before one of the job has ended, s.
const USUAL: f64 = 0.1;

/// A job's side of the queue.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) standing: Standing,
    /// Hash of the model that it runs on.
    pub(super) model: [u8; 32],
    /// Device time that it has had, in its own money.
    pub(super) paid: f64,
    /// What its last task took, s.
    pub(super) usual: f64,
    /// Results that were accepted.
    pub(super) done: u64,
    /// Leases on its tasks.
    pub(super) leased: usize,
    /// Tasks that any worker may run, the most urgent first.
    pub(super) free: BTreeMap<Key, Need>,
    /// Tasks that wait for the worker that has their line.
    pub(super) homed: BTreeMap<WorkerId, BTreeMap<Key, Need>>,
}

// === impl Account ===

impl Account {
    pub(super) fn new(standing: Standing) -> Self {
        Self {
            standing,
            model: [0; 32],
            paid: 0.0,
            usual: USUAL,
            done: 0,
            leased: 0,
            free: BTreeMap::new(),
            homed: BTreeMap::new(),
        }
    }

    /// Whether it has tasks, waiting or handed out.
    pub(super) fn is_active(&self) -> bool {
        0 < self.leased || !self.free.is_empty() || !self.homed.is_empty()
    }

    /// Whether it has a task that the worker may run.
    pub(super) fn waits_for(&self, worker: WorkerId) -> bool {
        !self.free.is_empty() || self.homed.contains_key(&worker)
    }

    /// The most urgent task that waits for this worker alone.
    pub(super) fn at_home(&self, worker: WorkerId) -> Option<&Need> {
        self.homed.get(&worker)?.values().next()
    }

    /// Its tasks that wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Need> {
        self.free.values().chain(self.homed.values().flat_map(BTreeMap::values))
    }

    pub(super) fn push(&mut self, need: Need, home: Option<WorkerId>) {
        self.model = need.model;
        let place = match home {
            Some(home) => self.homed.entry(home).or_default(),
            None => &mut self.free,
        };
        place.insert(need.key(), need);
    }

    pub(super) fn remove(&mut self, need: &Need, worker: WorkerId) {
        let key = need.key();
        if self.free.remove(&key).is_some() {
            return;
        }
        if let Some(homed) = self.homed.get_mut(&worker) {
            homed.remove(&key);
            if homed.is_empty() {
                self.homed.remove(&worker);
            }
        }
    }

    /// A line has a worker: what else of it waits is for that one. A line has one task at a time, or few.
    pub(super) fn settle_line(&mut self, line: Line, worker: WorkerId) {
        let keys: Vec<Key> =
            self.free.iter().filter(|(_, need)| need.line == Some(line)).map(|(&key, _)| key).collect();
        for key in keys {
            if let Some(need) = self.free.remove(&key) {
                self.push(need, Some(worker));
            }
        }
    }

    /// What waited for this worker waits for any.
    pub(super) fn leave(&mut self, worker: WorkerId) {
        self.free.append(&mut self.homed.remove(&worker).unwrap_or_default());
    }
}
