//! Models that workers fetch: which are kept and what open jobs need in; workers that are told to serve another one out.

use std::{cmp::Reverse, collections::BTreeMap, time::Instant};

use tessera_proto::{ContentHash, ModelFacts, RegisteredModel, ToWorker, job::ModelRef};

use super::State;
use crate::{
    actor::entry::{Entry, Phase},
    fleet::{Demand, Worker},
};

/// The models that workers can fetch, by name.
#[derive(Debug, Default)]
pub(super) struct KeptModels(BTreeMap<String, ContentHash>);

// === impl KeptModels ===

impl KeptModels {
    /// The kept model that a job names; `None` where it names none of them, or any.
    fn named(&self, model: &ModelRef) -> Option<ContentHash> {
        match model {
            ModelRef::Any => None,
            ModelRef::Hash(hash) => Some(ContentHash::new(*hash)).filter(|hash| self.has(*hash)),
            // The short hash is what `tessera workers` and the picture show.
            ModelRef::Name(name) => self.0.get(name).copied().or_else(|| {
                let is_short = name.len() == 10;
                self.0.values().copied().find(|hash| is_short && hash.to_string().starts_with(name.as_str()))
            }),
        }
    }

    /// The only one.
    fn only(&self) -> Option<ContentHash> {
        let mut hashes = self.0.values();
        let first = hashes.next()?;
        hashes.all(|hash| hash == first).then_some(*first)
    }

    fn has(&self, model: ContentHash) -> bool {
        self.0.values().any(|hash| *hash == model)
    }
}

impl State {
    /// These models can be fetched from now on.
    pub(super) fn keep_models(&mut self, models: Vec<RegisteredModel>, now: Instant) {
        self.kept_models = KeptModels(models.into_iter().map(|model| (model.name, model.hash)).collect());
        self.begin_waiting(now);
    }

    /// Whether a job that names its model so runs on the one of these facts. What we keep under a name is meant where a
    /// worker can get it or has it; where none can, what a worker's own folder is called.
    pub(super) fn means(&self, model: &ModelRef, facts: &ModelFacts) -> bool {
        let has = |hash: &ContentHash| {
            let serves = |worker: &Worker| worker.model_hash() == Some(*hash.bytes());
            self.fleet.fetches() || self.fleet.workers().any(|(_, worker)| serves(worker))
        };
        match self.kept_models.named(model).filter(has) {
            Some(hash) => *hash.bytes() == facts.hash,
            None => model.is(facts),
        }
    }

    /// Whether a waiting job will be served by a worker that fetches its model.
    pub(super) fn can_be_fetched(&self, entry: &Entry) -> bool {
        self.fleet.fetches() && self.needed(entry).is_some_and(|model| self.kept_models.has(model))
    }

    /// Tells workers to get the models that open jobs need and nobody serves.
    pub(super) fn call_up(&mut self, now: Instant) {
        if !self.fleet.fetches() || self.fault.is_some() {
            return;
        }
        for (worker, model) in self.fleet.call_up(&self.demands(), now) {
            tracing::info!(%worker, %model, "a worker gets a model");
            for lease in self.fleet.fetch(worker, model) {
                self.tell(worker, ToWorker::Withdraw { lease, stop: false });
            }
            self.tell(worker, ToWorker::Serve { model });
        }
        let waiting = self.jobs.iter().filter(|(_, entry)| matches!(entry.phase, Phase::Waiting { .. }));
        let told: Vec<_> = waiting.filter_map(|(&id, entry)| Some((id, self.hindrance(entry)?))).collect();
        for (id, why) in told {
            if self.may_begin(id)
                && let Some(entry) = self.jobs.get_mut(&id)
            {
                entry.pause(Some(&why), now);
            }
        }
    }

    /// Why a waiting job's model is not there yet.
    fn hindrance(&self, entry: &Entry) -> Option<String> {
        let model = self.needed(entry).filter(|model| self.kept_models.has(*model))?;
        if self.fleet.is_fetched(model) {
            return Some("waiting for a worker that fetches the model".to_owned());
        }
        let mut failures = self.fleet.workers().flat_map(|(_, worker)| worker.failures());
        let failure = failures.find(|failure| failure.model == model)?;
        Some(format!("waiting for the model, which a worker could not get: {}", failure.message))
    }

    /// The models that open jobs need, those of urgent and of old ones first.
    fn demands(&self) -> Vec<Demand> {
        let mut open: Vec<_> = self.jobs.iter().collect();
        open.sort_by_key(|(_, entry)| (Reverse(entry.standing().weight.to_bits()), entry.order));
        let mut demands: Vec<Demand> = Vec::new();
        for (&id, entry) in open {
            let may_begin = !matches!(entry.phase, Phase::Waiting { .. }) || self.may_begin(id);
            let Some(model) = self.needed(entry).filter(|_| may_begin) else { continue };
            let since = entry.since;
            match demands.iter_mut().find(|demand| demand.model == model) {
                Some(demand) => demand.since = demand.since.min(since),
                None => demands.push(Demand { model, since, kept: self.kept_models.has(model) }),
            }
        }
        demands
    }

    /// The model that an open job needs, where it can be told.
    fn needed(&self, entry: &Entry) -> Option<ContentHash> {
        match (&entry.phase, entry.pinned, &entry.spec) {
            (Phase::Running { .. }, ..) => entry.model().map(ContentHash::new),
            (Phase::Waiting { .. }, Some(hash), _) => Some(ContentHash::new(hash)),
            (Phase::Waiting { .. }, None, Some(spec)) => {
                let served = || self.serving(entry).map(|facts| ContentHash::new(facts.hash));
                let only = || self.kept_models.only().filter(|_| spec.model == ModelRef::Any);
                self.kept_models.named(&spec.model).or_else(served).or_else(only)
            }
            _ => None,
        }
    }
}
