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
//!
//! A task may have two leases at once, on two workers: see `placement`.

mod account;
mod load;
mod models;
mod need;
mod placement;
mod queue;
mod speed;
mod worker;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tessera_proto::{Digest, Hello, JobId, LeaseId, Speed, WorkerId};

pub use load::Load;
pub use models::Demand;
pub use need::{Line, Need, Priority, TaskName, TaskNumber};
pub use placement::Placement;
use queue::Queue;
pub use queue::Standing;
pub use speed::{Class, Kind};
use worker::Conduct;
pub use worker::Worker;

/// Tasks that a worker holds at most: one runs, one is ready, so that the device never waits for the network.
pub const IN_HAND: usize = 2;

/// Times a task may lose its worker before it is taken for the cause.
pub const MAX_LOSSES: u32 = 4;

/// Answers of a worker that are refused, and given well by another one, before no more is given to it.
pub const MAX_FAULTS: u32 = 3;

/// All workers, all waiting tasks, all leases.
#[derive(Debug, Default)]
pub struct Fleet {
    workers: BTreeMap<WorkerId, Worker>,
    queue: Queue,
    leases: BTreeMap<LeaseId, Lease>,
    next_worker: u64,
    next_lease: u64,
    stale: u64,
    duplicates: u64,
    taken_back: u64,
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
    /// What its job has paid for it.
    paid: f64,
    /// The same task's other lease, while both run.
    twin: Option<LeaseId>,
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
    /// Why it is given.
    pub reason: Reason,
}

/// Why a worker is given a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It waited.
    Turn,
    /// It waited behind another one on this worker, which has it no more.
    TakenBack {
        /// The worker.
        from: WorkerId,
    },
    /// Another worker is late with it, and still at it.
    Second,
}

/// What an outcome is worth.
#[derive(Debug)]
pub enum Verdict {
    /// It counts: [accept](Fleet::accept) it or [try it again](Fleet::retry).
    Current(Box<Lease>),
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

