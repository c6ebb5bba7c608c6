//! The state in numbers: jobs, tasks and workers in, [`Figures`] out.

use super::State;
use crate::actor::{
    entry::{Entry, Phase},
    figures::{Figures, OpenJobs},
};

impl State {
    /// How things stand.
    pub(super) fn figures(&self) -> Figures {
        let load = self.fleet.load();
        Figures {
            jobs: self.open_jobs(),
            workers: self.fleet.workers().count() as u64,
            watchers: self.jobs.values().map(Entry::watchers).sum(),
            stale: self.fleet.stale(),
            duplicates: self.fleet.duplicates(),
            wanted: self.wanted(load.total()),
            fault: self.fault.clone(),
            load,
        }
    }

    fn open_jobs(&self) -> OpenJobs {
        let mut open = OpenJobs::default();
        for entry in self.jobs.values() {
            let count = match &entry.phase {
                Phase::Ended { .. } => continue,
                _ if self.fault.is_some() => &mut open.paused,
                Phase::Waiting { .. } => &mut open.waiting,
                Phase::Running { .. } => &mut open.running,
                Phase::Storing { .. } | Phase::Ending { .. } => &mut open.saving,
            };
            *count += 1;
        }
        open
    }

    /// How many workers `tasks` tasks could keep busy, at least one per job that needs any: one that waits has no tasks yet,
    /// and one that runs has none for a moment between two stages. A job that waits for its user's others needs none.
    fn wanted(&self, tasks: u64) -> u64 {
        let (mut waiting, mut running) = (0, 0);
        for (&id, entry) in &self.jobs {
            match &entry.phase {
                Phase::Waiting { .. } => waiting += u64::from(self.may_begin(id)),
                Phase::Running { .. } => running += 1,
                _ => {}
            }
        }
        waiting + tasks.max(running)
    }
}
