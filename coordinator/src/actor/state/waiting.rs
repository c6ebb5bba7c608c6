//! Jobs that wait, for a worker with their model or for their user's other jobs: what has changed in, jobs that begin out.

use std::{cmp::Reverse, time::Instant};

use tessera_proto::{JobId, ModelFacts};

use super::State;
use crate::{
    actor::{
        entry::{Entry, Input, Phase, request},
        keeper::Order,
    },
    render::Plan,
};

impl State {
    /// Begins the jobs that can: urgent ones first, then in the order of their submission.
    pub(super) fn begin_waiting(&mut self, now: Instant) {
        let waiting = self.jobs.iter().filter(|(_, entry)| matches!(entry.phase, Phase::Waiting { .. }));
        let mut waiting: Vec<_> = waiting
            .map(|(&id, entry)| (Reverse(entry.standing().weight.to_bits()), entry.order, id))
            .collect();
        waiting.sort_unstable();
        for (.., id) in waiting {
            self.begin_one(id, now);
        }
    }

    /// Begins a job, or has what it goes on from read, if it may begin.
    fn begin_one(&mut self, id: JobId, now: Instant) {
        if !self.may_begin(id) {
            let limit = self.options.user_jobs.unwrap_or_default();
            if let Some(entry) = self.jobs.get_mut(&id) {
                let why = format!("waiting for another job of {}: {limit} may run at a time", entry.user);
                entry.pause(Some(&why), now);
            }
            return;
        }
        let Some(entry) = self.jobs.get(&id) else { return };
        let (Phase::Waiting { input }, Some(spec)) = (&entry.phase, &entry.spec) else { return };
        let Some(facts) = self.serving(entry) else { return };
        let source = match input {
            Input::Here { source, .. } => source,
            Input::Stored { not_before } if *not_before <= now && self.fault.is_none() => {
                let load = Order::Load { job: id, spec: spec.clone() };
                self.order(load);
                if let Some(Entry { phase: Phase::Waiting { input }, .. }) = self.jobs.get_mut(&id) {
                    *input = Input::Loading;
                }
                return;
            }
            Input::Stored { .. } | Input::Loading => return,
        };
        match Plan::new(spec, facts, source.given()) {
            Ok(plan) => self.begin(id, plan, now),
            Err(error) => self.fail(id, request(error.to_string()), now),
        }
    }

    /// Whether the job's user has room for one more that runs.
    pub(super) fn may_begin(&self, id: JobId) -> bool {
        let Some(limit) = self.options.user_jobs else { return true };
        let Some(own) = self.jobs.get(&id) else { return false };
        let running = |entry: &&Entry| entry.is_running() && entry.user == own.user;
        self.jobs.values().filter(running).count() < limit
    }

    /// Whether there is a worker that a job can run on.
    pub(super) fn is_served(&self, entry: &Entry) -> bool {
        self.serving(entry).is_some()
    }

    /// The model that a job runs on, if a worker serves it: a job that has begun stays with its model.
    pub(super) fn serving(&self, entry: &Entry) -> Option<&ModelFacts> {
        let mut models = self.fleet.workers().filter_map(|(_, worker)| worker.model());
        match (entry.pinned, &entry.spec) {
            (Some(hash), _) => models.find(|facts| facts.hash == hash),
            (None, Some(spec)) => models.find(|facts| self.means(&spec.model, facts)),
            (None, None) => None,
        }
    }
}
