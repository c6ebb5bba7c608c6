//! What the actor owns, and what it does with each command.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tessera_proto::{
    Artifact, Assignment, FailureKind, FromWorker, Hello, JobFailure, JobId, JobSpec, JobState, JobStatus,
    LeaseId, Outcome, ToWorker, Work, WorkerId, WorkerStatus, job::Size,
};
use tokio::sync::mpsc;

use super::{
    Command, Error,
    entry::{Entry, Phase, cluster, request, serves},
};
use crate::{
    Options,
    fleet::{Fleet, Lease, Loss, Need, Order, Priority, TaskName, Verdict},
    picture::Picture,
    render::{Action, Event, Job, Output, Plan, Request},
    report::TaskTimes,
    store::Artifacts,
};

/// Finished jobs that are remembered, with their files.
const REMEMBERED: usize = 256;

/// All jobs and all workers.
#[derive(Debug)]
pub(super) struct State {
    options: Options,
    artifacts: Arc<Artifacts>,
    runtime: tokio::runtime::Handle,
    /// The way back to the actor, for what ends later.
    commands: mpsc::WeakSender<Command>,
    fleet: Fleet,
    streams: HashMap<WorkerId, mpsc::Sender<ToWorker>>,
    jobs: BTreeMap<JobId, Entry>,
    next_order: u64,
}

// === impl State ===

impl State {
    pub(super) fn new(
        options: Options,
        artifacts: Arc<Artifacts>,
        runtime: tokio::runtime::Handle,
        commands: mpsc::WeakSender<Command>,
    ) -> Self {
        Self {
            options,
            artifacts,
            runtime,
            commands,
            fleet: Fleet::default(),
            streams: HashMap::new(),
            jobs: BTreeMap::new(),
            next_order: 0,
        }
    }

    /// Carries a command out, then hands out what can be run. Who asked may be gone: replies are best effort.
    pub(super) fn handle(&mut self, command: Command, now: Instant) {
        match command {
            Command::Submit { spec, image, reply } => drop(reply.send(self.submit(spec, image, now))),
            Command::Cancel { job, reply } => drop(reply.send(self.cancel(job, now))),
            Command::Watch { job, reply } => {
                let watched = self.jobs.get(&job).map(Entry::subscribe).ok_or(Error::UnknownJob { job });
                drop(reply.send(watched));
            }
            Command::List { reply } => drop(reply.send(self.list())),
            Command::Workers { reply } => drop(reply.send(self.workers(now))),
            Command::Fetch { job, artifact, reply } => drop(reply.send(self.fetch(job, artifact))),
            Command::Enlist { hello, stream, reply } => {
                let worker = self.enlist(*hello, stream, now);
                let _ = reply.send(worker);
            }
            Command::Said { worker, message } => self.said(worker, message, now),
            Command::Gone { worker } => self.dismiss(worker, "hung up", now),
            Command::Computed { job, event } => self.apply(job, event, now),
            Command::Stored { job, result } => self.stored(job, result, now),
            Command::Tick => self.tick(now),
            Command::Stop => {
                self.streams.clear();
                self.jobs.clear();
                self.fleet = Fleet::default();
            }
        }
        self.hand_out(now);
    }

    fn submit(&mut self, spec: Box<JobSpec>, image: Option<Picture>, now: Instant) -> Result<JobId, Error> {
        self.forget_old_jobs();
        let id = self.fresh_id();
        self.next_order += 1;
        let mut models: Vec<_> = self.fleet.workers().map(|(_, worker)| worker.model()).collect();
        models.retain(|facts| serves(&spec.model, facts));
        models.sort_by_key(|facts| facts.hash);
        models.dedup_by_key(|facts| facts.hash);
        if 1 < models.len() {
            return Err(Error::WhichModel { names: models.iter().map(|facts| facts.name.clone()).collect() });
        }
        let plan =
            models.first().map(|facts| Plan::new(&spec, facts, image.as_ref().map(size))).transpose()?;
        tracing::info!(job = %id, planned = plan.is_some(), "job submitted");
        self.jobs.insert(id, Entry::new(id, self.next_order, (spec, image), now));
        if let Some(plan) = plan {
            self.begin(id, plan, now);
        }
        Ok(id)
    }

