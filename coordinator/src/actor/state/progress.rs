//! From outcomes to progress: what workers say and computations return in; jobs that move on, fail or finish out.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tessera_proto::{Failure, FailureKind, FromWorker, JobId, LeaseId, Outcome, ToWorker, WorkerId};

use super::{Outrun, State};
use crate::{
    actor::{
        Command,
        entry::{Entry, cluster, request},
    },
    fleet::{Fleet, Lease, Loss, MAX_LOSSES, TaskName, TaskNumber, Verdict},
    metrics::Again,
    render::{self, Action, Event},
    report::TaskTimes,
    threads,
};

impl State {
    pub(super) fn said(&mut self, worker: WorkerId, message: FromWorker, now: Instant) {
        self.fleet.heard(worker, now);
        match message {
            FromWorker::Hello(hello) => self.renewed(worker, *hello, now),
            FromWorker::Heartbeat => {}
            FromWorker::Goodbye => {
                for lease in self.fleet.drain(worker) {
                    self.tell(worker, ToWorker::Withdraw { lease, stop: false });
                }
            }
            FromWorker::Outcome(outcome) => self.outcome(worker, outcome, now),
        }
        if self.fleet.is_drained(worker) {
            self.dismiss(worker, "said goodbye", now);
        }
    }

    fn outcome(&mut self, worker: WorkerId, outcome: Outcome, now: Instant) {
        let Outcome { lease, busy, result } = outcome;
        let received = self.heard.unwrap_or(now);
        let before = self.last_outcomes.insert(worker, received);
        let spent = result.is_ok().then_some(busy);
        if let Some(worker) = self.fleet.worker(worker) {
            self.meters.worked((worker.name(), worker.device()), busy);
        }
        let lease = match self.fleet.settle(worker, lease, spent, now) {
            Verdict::Current(lease) => lease,
            Verdict::Stale => return self.outrun(worker, lease, (received, before, busy)),
        };
        let TaskName { job: id, number } = lease.need.task;
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(job) = entry.job() else { return };
        match result.and_then(|answer| job.check(number, answer)) {
            Ok(answer) => {
                let place = job.place(number);
                let bytes = answer.byte_len() as u64;
                let times = TaskTimes {
                    task: number,
                    place,
                    worker,
                    sent: lease.since,
                    received,
                    before,
                    busy,
                    bytes,
                };
                entry.ledger.task_done(times);
                if let Some(worker) = self.fleet.worker(worker) {
                    self.meters.accepted(id, &times, (worker.name(), worker.device()));
                }
                self.convict(&lease, now);
                let busy_ms = 1e3 * busy.as_secs_f64();
                tracing::trace!(%worker, job = %id, task = number.0, busy_ms, "task done");
                if let Some((loser, lease)) = self.fleet.accept(&lease) {
                    // Where it runs it goes on: how long it takes is how slow its device is now.
                    self.tell(loser, ToWorker::Withdraw { lease, stop: false });
                    self.outrun.insert(lease, Outrun { job: id, task: number, place });
                }
                self.apply(id, Event::Done { task: number, answer }, now);
            }
            Err(failure) => self.failed(&lease, failure, now),
        }
    }

    /// A task has failed on its worker, or its result is not what was asked for: it is tried again elsewhere, or its job fails.
    fn failed(&mut self, lease: &Lease, failure: Failure, now: Instant) {
        let (TaskName { job: id, number }, worker) = (lease.need.task, lease.worker);
        let Some(job) = self.jobs.get_mut(&id).and_then(Entry::job) else { return };
        let what = job.describe(number);
        let who = self.fleet.worker(worker).map_or("a worker", |worker| worker.name()).to_owned();
        tracing::warn!(job = %id, %failure, task = what, worker = who, "task failed");
        let refused =
            matches!(failure.kind, FailureKind::NotFinite | FailureKind::WrongShape | FailureKind::Damaged);
        if refused {
            self.meters.refused();
        }
        if failure.kind == FailureKind::OutOfMemory && self.relieve(id, number, now) {
            return;
        }
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        let again = Lease::clone(lease);
        let again = if refused { Fleet::suspected(again) } else { again };
        let retried = failure.kind != FailureKind::Unsupported && self.fleet.retry(again);
        if retried {
            entry.ledger.retried();
            entry.tell(format!("{what} failed on {who}, and runs again: {failure}"), now);
            self.meters.again(Again::Failed);
            return;
        }
        let advice = (failure.kind == FailureKind::OutOfMemory)
            .then(|| entry.job().and_then(|job| job.advice(number)))
            .flatten();
        let advice = advice.map(|advice| format!("; {advice}")).unwrap_or_default();
        let message = format!("{what} failed on {who}: {failure}{advice}");
        let failure = match failure.kind {
            FailureKind::Unsupported => request(message),
            _ => cluster(message),
        };
        self.fail(id, failure, now);
    }

    /// An outcome does not count. Where another worker's came first, the job's trace shows what this one was at.
    fn outrun(
        &mut self,
        worker: WorkerId,
        lease: LeaseId,
        (received, before, busy): (Instant, Option<Instant>, Duration),
    ) {
        tracing::debug!(%worker, "a late outcome was dropped");
        let Some(Outrun { job, task, place }) = self.outrun.remove(&lease) else { return };
        if let Some(entry) = self.jobs.get_mut(&job) {
            let sent = received.checked_sub(busy).unwrap_or(received);
            entry.ledger.withdrawn(&TaskTimes {
                task,
                place,
                worker,
                sent,
                received,
                before,
                busy,
                bytes: 0,
            });
        }
    }

