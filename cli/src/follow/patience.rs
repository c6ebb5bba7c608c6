//! How long a job may lack a worker: its states in, what it lacks and until when out.

use std::time::Duration;

use tessera_proto::{JobState, JobStatus, Stage};
use tokio::time::Instant;

/// What a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// A first worker: nothing has begun.
    First,
    /// Another worker: all that had its model are gone.
    Another,
}

/// The watch over a job's workers.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Option<Duration>,
    lack: Option<(Lack, Instant)>,
}

// === impl Patience ===

impl Patience {
    /// Begins with a job that waits since `now`; `None` = for ever.
    pub(super) const fn new(limit: Option<Duration>, now: Instant) -> Self {
        Self { limit, lack: Some((Lack::First, now)) }
    }

    /// Takes in a state that came at `now`; whether it says that the last worker has gone.
    pub(super) fn heed(&mut self, status: &JobStatus, now: Instant) -> bool {
        let lack = lack(status);
        if lack == self.lack() {
            return false;
        }
        self.lack = lack.map(|lack| (lack, now));
        lack == Some(Lack::Another)
    }

    /// What the job lacks.
    pub(super) fn lack(&self) -> Option<Lack> {
        self.lack.map(|(lack, _)| lack)
    }

    /// When it has lacked that for too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (_, since) = self.lack?;
        self.limit.map(|limit| since + limit)
    }
}

fn lack(status: &JobStatus) -> Option<Lack> {
    match status.state {
        JobState::Waiting => Some(Lack::First),
        // Files are written without workers, and a job without tasks has not been told how many there are.
        JobState::Running if status.stage == Stage::Save || status.total == 0 => None,
        JobState::Running if status.workers == 0 => Some(Lack::Another),
        JobState::Running | JobState::Done | JobState::Failed | JobState::Cancelled => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::status;

    const LIMIT: Duration = Duration::from_secs(60);

    fn running(stage: Stage, workers: u32) -> JobStatus {
        JobStatus { workers, ..status(stage, 2, 20, 300) }
    }

    #[test]
    fn the_last_workers_end_starts_the_clock_and_is_said_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(Some(LIMIT), start);
        assert_eq!(patience.deadline(), Some(at(60)));
        assert!(!patience.heed(&running(Stage::Base, 1), at(1)));
        assert_eq!(patience.deadline(), None);
        assert!(patience.heed(&running(Stage::Base, 0), at(10)));
        assert!(!patience.heed(&running(Stage::Base, 0), at(20)));
        assert_eq!((patience.lack(), patience.deadline()), (Some(Lack::Another), Some(at(70))));
        assert!(!patience.heed(&running(Stage::Base, 2), at(30)));
        assert_eq!((patience.lack(), patience.deadline()), (None, None));
        assert!(patience.heed(&running(Stage::Hires, 0), at(40)), "a second loss is news");
    }

    #[test]
    fn a_first_worker_is_waited_for_from_the_start() {
        let start = Instant::now();
        let mut patience = Patience::new(Some(LIMIT), start);
        let waiting = JobStatus { state: JobState::Waiting, ..running(Stage::Embed, 0) };
        assert!(!patience.heed(&waiting, start + LIMIT / 2));
        assert_eq!((patience.lack(), patience.deadline()), (Some(Lack::First), Some(start + LIMIT)));
    }

    #[test]
    fn work_without_workers_is_no_loss() {
        let now = Instant::now();
        let mut patience = Patience::new(Some(LIMIT), now);
        assert!(!patience.heed(&running(Stage::Save, 0), now));
        let unplanned = JobStatus { total: 0, ..running(Stage::Embed, 0) };
        assert!(!patience.heed(&unplanned, now));
        let done = JobStatus { state: JobState::Done, ..running(Stage::Decode, 0) };
        assert!(!patience.heed(&done, now));
        assert_eq!(patience.deadline(), None);
    }

    #[test]
    fn a_loss_is_news_without_a_limit_too() {
        let now = Instant::now();
        let mut patience = Patience::new(None, now);
        assert!(patience.heed(&running(Stage::Hires, 0), now));
        assert_eq!(patience.deadline(), None);
    }
}
