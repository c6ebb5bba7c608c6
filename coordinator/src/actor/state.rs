//! What the actor owns, and what it does with each command.

mod dispatch;
mod figures;
mod files;
mod keeping;
mod models;
mod progress;
mod waiting;
mod workers;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use tessera_proto::{
    Artifact, Digest, FromWorker, JobFailure, JobHistory, JobId, JobSpec, JobState, JobStatus, LeaseId,
    ToWorker, WorkerId,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Command, Error, Fetch, HELD, REMEMBERED,
    entry::{Entry, Input, Phase, cluster, held},
    keeper::{Keeper, Order},
};
use crate::{
    Options, clock,
    fleet::{Fleet, TaskNumber, Worker},
    metrics::Meters,
    render::{Action, Checkpoint, Job, Place, Plan, Source},
    report::Report,
    store::Artifacts,
};
use models::KeptModels;

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
    /// Workers that have missed a message.
    deaf: Vec<WorkerId>,
    jobs: BTreeMap<JobId, Entry>,
    next_order: u64,
    /// The way to what outlives us, where something does.
    keeper: Option<Keeper>,
    /// Why the store fails at the moment: no task is handed out meanwhile.
    fault: Option<String>,
    /// What the times of traces count from.
    origin: Instant,
    /// When each worker's last outcome came, counted or not.
    last_outcomes: HashMap<WorkerId, Instant>,
    /// Tasks that were withdrawn because another worker's result came first; their own may still come.
    outrun: HashMap<LeaseId, Outrun>,
    /// When the outcome came that is being dealt with.
    heard: Option<Instant>,
    /// When the fleet is asked again at the latest.
    armed: Option<Instant>,
    /// What happens is counted.
    meters: Meters,
    /// The models that workers can fetch.
    kept_models: KeptModels,
    /// Whether it is over.
    stopped: bool,
    /// Tensors of jobs that all workers shall have soon; what is more urgent goes first.
    shared: Vec<(JobId, Vec<Digest>)>,
}

/// A second run, or the one that it was faster than.
#[derive(Debug)]
struct Outrun {
    job: JobId,
    task: TaskNumber,
    place: Place,
}

// === impl State ===

impl State {
    pub(super) fn new(
        options: Options,
        artifacts: Arc<Artifacts>,
        (runtime, commands): (tokio::runtime::Handle, mpsc::WeakSender<Command>),
        meters: Meters,
    ) -> Self {
        Self {
            options,
            artifacts,
            runtime,
            commands,
            fleet: Fleet::default(),
            streams: HashMap::new(),
            deaf: Vec::new(),
            jobs: BTreeMap::new(),
            next_order: 0,
            keeper: None,
            fault: None,
            origin: clock::now(),
            last_outcomes: HashMap::new(),
            outrun: HashMap::new(),
            heard: None,
            armed: None,
            meters,
            kept_models: KeptModels::default(),
            stopped: false,
            shared: Vec::new(),
        }
    }

    /// Carries a command out, then hands out what can be run. Who asked may be gone: replies are best effort.
    pub(super) fn handle(&mut self, command: Command, now: Instant) {
        match command {
            Command::Submit { spec, source, reply } => self.submit((spec, source), reply, now),
            Command::Cancel { job, reply } => drop(reply.send(self.cancel(job, now))),
            Command::Watch { job, reply } => {
                let watched = self.jobs.get(&job).map(Entry::subscribe).ok_or(Error::UnknownJob { job });
                drop(reply.send(watched));
            }
            Command::List { reply } => drop(reply.send(self.list())),
            Command::Show { job, reply } => drop(reply.send(self.show(job, now))),
            Command::Workers { reply } => drop(reply.send(self.workers(now))),
            Command::Drain { worker, reply } => drop(reply.send(self.drain(&worker, now))),
            // Who asks a coordinator that is stopping hears so, and hangs up.
            Command::Figures { reply } if self.stopped => drop(reply),
            Command::Figures { reply } => drop(reply.send(self.figures())),
            Command::Fetch { job, artifact, reply } => drop(reply.send(self.fetch(job, artifact))),
            Command::Enlist { hello, stream, reply } => {
                let worker = self.enlist(*hello, stream, now);
                if reply.send(worker).is_err() {
                    self.dismiss(worker, "hung up before it was welcomed", now);
                }
            }
            Command::Said { worker, message, heard } => {
                self.heard = matches!(message, FromWorker::Outcome(_)).then_some(heard);
                self.said(worker, message, now);
            }
            Command::Gone { worker } => self.dismiss(worker, "hung up", now),
            Command::Computed { job, event } => self.apply(job, event, now),
            Command::Stored { job, result } => self.stored(job, result, now),
            Command::Kept(kept) => self.heed(kept, now),
            Command::Adopt { over, reply } => {
                self.jobs.entry(over.job).or_insert_with(|| Entry::over(*over, now));
                let _ = reply.send(());
            }
            Command::Models(models) => self.keep_models(models, now),
            Command::Turn => {}
            Command::Tick => self.tick(now),
            Command::Stop { reply } => self.stop(reply, now),
        }
        if self.fault.is_none() {
            self.hand_out(now);
            self.share();
        }
        self.heard = None;
    }

