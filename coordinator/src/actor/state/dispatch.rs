//! From tasks to messages: requests of jobs and orders of the fleet in, works on workers' streams out.

use std::{sync::Arc, time::Instant};

use tessera_proto::{Assignment, Digest, JobId, Moments, Stage, ToWorker, Work, WorkerId};

use super::State;
use crate::{
    actor::{
        Command,
        entry::{Entry, cluster},
    },
    clock,
    fleet::{Line, Need, Order, Placement, Priority, Reason, TaskName},
    render::Request,
};

impl State {
    pub(super) fn enqueue(&mut self, id: JobId, requests: Vec<Request>) {
        let Some(entry) = self.jobs.get(&id) else { return };
        let Some(model) = entry.model() else { return };
        for Request { task, call, rank, class, slack, tensors, line } in requests {
            let name = TaskName { job: id, number: task };
            let mut need = Need::new(name, model, class, Priority { call, rank });
            need.slack = slack;
            need.tensors = tensors;
            need.line = line.map(|index| Line { job: id, index });
            self.fleet.enqueue(need);
        }
    }

    /// Gives waiting tasks to free workers, until every task has a worker that takes it or no worker is free.
    pub(super) fn hand_out(&mut self, now: Instant) {
        loop {
            self.hand_out_once(now);
            let deaf = std::mem::take(&mut self.deaf);
            if deaf.is_empty() {
                return self.arm(now);
            }
            deaf.into_iter().for_each(|worker| self.dismiss(worker, "took no more messages", now));
        }
    }

    fn hand_out_once(&mut self, now: Instant) {
        let Placement { withdrawn, orders } = self.fleet.assign(now);
        for (worker, lease) in withdrawn {
            self.tell(worker, ToWorker::Withdraw { lease, stop: false });
        }
        for order in orders {
            let Order { worker, lease, task, reason, .. } = order;
            let Some((stage, work)) = self.work(&order, now) else {
                // The worker never hears of it.
                self.fleet.discard(worker, lease);
                continue;
            };
            tracing::trace!(%worker, job = %task.job, task = task.number.0, "task sent");
            self.tell(worker, ToWorker::Assign(Assignment { lease, work }));
            let Some(entry) = self.jobs.get_mut(&task.job) else { continue };
            match reason {
                Reason::Turn => {}
                Reason::TakenBack { from } => entry.ledger.taken_back(from),
                Reason::Second => entry.ledger.run_twice(worker),
            }
            if let Some(heard) = self.heard {
                let after = clock::now().saturating_duration_since(heard);
                entry.ledger.dispatched(stage, worker, after);
                self.meters.dispatched(after);
            }
        }
    }

    /// Sends tensors that many tasks will name to all workers that may get one, before they do: workers have nothing else
    /// to do while one of them makes the base picture, and at the start of a tiled pass they would all wait for them.
    pub(super) fn share(&mut self) {
        for (id, digests) in std::mem::take(&mut self.shared) {
            let Some(job) = self.jobs.get_mut(&id).and_then(Entry::job) else { continue };
            let model = job.plan().facts().hash;
            let tensors: Vec<_> =
                digests.into_iter().filter_map(|digest| Some((digest, job.tensor(digest)?))).collect();
            for (digest, tensor) in tensors {
                for worker in self.fleet.lacking(model, digest) {
                    self.tell(worker, ToWorker::Keep { digest, tensor: Arc::clone(&tensor) });
                }
            }
        }
    }

    /// Sees to it that tasks are handed out again when the fleet wants to, though nothing is heard until then.
    fn arm(&mut self, now: Instant) {
        let Some(at) = self.fleet.next_turn(now) else { return };
        if self.armed.is_some_and(|armed| now < armed && armed <= at) {
            return;
        }
        self.armed = Some(at);
        let commands = self.commands.clone();
        self.runtime.spawn(async move {
            tokio::time::sleep(at.saturating_duration_since(now)).await;
            // An actor that is gone has nothing to hand out.
            if let Some(commands) = commands.upgrade() {
                let _ = commands.send(Command::Turn).await;
            }
        });
    }

    /// Makes an order's work, and says of which stage it is, after sending the tensors that it names.
    fn work(&mut self, order: &Order, now: Instant) -> Option<(Stage, Work)> {
        let Order { worker, task, send, .. } = order;
        let job = self.jobs.get_mut(&task.job)?.job()?;
        let tensors: Vec<_> = send.iter().filter_map(|&digest| Some((digest, job.tensor(digest)?))).collect();
        let (stage, work) = (job.progress().stage, job.work(task.number));
        let work = match work {
            Ok(Some(work)) => work,
            // Cannot happen while leases and jobs agree.
            Ok(None) => return None,
            Err(error) => {
                self.fail(task.job, cluster(error.to_string()), now);
                return None;
            }
        };
        let bytes = byte_len(&work) + tensors.iter().map(|(_, tensor)| tensor.byte_len() as u64).sum::<u64>();
        if let Some(entry) = self.jobs.get_mut(&task.job) {
            entry.ledger.task_sent(stage, *worker, bytes, now);
        }
        for (digest, tensor) in tensors {
            self.tell(*worker, ToWorker::Keep { digest, tensor });
        }
        Some((stage, work))
    }

    /// Sends to a worker. One whose stream is closed or full has missed a message and is given up.
    pub(super) fn tell(&mut self, worker: WorkerId, message: ToWorker) {
        if let Some(stream) = self.streams.get(&worker)
            && let Err(error) = stream.try_send(message)
        {
            tracing::debug!(%worker, %error, "cannot send to a worker");
            self.deaf.push(worker);
        }
    }

    /// No worker needs the conditioning of this job any more.
    pub(super) fn release_tensors(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id).and_then(Entry::job) else {
            return;
        };
        let digests: Vec<_> = job.tensors().collect();
        self.release(id, &digests);
    }

    /// No task of this job names these tensors any more.
    pub(super) fn release(&mut self, id: JobId, digests: &[Digest]) {
        // Equal prompts have equal tensors: another job may still need one.
        let others =
            self.jobs.iter_mut().filter(|(other, _)| **other != id).filter_map(|(_, entry)| entry.job());
        let needed: Vec<_> = others.flat_map(|job| job.tensors().collect::<Vec<_>>()).collect();
        for &digest in digests.iter().filter(|digest| !needed.contains(digest)) {
            for worker in self.fleet.forget(digest) {
                self.tell(worker, ToWorker::Forget { digest });
            }
        }
    }
}

/// Bytes of a work's tensors and texts.
fn byte_len(work: &Work) -> u64 {
    let bytes = match work {
        Work::Embed { texts } => texts.len() * 64,
        Work::Denoise { tiles: tensor, .. }
        | Work::Encode { image: tensor }
        | Work::Decode { latent: tensor }
        | Work::Upscale { image: tensor, .. }
        | Work::Measure { input: tensor, .. } => tensor.byte_len(),
        Work::Advance { known, .. } => known.iter().map(Moments::byte_len).sum(),
    };
    bytes as u64
}
