//! Which jobs to list: flags in, a choice among a cluster's jobs out.

use tessera_proto::{JobState, JobStatus};

use super::Error;
use crate::args::JobsArgs;

/// The jobs that are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// In one of these states; none = in any.
    states: Vec<JobState>,
    /// Of this user; `None` = of anybody.
    user: Option<String>,
    /// The last so many of those; `None` = all.
    last: Option<usize>,
}

// === impl Selection ===

impl Selection {
    /// Reads the flags of `tessera jobs`.
    ///
    /// # Errors
    /// A state is unknown.
    pub(crate) fn new(args: &JobsArgs) -> Result<Self, Error> {
        let states = args.state.iter().map(|name| JobState::parse(name)).collect::<Result<_, _>>()?;
        Ok(Self { states, user: args.user.clone(), last: args.last })
    }

    /// Those of `jobs` that are asked for, in the same order: oldest first.
    pub(crate) fn of(&self, mut jobs: Vec<JobStatus>) -> Vec<JobStatus> {
        jobs.retain(|job| {
            let in_state = self.states.is_empty() || self.states.contains(&job.state);
            in_state && self.user.as_ref().is_none_or(|user| *user == job.user)
        });
        let more = jobs.len().saturating_sub(self.last.unwrap_or(usize::MAX));
        jobs.drain(..more);
        jobs
    }
}

#[cfg(test)]
mod tests {
    use tessera_proto::{JobId, Stage};

    use super::*;
    use crate::progress::status;

    fn job(id: u64, state: JobState, user: &str) -> JobStatus {
        JobStatus { job: JobId::new(id), state, user: user.to_owned(), ..status(Stage::Hires, 1, 2, 3) }
    }

    #[test]
    fn filters_hold_together_and_the_last_are_the_youngest() {
        let jobs = vec![
            job(1, JobState::Done, "ann"),
            job(2, JobState::Done, "ben"),
            job(3, JobState::Failed, "ann"),
            job(4, JobState::Done, "ann"),
            job(5, JobState::Running, "ann"),
        ];
        let picked = |states: &[JobState], user: Option<&str>, last| {
            let selection = Selection { states: states.to_vec(), user: user.map(str::to_owned), last };
            let picked = selection.of(jobs.clone());
            picked.iter().map(|job| job.job).collect::<Vec<_>>()
        };
        let ids = |ids: &[u64]| ids.iter().map(|&id| JobId::new(id)).collect::<Vec<_>>();
        assert_eq!(picked(&[], None, None), ids(&[1, 2, 3, 4, 5]));
        assert_eq!(picked(&[JobState::Done, JobState::Failed], Some("ann"), None), ids(&[1, 3, 4]));
        assert_eq!(picked(&[JobState::Done], Some("ann"), Some(1)), ids(&[4]));
        assert_eq!(picked(&[], Some("nobody"), None), ids(&[]));
        assert_eq!(picked(&[], None, Some(0)), ids(&[]));
        assert_eq!(picked(&[], None, Some(9)), ids(&[1, 2, 3, 4, 5]));
    }
}