    /// Takes a job in; who asked is answered when it is safe.
    fn submit(
        &mut self,
        (spec, source): (Box<JobSpec>, Source),
        reply: oneshot::Sender<Result<JobId, Error>>,
        now: Instant,
    ) {
        self.forget_old_jobs();
        let plan = match self.room(&spec, &source).and_then(|()| self.planned(&spec, &source)) {
            Ok(plan) => plan,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let id = self.fresh_id();
        self.next_order += 1;
        tracing::info!(job = %id, planned = plan.is_some(), "job submitted");
        match &self.keeper {
            Some(keeper) => {
                let (place, spec) = (self.next_order, spec.clone());
                keeper.order(Order::Admit { job: id, place, spec, reply });
            }
            None => drop(reply.send(Ok(id))),
        }
        self.jobs.insert(id, Entry::new(id, self.next_order, (spec, source), now));
        if let Some(plan) = plan
            && self.may_begin(id)
        {
            self.begin(id, plan, now);
        }
    }

    /// Whether there is room for one more job of a user, and for what it brings.
    fn room(&self, spec: &JobSpec, source: &Source) -> Result<(), Error> {
        let open = || self.jobs.values().filter(|entry| !entry.is_over());
        let of_user = open().filter(|entry| entry.user == spec.user).count();
        if self.options.queue <= of_user {
            return Err(Error::Queue { user: spec.user.clone(), open: of_user });
        }
        let held = open().map(|entry| entry.held).sum::<u64>() + held(spec, source.byte_len());
        if HELD < held { Err(Error::Full { held: held >> 20 }) } else { Ok(()) }
    }

    /// The plan of a job, where a worker serves its model.
    fn planned(&self, spec: &JobSpec, source: &Source) -> Result<Option<Plan>, Error> {
        let mut models: Vec<_> = self.fleet.workers().filter_map(|(_, worker)| worker.model()).collect();
        models.retain(|facts| self.means(&spec.model, facts));
        models.sort_by_key(|facts| facts.hash);
        models.dedup_by_key(|facts| facts.hash);
        if 1 < models.len() {
            return Err(Error::WhichModel { names: models.iter().map(|facts| facts.name.clone()).collect() });
        }
        Ok(models.first().map(|facts| Plan::new(spec, facts, source.given())).transpose()?)
    }

    /// Ends a job; its last status comes when that is safe.
    fn cancel(&mut self, id: JobId, now: Instant) -> Result<watch::Receiver<JobStatus>, Error> {
        let entry = self.jobs.get(&id).ok_or(Error::UnknownJob { job: id })?;
        if !entry.is_over() {
            self.end(id, JobState::Cancelled, None, now);
        }
        Ok(self.jobs[&id].subscribe())
    }

    fn list(&self) -> Vec<JobStatus> {
        self.by_age().iter().map(|id| self.jobs[id].status()).collect()
    }

    /// What has happened to a job, and its report so far where it runs.
    fn show(&self, id: JobId, now: Instant) -> Result<(JobHistory, Option<Report>), Error> {
        let entry = self.jobs.get(&id).ok_or(Error::UnknownJob { job: id })?;
        let report = entry.summary().map(|plan| entry.ledger.so_far(plan, now));
        Ok((entry.history().clone(), report))
    }

    fn fetch(&self, job: JobId, artifact: Artifact) -> Result<Fetch, Error> {
        let entry = self.jobs.get(&job).ok_or(Error::UnknownJob { job })?;
        let missing = |what: &str| Err(Error::NoArtifact { job, what: what.to_owned() });
        match (&entry.phase, artifact) {
            (Phase::Ended { .. }, _) if entry.status().state != JobState::Done => {
                missing("files: it did not finish")
            }
            (Phase::Ended { files }, _) if files.contains(&artifact) => {
                Ok(Fetch { artifacts: Arc::clone(&self.artifacts), job, artifact, format: entry.format() })
            }
            (Phase::Ended { .. }, Artifact::Picture) => missing("picture: it made a latent"),
            (Phase::Ended { .. }, Artifact::Latent) => missing("latent: it made a picture"),
            (Phase::Ended { .. }, Artifact::Trace) => missing("trace: submit it with --trace"),
            (Phase::Ended { .. }, _) => missing("dump: submit it with --dump"),
            _ => Err(Error::NotDone { job }),
        }
    }

    fn begin(&mut self, id: JobId, plan: Plan, now: Instant) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        let Phase::Waiting { input: Input::Here { source, checkpoint } } = &mut entry.phase else {
            return;
        };
        let (source, checkpoint) = (std::mem::take(source), checkpoint.take());
        let model = plan.facts().hash;
        let (job, actions) = begun(id, plan, source, checkpoint);
        if let Some(keeper) = self.keeper.as_ref().filter(|_| entry.pinned.is_none()) {
            keeper.order(Order::Begun { job: id, model });
        }
        entry.pinned = Some(model);
        self.fleet.admit(id, entry.standing());
        entry.run(job, now);
        let workers: Vec<WorkerId> = self.fleet.workers().map(|(worker, _)| worker).collect();
        workers.into_iter().for_each(|worker| drop(self.introduce(worker, now)));
        self.perform(id, actions, now);
    }

