//! The fleet: workers that come and go and tasks that wait in; who shall run what, and whose result counts, out. Pure.
//!
//! It knows tasks by name and need, never by content: it sees no pixels. Time is an argument.
//!
//! **Invariant: a task's result is accepted once, under its current lease.** A lease ends when its outcome arrives, when
//! its worker is lost, or when its job ends; an outcome under any other lease is counted and dropped.
//!
//! ```text
//! enqueue ─> waiting ─ assign ─> leased ─ settle ─> gone
//!               ^                  │
//!               └─ worker lost, ───┘
//!                  task failed once
//! ```

mod queue;
mod worker;

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use tessera_proto::{Digest, Hello, JobId, LeaseId, WorkerId};

use queue::Queue;
pub use queue::{Line, Need, Priority, TaskName, TaskNumber};
pub use worker::Worker;

/// Tasks that a worker holds at most: one runs, one is ready, so that the device never waits for the network.
pub const IN_HAND: usize = 2;

/// Times a task may lose its worker before it is taken for the cause.
pub const MAX_LOSSES: u32 = 4;

/// All workers, all waiting tasks, all leases.
#[derive(Debug, Default)]
pub struct Fleet {
    workers: BTreeMap<WorkerId, Worker>,
    queue: Queue,
    leases: HashMap<LeaseId, Lease>,
    /// The worker that has each line of tasks.
    homes: HashMap<Line, WorkerId>,
    next_worker: u64,
    next_lease: u64,
    stale: u64,
}

/// A task in a worker's hands.
#[derive(Debug, Clone)]
pub struct Lease {
    /// What is run.
    pub need: Need,
    /// Who runs it.
    pub worker: WorkerId,
    /// When it was handed out.
    pub since: Instant,
}

/// A task that was just given to a worker.
#[derive(Debug, Clone)]
pub struct Order {
    /// The worker.
    pub worker: WorkerId,
    /// The lease under which its result will count.
    pub lease: LeaseId,
    /// The task.
    pub task: TaskName,
    /// Tensors that the worker needs and does not have yet.
    pub send: Vec<Digest>,
}

/// What an outcome is worth.
#[derive(Debug)]
pub enum Verdict {
    /// It counts: the task is no longer leased.
    Current(Lease),
    /// Its lease is void: drop it.
    Stale,
}

/// A task whose worker is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// It waits for another worker.
    Requeued(TaskName),
    /// It has lost too many workers: its job should fail.
    GivenUp(TaskName),
}

// === impl Fleet ===

impl Fleet {
    /// Takes a worker in.
    pub fn enlist(&mut self, hello: Hello, now: Instant) -> WorkerId {
        self.next_worker += 1;
        let id = WorkerId::new(self.next_worker);
        self.workers.insert(id, Worker::new(hello, now));
        id
    }

