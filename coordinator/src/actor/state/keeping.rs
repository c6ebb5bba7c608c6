//! What outlives us: jobs as they move on in; checkpoints for the keeper, and jobs that come back, out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tessera_proto::{JobId, ToWorker};
use tokio::sync::oneshot;

use super::State;
use crate::{
    actor::{
        entry::{Entry, Input, Phase, request},
        keeper::{Keeper, Kept, Order},
    },
    fleet::Fleet,
    render::{Checkpoint, Source},
    store::{Over, Restored},
};

/// How long a job rests whose files could not be written.
const REST: Duration = Duration::from_secs(3);

impl State {
    /// Takes up what earlier coordinators have left.
    pub(in crate::actor) fn remember(
        &mut self,
        keeper: Keeper,
        ended: Vec<Over>,
        open: Vec<Restored>,
        now: Instant,
    ) {
        self.keeper = Some(keeper);
        for over in ended {
            self.next_order = self.next_order.max(over.place);
            self.jobs.insert(over.job, Entry::over(over, now));
        }
        self.take_up(open, now);
    }

    /// Goes on with jobs of coordinators that are gone.
    fn take_up(&mut self, jobs: Vec<Restored>, now: Instant) {
        for restored in jobs {
            tracing::info!(job = %restored.job, "job goes on");
            self.next_order = self.next_order.max(restored.place);
            self.jobs.insert(restored.job, Entry::restored(restored, now));
        }
    }

    /// Has something kept, where anything is.
    pub(super) fn order(&self, order: Order) {
        if let Some(keeper) = &self.keeper {
            keeper.order(order);
        }
    }

    /// Makes checkpoints of the jobs that have moved on since their last ones: at the end of a stage, and every so often.
    pub(super) fn keep(&mut self, now: Instant) {
        let Some(keeper) = self.keeper.as_ref().filter(|_| self.fault.is_none()) else { return };
        for (&job, entry) in &mut self.jobs {
            let Some(mark) = entry.job().and_then(|job| job.mark()) else { continue };
            let due = match entry.kept {
                None => true,
                Some((kept, _)) if kept == mark => false,
                Some((kept, at)) => {
                    !kept.same_stage(mark) || self.options.checkpoint <= now.saturating_duration_since(at)
                }
            };
            if !due || entry.keeping {
                continue;
            }
            if let Some(checkpoint) = entry.job().and_then(|job| job.checkpoint()) {
                let checkpoint = checkpoint.with_books(entry.books());
                keeper.order(Order::Keep { job, checkpoint: Arc::new(checkpoint) });
                (entry.kept, entry.keeping) = (Some((mark, now)), true);
            }
        }
    }

    /// Something is safe, or cannot be made so.
    pub(super) fn heed(&mut self, kept: Kept, now: Instant) {
        match kept {
            Kept::Checkpoint { job } => {
                if let Some(entry) = self.jobs.get_mut(&job) {
                    entry.keeping = false;
                }
            }
            Kept::Loaded { job, result } => self.loaded(job, result, now),
            Kept::Ended { job } => {
                if let Some(entry) = self.jobs.get_mut(&job) {
                    entry.publish();
                }
            }
            Kept::Refused { job } | Kept::Lost { job } => self.drop_job(job, now),
            Kept::Claimed(jobs) => {
                self.take_up(jobs, now);
                self.begin_waiting(now);
            }
            Kept::Fault(fault) => {
                let why = fault.as_ref().map(|fault| format!("paused: {fault}"));
                self.jobs.values_mut().for_each(|entry| entry.pause(why.as_deref(), now));
                self.fault = fault;
                self.begin_waiting(now);
            }
        }
    }

    /// A job that cannot be written now goes back to where it was last stored, and on from there in a while.
    pub(super) fn suspend(&mut self, id: JobId, why: &str, now: Instant) {
        tracing::warn!(job = %id, why, "the job is paused");
        self.withdraw(id);
        if let Some(entry) = self.jobs.get_mut(&id) {
            entry.suspend(now + REST);
            entry.pause(Some(&format!("paused: {why}")), now);
        }
    }

    /// Stores how far each job is, then ends all streams.
    pub(super) fn stop(&mut self, reply: oneshot::Sender<()>, now: Instant) {
        for entry in self.jobs.values_mut() {
            // Due at once; what is on its way is behind by what has come since.
            (entry.kept, entry.keeping) = (None, false);
        }
        self.keep(now);
        match self.keeper.take() {
            Some(keeper) => keeper.order(Order::Flush { done: reply }),
            // Who asked may be gone.
            None => drop(reply.send(())),
        }
        self.streams.clear();
        self.jobs.clear();
        self.fleet = Fleet::default();
        self.stopped = true;
    }

    fn loaded(&mut self, id: JobId, result: Result<(Source, Option<Box<Checkpoint>>), String>, now: Instant) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        let Phase::Waiting { input } = &mut entry.phase else { return };
        match result {
            Ok((source, checkpoint)) => {
                let books = checkpoint.as_ref().and_then(|checkpoint| checkpoint.books().map(str::to_owned));
                *input = Input::Here { source, checkpoint };
                entry.recall(books.as_deref());
                entry.pause(None, now);
                self.begin_waiting(now);
            }
            Err(message) => self.fail(id, request(message), now),
        }
    }

    /// Forgets a job that is not ours.
    fn drop_job(&mut self, id: JobId, now: Instant) {
        tracing::warn!(job = %id, "the job is not ours");
        self.withdraw(id);
        self.jobs.remove(&id);
        self.begin_waiting(now);
    }

    /// No task of a job is wanted any more, nor anything that workers keep for it.
    pub(super) fn withdraw(&mut self, id: JobId) {
        for (worker, lease) in self.fleet.drop_job(id) {
            self.tell(worker, ToWorker::Withdraw { lease, stop: true });
        }
        self.release_tensors(id);
        self.outrun.retain(|_, outrun| outrun.job != id);
    }
}
