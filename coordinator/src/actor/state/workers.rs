//! The fleet as users and jobs see it: workers that come, are shown, leave or are shut out.

use std::time::{Duration, Instant};

use tessera_proto::{ContentHash, FetchFailure, Hello, JobId, ToWorker, WorkerId, WorkerStatus};
use tokio::sync::mpsc;

use super::State;
use crate::{
    actor::{Error, entry::Entry},
    fleet::{Lease, MAX_FAULTS, Worker},
};

impl State {
    pub(super) fn enlist(&mut self, hello: Hello, stream: mpsc::Sender<ToWorker>, now: Instant) -> WorkerId {
        tracing::info!(
            name = hello.name,
            device = hello.device,
            model = hello.model.as_ref().map(|facts| &facts.name),
            fetches = hello.fetches,
            "worker connected"
        );
        complain(&hello);
        self.meters.came((&hello.name, &hello.device));
        let worker = self.fleet.enlist(hello, now);
        let welcome = ToWorker::Welcome { worker, heartbeat: self.options.heartbeat };
        self.streams.insert(worker, stream);
        self.tell(worker, welcome);
        self.join(worker, now);
        self.begin_waiting(now);
        worker
    }

    /// A worker that was told to get a model says hello anew: with it, or with why not.
    pub(super) fn renewed(&mut self, worker: WorkerId, hello: Hello, now: Instant) {
        let model = hello.model.as_ref().map(|facts| facts.name.clone());
        complain(&hello);
        if self.fleet.renew(worker, hello, now) {
            tracing::info!(%worker, model, "a worker serves another model");
            self.last_outcomes.remove(&worker);
            self.join(worker, now);
            self.begin_waiting(now);
        }
    }

    /// A worker is there for jobs that run.
    fn join(&mut self, worker: WorkerId, now: Instant) {
        for job in self.introduce(worker, now) {
            let known = self.fleet.worker(worker).map(|facts| (facts.name(), facts.device()));
            if let (Some((name, device)), Some(entry)) = (known, self.jobs.get_mut(&job)) {
                entry.tell(format!("worker {name} on {device} joins"), now);
            }
        }
    }

    /// Names a worker to the jobs that it could help: their reports count it, also if it gets nothing to do. Returns those
    /// that did not know it.
    pub(super) fn introduce(&mut self, worker: WorkerId, now: Instant) -> Vec<JobId> {
        let Some(facts) = self.fleet.worker(worker) else { return Vec::new() };
        let model = facts.model_hash();
        let helped = self.jobs.iter_mut().filter(|(_, entry)| model.is_some() && entry.model() == model);
        let names = (facts.name(), facts.device());
        let new = |(&job, entry): (_, &mut Entry)| entry.ledger.introduce(worker, names, now).then_some(job);
        helped.filter_map(new).collect()
    }

    pub(super) fn workers(&self, now: Instant) -> Vec<WorkerStatus> {
        self.fleet.workers().map(|(id, worker)| status(id, worker, now)).collect()
    }

    /// Tells the workers of a number, a name or a host to go; those that go already are named too.
    pub(super) fn drain(&mut self, name: &str, now: Instant) -> Result<Vec<WorkerStatus>, Error> {
        let of_host =
            |worker: &Worker| worker.name().strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        let named = |(id, worker): &(WorkerId, &Worker)| {
            worker.name() == name || id.to_string() == name || of_host(worker)
        };
        let ids: Vec<WorkerId> = self.fleet.workers().filter(named).map(|(id, _)| id).collect();
        if ids.is_empty() {
            return Err(Error::UnknownWorker { name: name.to_owned() });
        }
        for &id in &ids {
            tracing::info!(worker = %id, "worker drained");
            for lease in self.fleet.drain(id) {
                self.tell(id, ToWorker::Withdraw { lease, stop: false });
            }
            self.tell(id, ToWorker::Leave);
        }
        let told = self.fleet.workers().filter(|(id, _)| ids.contains(id));
        Ok(told.map(|(id, worker)| status(id, worker, now)).collect())
    }

    /// A good answer came: a worker that gave bad ones to this task, and to others before, is trusted no more.
    pub(super) fn convict(&mut self, lease: &Lease, now: Instant) {
        let Some(id) = self.fleet.convict(lease) else { return };
        let why = format!("{MAX_FAULTS} results of it were refused that other workers gave well");
        let name = self.fleet.worker(id).map(|worker| worker.name().to_owned());
        tracing::warn!(worker = %id, name, why, "worker quarantined");
        if let Some(entry) = self.jobs.get_mut(&lease.need.task.job) {
            let name = name.unwrap_or_default();
            entry.tell(format!("worker {name} is given no more tasks: {why}"), now);
        }
        for lease in self.fleet.quarantine(id, why) {
            self.tell(id, ToWorker::Withdraw { lease, stop: true });
        }
    }
}

/// Says what a worker could not get.
fn complain(hello: &Hello) {
    for FetchFailure { model, message } in &hello.failures {
        tracing::warn!(name = hello.name, %model, message, "a worker could not get a model");
    }
}

fn status(id: WorkerId, worker: &Worker, now: Instant) -> WorkerStatus {
    WorkerStatus {
        worker: id,
        name: worker.name().to_owned(),
        device: worker.device().to_owned(),
        model_name: worker.model().map(|facts| facts.name.clone()).unwrap_or_default(),
        model_hash: worker.model_hash().map(|hash| ContentHash::new(hash).to_string()).unwrap_or_default(),
        tasks_in_hand: u32::try_from(worker.in_hand() + usize::from(worker.runs_in_vain()))
            .unwrap_or(u32::MAX),
        tasks_done: worker.tasks_done(),
        last_seen_ms: millis(now.saturating_duration_since(worker.last_seen())),
        speeds: worker.speeds(),
        draining: worker.is_draining(),
        quarantine: worker.quarantine().map(str::to_owned),
        model: worker.model().cloned(),
        fetches: worker.fetches(),
        fetching: worker.fetching(),
        failure: worker.failures().first().map(|failure| failure.message.clone()),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