    /// A worker is known to take so long for a class of tasks, as if it had just done one.
    pub fn teach(&mut self, worker: WorkerId, speed: Speed, now: Instant) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.teach(speed, now);
        }
    }

    /// The worker takes no more tasks, but finishes the one that it runs, its oldest. Returns the leases of the others,
    /// which are void: their tasks wait again, and this counts as no loss.
    pub fn drain(&mut self, id: WorkerId) -> Vec<LeaseId> {
        let Some(worker) = self.workers.get_mut(&id) else { return Vec::new() };
        worker.standing = Conduct::Draining;
        let void: Vec<LeaseId> = worker.hands.iter().skip(1).map(|hand| hand.lease).collect();
        self.requeue(id, &void);
        void
    }

    /// The worker is given no more tasks, and none of its answers counts. Returns its leases, which are void: their tasks
    /// wait again.
    pub fn quarantine(&mut self, id: WorkerId, why: String) -> Vec<LeaseId> {
        let Some(worker) = self.workers.get_mut(&id) else { return Vec::new() };
        worker.standing = Conduct::Quarantined { why };
        let void: Vec<LeaseId> = worker.hands.iter().map(|hand| hand.lease).collect();
        self.requeue(id, &void);
        void
    }

    /// Whether the worker has said goodbye and has nothing left to do.
    #[must_use]
    pub fn is_drained(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|worker| worker.is_draining() && worker.in_hand() == 0)
    }

    /// The worker is gone: its tasks wait again, unless another one runs them too.
    pub fn dismiss(&mut self, id: WorkerId) -> Vec<Loss> {
        let Some(worker) = self.workers.remove(&id) else { return Vec::new() };
        self.queue.leave(id);
        // One that left in order is not suspected of having died of its task.
        let losses = u32::from(!worker.is_draining());
        worker.hands.iter().filter_map(|hand| self.lose(hand.lease, losses)).collect()
    }

    /// Workers not heard of since `silence` ago, and those that are at one task for longer than `task_timeout`.
    #[must_use]
    pub fn overdue(&self, now: Instant, silence: Duration, task_timeout: Duration) -> Vec<WorkerId> {
        let overdue = |worker: &Worker| {
            let silent = silence < now.saturating_duration_since(worker.last_seen);
            let busy = worker.busy_since();
            silent || busy.is_some_and(|since| task_timeout < now.saturating_duration_since(since))
        };
        self.workers.iter().filter(|(_, worker)| overdue(worker)).map(|(&id, _)| id).collect()
    }

    /// A job may have tasks from now on, and has this standing beside others.
    pub fn admit(&mut self, job: JobId, standing: Standing) {
        self.queue.admit(job, standing);
    }

    /// A task waits for a worker.
    pub fn enqueue(&mut self, need: Need) {
        self.queue.push_new(need);
    }

    /// A job's tasks wait no more. Returns the leases that are void now, and their workers.
    pub fn clear_job(&mut self, job: JobId) -> Vec<(WorkerId, LeaseId)> {
        self.queue.clear(job);
        let of_job = self.leases.iter().filter(|(_, lease)| lease.need.task.job == job);
        let mut void: Vec<_> = of_job.map(|(&id, lease)| (lease.worker, id)).collect();
        void.sort_unstable();
        for &(worker, lease) in &void {
            let _ = self.void(worker, lease);
        }
        void
    }

    /// A job is over. Returns what [`clear_job`](Self::clear_job) does.
    pub fn drop_job(&mut self, job: JobId) -> Vec<(WorkerId, LeaseId)> {
        let void = self.clear_job(job);
        self.queue.remove(job);
        void
    }

    /// Judges an outcome by its lease. `busy` is the time in the network, of a task that succeeded.
    pub fn settle(
        &mut self,
        worker: WorkerId,
        lease: LeaseId,
        busy: Option<Duration>,
        now: Instant,
    ) -> Verdict {
        let took = self.workers.get_mut(&worker).and_then(|worker| worker.ended(lease, busy, now));
        if self.leases.get(&lease).is_none_or(|held| held.worker != worker) {
            self.stale += 1;
            return Verdict::Stale;
        }
        let Some(held) = self.leases.remove(&lease) else { return Verdict::Stale };
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.tasks_done += 1;
        }
        self.queue.settle(held.need.task.job, held.paid, took.map(|took| took.as_secs_f64()));
        Verdict::Current(Box::new(held))
    }

    /// An outcome is good. Returns the task's other lease, which is void now, and its worker.
    pub fn accept(&mut self, lease: &Lease) -> Option<(WorkerId, LeaseId)> {
        self.queue.accepted(lease.need.task.job);
        let twin = lease.twin?;
        let stays = self.workers.get(&lease.worker).is_some_and(Worker::serves);
        if let Some(line) = lease.need.line.filter(|_| stays) {
            self.queue.move_line(line, lease.worker);
        }
        let worker = self.leases.get(&twin)?.worker;
        let _ = self.void(worker, twin);
        Some((worker, twin))
    }

    /// The task failed on `lease.worker`: it waits again, for another worker where there is one, unless another one runs
    /// it too.
    ///
    /// Returns whether it does; a task fails for good the second time.
    pub fn retry(&mut self, lease: Lease) -> bool {
        if 0 < lease.need.failures {
            return false;
        }
        // Elsewhere means that the line moves.
        if let Some(line) = lease.need.line {
            self.queue.free_line(line);
        }
        match lease.twin.and_then(|twin| self.leases.get_mut(&twin)) {
            Some(twin) => {
                (twin.need.failures, twin.need.avoid) = (1, Some(lease.worker));
                twin.need.suspect = lease.need.suspect;
                twin.twin = None;
            }
            None => self.queue.push(Need { failures: 1, avoid: Some(lease.worker), ..lease.need }),
        }
        true
    }

    /// An answer was refused: if another worker's to the same task is good, this one's device is at fault.
    #[must_use]
    pub fn suspected(lease: Lease) -> Lease {
        Lease { need: Need { suspect: Some(lease.worker), ..lease.need }, ..lease }
    }

    /// A good answer to a task. Returns the worker that [was suspected](Self::suspected) over it and has now been found at
    /// fault [too often](MAX_FAULTS).
    pub fn convict(&mut self, lease: &Lease) -> Option<WorkerId> {
        let id = lease.need.suspect.filter(|&suspect| suspect != lease.worker)?;
        let worker = self.workers.get_mut(&id)?;
        worker.faults += 1;
        (worker.serves() && MAX_FAULTS <= worker.faults).then_some(id)
    }

    /// There is no work behind a lease: it is as if it had not been given.
    pub fn discard(&mut self, worker: WorkerId, lease: LeaseId) {
        let _ = self.void(worker, lease);
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.forget(lease);
        }
    }

    /// Workers of a model that do not have a tensor. They count as having it from now on: it must be sent to them.
    pub fn lacking(&mut self, model: [u8; 32], digest: Digest) -> Vec<WorkerId> {
        let serves = |worker: &Worker| worker.serves() && worker.model_hash() == Some(model);
        let serving = self.workers.iter_mut().filter(|(_, worker)| serves(worker));
        serving.filter_map(|(&id, worker)| worker.kept.insert(digest).then_some(id)).collect()
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

    /// Tasks that a second worker was given while the first one was late with them.
    #[must_use]
    pub const fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Tasks that were taken back from behind another one.
    #[must_use]
    pub const fn taken_back(&self) -> u64 {
        self.taken_back
    }

    /// Tasks of a worker wait again; this counts as no loss.
    fn requeue(&mut self, id: WorkerId, leases: &[LeaseId]) {
        self.queue.leave(id);
        for &lease in leases {
            if let Some(held) = self.void(id, lease)
                && !self.has_twin(&held)
            {
                self.queue.push(held.need);
            }
        }
    }

    fn lose(&mut self, lease: LeaseId, losses: u32) -> Option<Loss> {
        let held = self.leases.remove(&lease)?;
        let (task, worker) = (held.need.task, held.worker);
        self.queue.settle(task.job, held.paid, None);
        let losses = held.need.losses + losses;
        if let Some(twin) = held.twin.and_then(|twin| self.leases.get_mut(&twin)) {
            twin.need.losses = losses;
            twin.twin = None;
            return None;
        }
        if MAX_LOSSES < losses {
            return Some(Loss::GivenUp(task));
        }
        self.queue.push(Need { losses, avoid: Some(worker), ..held.need });
        Some(Loss::Requeued(task))
    }

    /// Takes a lease away from its worker.
    fn void(&mut self, worker: WorkerId, lease: LeaseId) -> Option<Lease> {
        let held = self.leases.remove(&lease)?;
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.release(lease);
        }
        self.queue.settle(held.need.task.job, held.paid, None);
        if let Some(twin) = held.twin.and_then(|twin| self.leases.get_mut(&twin)) {
            twin.twin = None;
        }
        Some(held)
    }

    /// Whether another worker runs the task of a lease that is gone.
    fn has_twin(&self, lease: &Lease) -> bool {
        lease.twin.is_some_and(|twin| self.leases.contains_key(&twin))
    }
}

#[cfg(test)]
mod tests;