    /// A sign of life.
    pub fn heard(&mut self, worker: WorkerId, now: Instant) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.last_seen = now;
        }
    }

    /// The worker takes no more tasks, but finishes the one that it runs, its oldest. Returns the leases of the others,
    /// which are void: their tasks wait again, and this counts as no loss.
    pub fn drain(&mut self, id: WorkerId) -> Vec<LeaseId> {
        let Some(worker) = self.workers.get_mut(&id) else { return Vec::new() };
        worker.draining = true;
        self.homes.retain(|_, home| *home != id);
        let void: Vec<LeaseId> = worker.leases.iter().skip(1).copied().collect();
        for &lease in &void {
            if let Some(Lease { need, .. }) = self.release(id, lease) {
                self.queue.push(need);
            }
        }
        void
    }

    /// Whether the worker has said goodbye and has nothing left to do.
    #[must_use]
    pub fn is_drained(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|worker| worker.draining && worker.in_hand() == 0)
    }

    /// The worker is gone: its tasks wait again, ahead of the others of their rank.
    pub fn dismiss(&mut self, id: WorkerId) -> Vec<Loss> {
        let Some(worker) = self.workers.remove(&id) else { return Vec::new() };
        self.homes.retain(|_, home| *home != id);
        let mut lost: Vec<LeaseId> = self.leases_of(id).collect();
        lost.sort_unstable();
        // One that left in order is not suspected of having died of its task.
        let losses = u32::from(!worker.draining);
        lost.into_iter().filter_map(|lease| self.lose(lease, losses)).collect()
    }

    /// Workers not heard of since `silence` ago, and those that hold a task for longer than `task_timeout`.
    #[must_use]
    pub fn overdue(&self, now: Instant, silence: Duration, task_timeout: Duration) -> Vec<WorkerId> {
        let overdue = |worker: &Worker| {
            let silent = silence < now.saturating_duration_since(worker.last_seen);
            // The oldest task is the one that runs, since it came or the one before it was done.
            let oldest = worker.leases.first().and_then(|lease| self.leases.get(lease));
            let since =
                oldest.map(|lease| worker.last_outcome.map_or(lease.since, |done| done.max(lease.since)));
            silent || since.is_some_and(|since| task_timeout < now.saturating_duration_since(since))
        };
        self.workers.iter().filter(|(_, worker)| overdue(worker)).map(|(&id, _)| id).collect()
    }

    /// A task waits for a worker.
    pub fn enqueue(&mut self, need: Need) {
        self.queue.push(need);
    }

    /// A job ended: its tasks wait no more. Returns the leases that are void now, and their workers.
    pub fn drop_job(&mut self, job: JobId) -> Vec<(WorkerId, LeaseId)> {
        self.queue.drop_job(job);
        self.homes.retain(|line, _| line.job != job);
        let of_job = |lease: &Lease| lease.need.task.job == job;
        let void: Vec<_> = self
            .leases
            .iter()
            .filter(|(_, lease)| of_job(lease))
            .map(|(&id, lease)| (lease.worker, id))
            .collect();
        for (worker, lease) in &void {
            self.release(*worker, *lease);
        }
        void
    }

    /// Judges an outcome by its lease.
    pub fn settle(&mut self, worker: WorkerId, lease: LeaseId, now: Instant) -> Verdict {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.last_outcome = Some(now);
        }
        let current = self.leases.get(&lease).is_some_and(|lease| lease.worker == worker);
        match self.release(worker, lease) {
            Some(lease) if current => {
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.tasks_done += 1;
                }
                Verdict::Current(lease)
            }
            _ => {
                self.stale += 1;
                Verdict::Stale
            }
        }
    }

    /// The task failed on `lease.worker`: it waits again, for another worker where there is one.
    ///
    /// Returns whether it does; a task fails for good the second time.
    pub fn retry(&mut self, lease: Lease) -> bool {
        if 0 < lease.need.failures {
            return false;
        }
        // Elsewhere means that the line moves.
        if let Some(line) = lease.need.line {
            self.homes.remove(&line);
        }
        let need = Need { failures: 1, avoid: Some(lease.worker), ..lease.need };
        self.queue.push(need);
        true
    }

    /// Hands waiting tasks to workers with a free hand: the most urgent task first, to the least loaded worker.
    pub fn assign(&mut self, now: Instant) -> Vec<Order> {
        let mut orders = Vec::new();
        for in_hand in 0..IN_HAND {
            let free: Vec<WorkerId> = self.free_workers(in_hand);
            for id in free {
                if let Some(order) = self.assign_one(id, now) {
                    orders.push(order);
                }
            }
        }
        orders
    }

    /// Forgets which worker has a tensor; returns the workers that had it.
    pub fn forget(&mut self, digest: Digest) -> Vec<WorkerId> {
        let had =
            self.workers.iter_mut().filter_map(|(&id, worker)| worker.kept.remove(&digest).then_some(id));
        had.collect()
    }

    /// All workers, in the order in which they came.
    pub fn workers(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.workers.iter().map(|(&id, worker)| (id, worker))
    }

    /// The worker of this name.
    #[must_use]
    pub fn worker(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id)
    }

    /// Outcomes dropped because their lease was void.
    #[must_use]
    pub const fn stale(&self) -> u64 {
        self.stale
    }

    fn free_workers(&self, in_hand: usize) -> Vec<WorkerId> {
        let free = |worker: &Worker| worker.in_hand() == in_hand && !worker.draining;
        self.workers.iter().filter(|(_, worker)| free(worker)).map(|(&id, _)| id).collect()
    }

    fn assign_one(&mut self, id: WorkerId, now: Instant) -> Option<Order> {
        let model = self.workers.get(&id)?.model().hash;
        let alone =
            self.workers.values().filter(|worker| worker.model().hash == model && !worker.draining).count()
                < 2;
        let homes = &self.homes;
        let at_home =
            |need: &Need| need.line.and_then(|line| homes.get(&line)).is_none_or(|home| *home == id);
        let need = self.queue.pop(model, |need| at_home(need) && (alone || need.avoid != Some(id)))?;
        if let Some(line) = need.line {
            self.homes.insert(line, id);
        }
        self.next_lease += 1;
        let lease = LeaseId::new(self.next_lease);
        let worker = self.workers.get_mut(&id)?;
        let send = need.tensors.iter().copied().filter(|&digest| worker.kept.insert(digest)).collect();
        worker.leases.insert(lease);
        let order = Order { worker: id, lease, task: need.task, send };
        self.leases.insert(lease, Lease { need, worker: id, since: now });
        Some(order)
    }

    fn leases_of(&self, worker: WorkerId) -> impl Iterator<Item = LeaseId> {
        self.leases.iter().filter(move |(_, lease)| lease.worker == worker).map(|(&id, _)| id)
    }

    fn lose(&mut self, lease: LeaseId, losses: u32) -> Option<Loss> {
        let Lease { need, worker, .. } = self.leases.remove(&lease)?;
        let task = need.task;
        let losses = need.losses + losses;
        if MAX_LOSSES < losses {
            return Some(Loss::GivenUp(task));
        }
        self.queue.push(Need { losses, avoid: Some(worker), ..need });
        Some(Loss::Requeued(task))
    }

    fn release(&mut self, worker: WorkerId, lease: LeaseId) -> Option<Lease> {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.leases.remove(&lease);
        }
        match self.leases.get(&lease) {
            Some(held) if held.worker == worker => self.leases.remove(&lease),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