    fn tick(&mut self, now: Instant) {
        let Options { silence, task_timeout, worker_wait, .. } = self.options;
        for worker in self.fleet.overdue(now, silence, task_timeout) {
            self.dismiss(worker, "was silent or stuck for too long", now);
        }
        let late = |entry: &Entry| {
            // One that has begun waits for its model's workers as long as it must.
            matches!(entry.phase, Phase::Waiting { .. })
                && entry.pinned.is_none()
                && worker_wait < now.saturating_duration_since(entry.since)
                && !self.is_served(entry)
                && !self.can_be_fetched(entry)
        };
        let ids = self.by_age();
        let is_late = |id: &JobId| self.jobs.get(id).is_some_and(late);
        let late: Vec<JobId> = ids.iter().copied().filter(is_late).collect();
        for id in late {
            let seconds = worker_wait.as_secs_f64();
            let message = format!(
                "no worker with the job's model connected within {seconds} s: start `tessera worker`"
            );
            self.fail(id, cluster(message), now);
        }
        ids.into_iter().for_each(|id| self.refresh(id, now));
        self.keep(now);
        self.begin_waiting(now);
        self.call_up(now);
    }

    /// All jobs, oldest first: ids are drawn, and what is done to each must not depend on that.
    fn by_age(&self) -> Vec<JobId> {
        let mut jobs: Vec<_> = self.jobs.iter().map(|(&id, entry)| (entry.order, id)).collect();
        jobs.sort_unstable();
        jobs.into_iter().map(|(_, id)| id).collect()
    }

    fn fail(&mut self, id: JobId, failure: JobFailure, now: Instant) {
        tracing::warn!(job = %id, %failure, "job failed");
        self.end(id, JobState::Failed, Some(failure), now);
    }

    fn end(&mut self, id: JobId, state: JobState, failure: Option<JobFailure>, now: Instant) {
        self.withdraw(id);
        if let Some(entry) = self.jobs.get_mut(&id) {
            let said = failure.as_ref().map(|failure| failure.message.as_str());
            self.meters.ended(id, (state, said), (entry.ledger.age(now), now));
            let (status, files) = entry.end(state, failure, now);
            let history = entry.history().clone();
            match &self.keeper {
                Some(keeper) => {
                    let status = Box::new(status);
                    keeper.order(Order::End { job: id, status, files, history });
                }
                None => entry.publish(),
            }
        }
        self.begin_waiting(now);
    }

    fn refresh(&mut self, id: JobId, now: Instant) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        let model = entry.model();
        let serves = |worker: &Worker| model.is_some() && worker.model_hash() == model;
        let serving = self.fleet.workers().filter(|(_, worker)| serves(worker)).count();
        entry.refresh(u32::try_from(serving).unwrap_or(u32::MAX), now);
    }

    /// Keeps the books short: the oldest ended jobs go, with their files.
    fn forget_old_jobs(&mut self) {
        let mut ended = self.by_age();
        ended.retain(|id| self.jobs[id].is_ended());
        let surplus = ended.len().saturating_sub(REMEMBERED - 1);
        for id in ended.into_iter().take(surplus) {
            if let Some(entry) = self.jobs.remove(&id) {
                self.discard(id, entry.format());
                if let Some(keeper) = &self.keeper {
                    keeper.order(Order::Forget { job: id });
                }
            }
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

/// A job at its beginning, or where its checkpoint leaves it. One whose checkpoint does not fit begins anew.
fn begun(id: JobId, plan: Plan, source: Source, checkpoint: Option<Box<Checkpoint>>) -> (Job, Vec<Action>) {
    let Some(checkpoint) = checkpoint else { return Job::new(plan, source) };
    match Job::resume(plan.clone(), *checkpoint) {
        Ok(resumed) => resumed,
        Err(error) => {
            tracing::warn!(job = %id, %error, "the job begins anew");
            Job::new(plan, source)
        }
    }
}
