//! Jobs that wait, for a worker with their model or for their user's other jobs: what has changed in, jobs that begin out.

use std::{cmp::Reverse, time::Instant};

use tessera_proto::{JobId, JobSpec, ModelFacts};

use super::State;
use crate::{
    actor::entry::{Entry, Phase, request},
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
            let Some(Phase::Waiting { spec, source }) = self.jobs.get(&id).map(|entry| &entry.phase) else {
                continue;
            };
            let Some(facts) = self.serving(spec).filter(|_| self.may_begin(id)) else { continue };
            match Plan::new(spec, facts, source.given()) {
                Ok(plan) => self.begin(id, plan, now),
                Err(error) => self.fail(id, request(error.to_string()), now),
            }
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
    pub(super) fn is_served(&self, spec: &JobSpec) -> bool {
        self.serving(spec).is_some()
    }

    fn serving(&self, spec: &JobSpec) -> Option<&ModelFacts> {
        let models = self.fleet.workers().map(|(_, worker)| worker.model());
        models.into_iter().find(|facts| spec.model.is(facts))
    }
}