    fn cancel(&mut self, id: JobId, now: Instant) -> Result<JobStatus, Error> {
        let entry = self.jobs.get(&id).ok_or(Error::UnknownJob { job: id })?;
        if !entry.is_ended() {
            self.end(id, JobState::Cancelled, None, now);
        }
        Ok(self.jobs[&id].status())
    }

    fn list(&self) -> Vec<JobStatus> {
        let mut entries: Vec<&Entry> = self.jobs.values().collect();
        entries.sort_by_key(|entry| entry.order);
        entries.into_iter().map(Entry::status).collect()
    }

    fn workers(&self, now: Instant) -> Vec<WorkerStatus> {
        let status = |(id, worker): (WorkerId, &crate::fleet::Worker)| WorkerStatus {
            worker: id,
            name: worker.name().to_owned(),
            device: worker.device().to_owned(),
            model_name: worker.model().name.clone(),
            model_hash: worker.model().hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            tasks_in_hand: u32::try_from(worker.in_hand()).unwrap_or(u32::MAX),
            tasks_done: worker.tasks_done(),
            last_seen_ms: millis(now.saturating_duration_since(worker.last_seen())),
        };
        self.fleet.workers().map(status).collect()
    }

    fn fetch(&self, job: JobId, artifact: Artifact) -> Result<PathBuf, Error> {
        let entry = self.jobs.get(&job).ok_or(Error::UnknownJob { job })?;
        let missing = |what: &str| Err(Error::NoArtifact { job, what: what.to_owned() });
        match (&entry.phase, artifact) {
            (Phase::Ended { .. }, _) if entry.status().state != JobState::Done => {
                missing("files: it did not finish")
            }
            (Phase::Ended { has_dump: false }, Artifact::Dump) => missing("dump: submit it with --dump"),
            (Phase::Ended { .. }, _) => Ok(self.artifacts.path(job, artifact)),
            _ => missing("files yet: it is not done"),
        }
    }

    fn enlist(&mut self, hello: Hello, stream: mpsc::Sender<ToWorker>, now: Instant) -> WorkerId {
        tracing::info!(
            name = hello.name,
            device = hello.device,
            model = hello.model.name,
            "worker connected"
        );
        let facts = hello.model.clone();
        let worker = self.fleet.enlist(hello, now);
        let welcome = ToWorker::Welcome { worker, heartbeat: self.options.heartbeat };
        self.streams.insert(worker, stream);
        self.tell(worker, welcome);
        let waits = |entry: &Entry| matches!(&entry.phase, Phase::Waiting { spec, .. } if serves(&spec.model, &facts));
        let waiting: Vec<JobId> =
            self.jobs.iter().filter(|(_, entry)| waits(entry)).map(|(&id, _)| id).collect();
        for id in waiting {
            let Some(Phase::Waiting { spec, image }) = self.jobs.get(&id).map(|entry| &entry.phase) else {
                continue;
            };
            match Plan::new(spec, &facts, image.as_ref().map(size)) {
                Ok(plan) => self.begin(id, plan, now),
                Err(error) => self.fail(id, request(error.to_string()), now),
            }
        }
        worker
    }