    /// Lets a stage that finds no memory begin again with less at a time; returns whether it does.
    fn relieve(&mut self, id: JobId, task: TaskNumber, now: Instant) -> bool {
        let Some(job) = self.jobs.get_mut(&id).and_then(Entry::job) else { return false };
        match job.relieve(task) {
            Ok(None) => false,
            Ok(Some(actions)) => {
                self.perform(id, actions, now);
                true
            }
            Err(error) => {
                self.fail(id, cluster(error.to_string()), now);
                true
            }
        }
    }

    pub(super) fn dismiss(&mut self, worker: WorkerId, why: &str, now: Instant) {
        let known = self.fleet.worker(worker);
        let known =
            known.map(|worker| (worker.name().to_owned(), worker.device().to_owned(), worker.model_hash()));
        let Some((name, device, model)) = known else { return };
        self.meters.went((&name, &device));
        self.streams.remove(&worker);
        self.last_outcomes.remove(&worker);
        let losses = self.fleet.dismiss(worker);
        tracing::info!(%worker, name, why, tasks = losses.len(), "worker lost");
        let mut requeued: BTreeMap<JobId, u32> = BTreeMap::new();
        for loss in losses {
            match loss {
                Loss::Requeued(task) => {
                    self.meters.again(Again::Lost);
                    if let Some(entry) = self.jobs.get_mut(&task.job) {
                        entry.ledger.lost();
                        *requeued.entry(task.job).or_default() += 1;
                    }
                }
                Loss::GivenUp(task) => {
                    let what = self
                        .jobs
                        .get_mut(&task.job)
                        .and_then(Entry::job)
                        .map(|job| job.describe(task.number));
                    let what = what.unwrap_or_default();
                    let losses = MAX_LOSSES + 1;
                    let message = format!("{what} lost {losses} workers, the last one {name}, which {why}");
                    self.fail(task.job, cluster(message), now);
                }
            }
        }
        let served = self.jobs.iter_mut().filter(|(_, entry)| model.is_some() && entry.model() == model);
        for (job, entry) in served {
            entry.ledger.left(worker, now);
            let again = match requeued.get(job) {
                None => String::new(),
                Some(1) => ": a task runs again".to_owned(),
                Some(tasks) => format!(": {tasks} tasks run again"),
            };
            entry.tell(format!("worker {name} on {device} {why}{again}"), now);
        }
    }

    pub(super) fn apply(&mut self, id: JobId, event: Event, now: Instant) {
        let Some(job) = self.jobs.get_mut(&id).and_then(Entry::job) else {
            return;
        };
        let cause = match &event {
            Event::Done { task, .. } => Some(*task),
            Event::Computed(_) | Event::Written { .. } => None,
        };
        match job.apply(event) {
            Ok(actions) => {
                self.note_waits(id, cause, &actions);
                self.perform(id, actions, now);
            }
            Err(error) => {
                let message = format!("{}: {error}", job.progress().stage.name());
                self.fail(id, cluster(message), now);
            }
        }
    }

    /// A trace shows which result let which tasks begin.
    fn note_waits(&mut self, id: JobId, cause: Option<TaskNumber>, actions: &[Action]) {
        let (Some(cause), Some(entry)) = (cause, self.jobs.get_mut(&id)) else { return };
        let requests = actions.iter().flat_map(|action| match action {
            Action::Enqueue(requests) => requests.as_slice(),
            _ => &[],
        });
        requests.for_each(|request| entry.ledger.released(cause, request.task));
    }

    pub(super) fn perform(&mut self, id: JobId, actions: Vec<Action>, now: Instant) {
        for action in actions {
            match action {
                Action::Enqueue(requests) => self.enqueue(id, requests),
                Action::Share(digests) => self.shared.push((id, digests)),
                Action::Release(digest) => self.release(id, &[digest]),
                Action::Withdraw { forget } => {
                    for (worker, lease) in self.fleet.clear_job(id) {
                        self.tell(worker, ToWorker::Withdraw { lease, stop: true });
                    }
                    forget.iter().for_each(|&digest| self.release(id, &[digest]));
                }
                Action::Compute(computation) => {
                    let commands = self.commands.clone();
                    let computing = threads::compute(&self.runtime, move || computation.run());
                    self.runtime.spawn(async move {
                        // A panic must not leave the job waiting for ever.
                        let event =
                            computing.await.unwrap_or(Event::Computed(Err(render::Error::Computation)));
                        // An actor that is gone needs no result.
                        if let Some(commands) = commands.upgrade() {
                            let _ = commands.send(Command::Computed { job: id, event }).await;
                        }
                    });
                }
                Action::Begin(picture) => self.begin_file(id, picture),
                Action::Write(band) => {
                    if let Some(file) = self.jobs.get(&id).and_then(Entry::file) {
                        file.write(band);
                    }
                }
                Action::Finish(output) => self.finish_files(id, output, now),
            }
        }
        self.refresh(id, now);
    }
}