    fn begin(&mut self, id: JobId, plan: Plan, now: Instant) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        let Phase::Waiting { image, .. } = &mut entry.phase else {
            return;
        };
        let (job, actions) = Job::new(plan, image.take());
        entry.run(job);
        self.perform(id, actions, now);
    }

    fn said(&mut self, worker: WorkerId, message: FromWorker, now: Instant) {
        self.fleet.heard(worker, now);
        match message {
            FromWorker::Hello(_) | FromWorker::Heartbeat => {}
            FromWorker::Goodbye => self.fleet.drain(worker),
            FromWorker::Outcome(outcome) => self.outcome(worker, outcome, now),
        }
    }

    fn outcome(&mut self, worker: WorkerId, outcome: Outcome, now: Instant) {
        let Outcome { lease, busy, result } = outcome;
        let lease = match self.fleet.settle(worker, lease) {
            Verdict::Current(lease) => lease,
            Verdict::Stale => return tracing::debug!(%worker, "a late outcome was dropped"),
        };
        let TaskName { job: id, number } = lease.need.task;
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(job) = entry.job() else { return };
        match result {
            Ok(tensors) => {
                let stage = job.progress().stage;
                let bytes = tensors.iter().map(|tensor| tensor.byte_len() as u64).sum();
                entry.ledger.task_done(TaskTimes {
                    stage,
                    worker,
                    sent: lease.since,
                    received: now,
                    busy,
                    bytes,
                });
                self.apply(id, Event::Done { task: number, tensors }, now);
            }
            Err(failure) => {
                let what = job.describe(number);
                let who = self.fleet.worker(worker).map_or("a worker", |worker| worker.name()).to_owned();
                tracing::warn!(job = %id, %failure, task = what, worker = who, "task failed");
                let retried =
                    failure.kind != FailureKind::Unsupported && self.fleet.retry(Lease::clone(&lease));
                if retried {
                    entry.ledger.retried();
                    return;
                }
                let message = format!("{what} failed on {who}: {failure}");
                let failure = match failure.kind {
                    FailureKind::Unsupported => request(message),
                    _ => cluster(message),
                };
                self.fail(id, failure, now);
            }
        }
    }

    fn dismiss(&mut self, worker: WorkerId, why: &str, now: Instant) {
        let name = self.fleet.worker(worker).map(|worker| worker.name().to_owned());
        let Some(name) = name else { return };
        self.streams.remove(&worker);
        let losses = self.fleet.dismiss(worker);
        tracing::info!(%worker, name, why, tasks = losses.len(), "worker lost");
        for loss in losses {
            match loss {
                Loss::Requeued(task) => {
                    if let Some(entry) = self.jobs.get_mut(&task.job) {
                        entry.ledger.lost();
                    }
                }
                Loss::GivenUp(task) => {
                    let what = self
                        .jobs
                        .get_mut(&task.job)
                        .and_then(Entry::job)
                        .map(|job| job.describe(task.number));
                    let what = what.unwrap_or_default();
                    let losses = crate::fleet::MAX_LOSSES + 1;
                    let message = format!("{what} lost {losses} workers, the last one {name}, which {why}");
                    self.fail(task.job, cluster(message), now);
                }
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        let Options { silence, task_timeout, worker_wait, .. } = self.options;
        for worker in self.fleet.overdue(now, silence, task_timeout) {
            self.dismiss(worker, "was silent or stuck for too long", now);
        }
        let late = |entry: &Entry| {
            matches!(entry.phase, Phase::Waiting { .. }) && worker_wait < entry.ledger.age(now)
        };
        let late: Vec<JobId> = self.jobs.iter().filter(|(_, entry)| late(entry)).map(|(&id, _)| id).collect();
        for id in late {
            let seconds = worker_wait.as_secs();
            let message = format!(
                "no worker with the job's model connected within {seconds} s: start `tessera worker`"
            );
            self.fail(id, request(message), now);
        }
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        ids.into_iter().for_each(|id| self.refresh(id, now));
    }

    fn apply(&mut self, id: JobId, event: Event, now: Instant) {
        let Some(job) = self.jobs.get_mut(&id).and_then(Entry::job) else {
            return;
        };
        match job.apply(event) {
            Ok(actions) => self.perform(id, actions, now),
            Err(error) => {
                let message = format!("{}: {error}", job.progress().stage.name());
                self.fail(id, cluster(message), now);
            }
        }
    }

    fn perform(&mut self, id: JobId, actions: Vec<Action>, now: Instant) {
        for action in actions {
            match action {
                Action::Enqueue(requests) => self.enqueue(id, requests),
                Action::Compute(computation) => {
                    let commands = self.commands.clone();
                    self.runtime.spawn_blocking(move || {
                        let event = computation.run();
                        // An actor that is gone needs no result.
                        if let Some(commands) = commands.upgrade() {
                            let _ = commands.blocking_send(Command::Computed { job: id, event });
                        }
                    });
                }
                Action::Finish(output) => self.store(id, output, now),
            }
        }
        self.refresh(id, now);
    }

    fn enqueue(&mut self, id: JobId, requests: Vec<Request>) {
        let Some(entry) = self.jobs.get(&id) else { return };
        let (Some(model), order) = (entry.model(), entry.order) else {
            return;
        };
        for Request { task, call, rank, tensors } in requests {
            self.fleet.enqueue(Need {
                task: TaskName { job: id, number: task },
                model,
                priority: Priority { job: order, call, rank },
                tensors,
                failures: 0,
                losses: 0,
                avoid: None,
            });
        }
    }

    /// Writes the files of a finished job, off this thread.
    fn store(&mut self, id: JobId, output: Output, now: Instant) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(summary) = entry.summary() else { return };
        let report = serde_json::to_vec_pretty(&entry.ledger.report(summary, now));
        self.release_tensors(id);
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        entry.phase = Phase::Storing { has_dump: output.dump.is_some() };
        let (artifacts, commands) = (Arc::clone(&self.artifacts), self.commands.clone());
        self.runtime.spawn_blocking(move || {
            let write = || -> std::io::Result<()> {
                artifacts.put(id, Artifact::Picture, &output.png)?;
                artifacts.put(id, Artifact::Report, &report?)?;
                output.dump.map_or(Ok(()), |dump| artifacts.put(id, Artifact::Dump, &dump))
            };
            let result = write().map_err(|error| format!("the finished files cannot be written: {error}"));
            if let Some(commands) = commands.upgrade() {
                let _ = commands.blocking_send(Command::Stored { job: id, result });
            }
        });
    }

    fn stored(&mut self, id: JobId, result: Result<(), String>, now: Instant) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        match result {
            // A job that was cancelled meanwhile stays cancelled.
            _ if entry.is_ended() => self.artifacts.remove(id),
            Ok(()) => {
                tracing::info!(job = %id, seconds = entry.ledger.age(now).as_secs_f64(), "job done");
                entry.end(JobState::Done, None, now);
            }
            Err(message) => self.fail(id, cluster(message), now),
        }
    }

    fn fail(&mut self, id: JobId, failure: JobFailure, now: Instant) {
        tracing::warn!(job = %id, %failure, "job failed");
        self.end(id, JobState::Failed, Some(failure), now);
    }

    fn end(&mut self, id: JobId, state: JobState, failure: Option<JobFailure>, now: Instant) {
        for (worker, lease) in self.fleet.drop_job(id) {
            self.tell(worker, ToWorker::Withdraw { lease });
        }
        self.release_tensors(id);
        if let Some(entry) = self.jobs.get_mut(&id) {
            entry.end(state, failure, now);
        }
    }

    /// No worker needs the conditioning of this job any more.
    fn release_tensors(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id).and_then(Entry::job) else {
            return;
        };
        let digests: Vec<_> = job.tensors().collect();
        // Equal prompts have equal tensors: another job may still need one.
        let others =
            self.jobs.iter_mut().filter(|(other, _)| **other != id).filter_map(|(_, entry)| entry.job());
        let needed: Vec<_> = others.flat_map(|job| job.tensors().collect::<Vec<_>>()).collect();
        for digest in digests.into_iter().filter(|digest| !needed.contains(digest)) {
            for worker in self.fleet.forget(digest) {
                self.tell(worker, ToWorker::Forget { digest });
            }
        }
    }

    /// Gives waiting tasks to free workers.
    fn hand_out(&mut self, now: Instant) {
        for order in self.fleet.assign(now) {
            let Order { worker, lease, task, .. } = order;
            let Some(work) = self.work(&order, now) else {
                continue;
            };
            tracing::trace!(%worker, job = %task.job, task = task.number.0, "task sent");
            self.tell(worker, ToWorker::Assign(Assignment { lease, work }));
        }
    }

    /// Makes an order's work, after sending the tensors that it names.
    fn work(&mut self, order: &Order, now: Instant) -> Option<Work> {
        let Order { worker, lease, task, send } = order;
        let job = self.jobs.get_mut(&task.job)?.job()?;
        let tensors: Vec<_> =
            send.iter().filter_map(|&digest| Some((digest, Arc::clone(job.tensor(digest)?)))).collect();
        let (stage, work) = (job.progress().stage, job.work(task.number));
        let work = match work {
            Ok(Some(work)) => work,
            // Cannot happen while leases and jobs agree; a lease for nothing must not block the worker.
            Ok(None) => return self.void(*worker, *lease),
            Err(error) => {
                self.fail(task.job, cluster(error.to_string()), now);
                return None;
            }
        };
        let bytes = byte_len(&work) + tensors.iter().map(|(_, tensor)| tensor.byte_len() as u64).sum::<u64>();
        self.account(task.job, (stage, *worker, bytes), now);
        for (digest, tensor) in tensors {
            self.tell(*worker, ToWorker::Keep { digest, tensor: (*tensor).clone() });
        }
        Some(work)
    }

    fn account(
        &mut self,
        id: JobId,
        (stage, worker, bytes): (tessera_proto::Stage, WorkerId, u64),
        now: Instant,
    ) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        let model = entry.model();
        // Every worker that could help counts, also one that gets nothing to do.
        for (id, worker) in self.fleet.workers().filter(|(_, worker)| Some(worker.model().hash) == model) {
            entry.ledger.introduce(id, worker.name(), worker.device());
        }
        entry.ledger.task_sent(stage, worker, bytes, now);
    }

    fn void(&mut self, worker: WorkerId, lease: LeaseId) -> Option<Work> {
        let _ = self.fleet.settle(worker, lease);
        None
    }

    /// Sends to a worker. One whose stream is closed or stuck is noticed by its silence.
    fn tell(&mut self, worker: WorkerId, message: ToWorker) {
        if let Some(stream) = self.streams.get(&worker)
            && let Err(error) = stream.try_send(message)
        {
            tracing::debug!(%worker, %error, "cannot send to a worker");
        }
    }

    fn refresh(&mut self, id: JobId, now: Instant) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        let model = entry.model();
        let serving = self.fleet.workers().filter(|(_, worker)| Some(worker.model().hash) == model).count();
        entry.refresh(u32::try_from(serving).unwrap_or(u32::MAX), now);
    }

    /// Keeps the books short: the oldest ended jobs go, with their files.
    fn forget_old_jobs(&mut self) {
        let mut ended: Vec<_> = self
            .jobs
            .iter()
            .filter(|(_, entry)| entry.is_ended())
            .map(|(&id, entry)| (entry.order, id))
            .collect();
        ended.sort_unstable();
        let surplus = ended.len().saturating_sub(REMEMBERED - 1);
        for (_, id) in ended.into_iter().take(surplus) {
            self.jobs.remove(&id);
            self.artifacts.remove(id);
        }
    }

    /// An id that no known job has and nobody can guess.
    fn fresh_id(&self) -> JobId {
        use std::hash::{BuildHasher, RandomState};
        loop {
            let id = JobId::new(RandomState::new().hash_one(self.next_order));
            if !self.jobs.contains_key(&id) {
                return id;
            }
        }
    }
}

fn size(picture: &Picture) -> Size {
    Size { width: picture.width(), height: picture.height() }
}

/// Bytes of a work's tensors and texts.
fn byte_len(work: &Work) -> u64 {
    let bytes = match work {
        Work::Embed { texts } => texts.len() * 64,
        Work::Denoise { tiles: tensor, .. }
        | Work::Encode { image: tensor }
        | Work::Decode { latent: tensor }
        | Work::Upscale { image: tensor, .. } => tensor.byte_len(),
    };
    bytes as u64
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
