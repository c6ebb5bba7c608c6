//! Progress on a pipe: states in, few plain lines out.

use std::time::Duration;

use tessera_proto::{JobState, JobStatus};
use tokio::time::Instant;

use super::line;

/// Least time between two lines of one stage.
const PACE: Duration = Duration::from_secs(2);

/// What has been printed so far.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    last: Option<JobStatus>,
    printed: Option<Instant>,
    line: String,
}

// === impl Lines ===

impl Lines {
    /// The lines to print for a state that came at `now`: one for a stage that ended, and one for the present state when
    /// the last is old enough and said something else.
    pub(super) fn next(&mut self, status: &JobStatus, now: Instant) -> Vec<String> {
        let mut lines: Vec<_> = self.last.iter().filter_map(|last| stage_end(last, status)).collect();
        let due = self.printed.is_none_or(|printed| PACE <= now.duration_since(printed));
        // The end of a job is told by its result or its error.
        let line = line::now(status);
        if due && !status.state.is_final() && line != self.line {
            lines.push(line.clone());
            self.line = line;
        }
        if !lines.is_empty() {
            self.printed = Some(now);
        }
        self.last = Some(status.clone());
        lines
    }
}

/// What to say about the stage of `last`, if `next` is the first state after it.
pub(super) fn stage_end(last: &JobStatus, next: &JobStatus) -> Option<String> {
    let moved = next.stage != last.stage || next.state != JobState::Running;
    // One that waits again goes on where it was.
    let broken = matches!(next.state, JobState::Waiting | JobState::Failed | JobState::Cancelled);
    let worked = last.state == JobState::Running && !broken;
    if !moved || !worked {
        return None;
    }
    // The stage ended where the next one began, which is known more exactly than when we heard of it.
    let began = last.age_ms.saturating_sub(last.stage_ms);
    let ended =
        if next.stage == last.stage { next.age_ms } else { next.age_ms.saturating_sub(next.stage_ms) };
    Some(line::ended(last, ended.saturating_sub(began)))
}

#[cfg(test)]
mod tests {
    use tessera_proto::Stage;

    use super::*;
    use crate::progress::line::tests::status;

    #[test]
    fn at_most_one_line_in_two_seconds() {
        let mut lines = Lines::default();
        let start = Instant::now();
        let printed: usize = (0..100_u64)
            .map(|tick| {
                let state = status(Stage::Hires, tick, 200, tick * 100);
                lines.next(&state, start + Duration::from_millis(tick * 100)).len()
            })
            .sum();
        // 0, 2, 4, 6 and 8 s.
        assert_eq!(printed, 5);
    }

    #[test]
    fn each_stage_is_closed_with_its_time() {
        let mut lines = Lines::default();
        let start = Instant::now();
        lines.next(&status(Stage::Base, 20, 20, 3_000), start);
        let mut hires = status(Stage::Hires, 1, 180, 250);
        hires.age_ms = 3_350;
        assert_eq!(lines.next(&hires, start), ["base: 20 model calls in 3.1 s"]);
        let mut done = status(Stage::Hires, 180, 180, 9_000);
        (done.state, done.age_ms) = (JobState::Done, 12_600);
        assert_eq!(lines.next(&done, start), ["hires: 180 tiles in 9.5 s"]);
    }

    #[test]
    fn nothing_is_said_twice() {
        let mut lines = Lines::default();
        let start = Instant::now();
        let mut waiting = status(Stage::Embed, 0, 0, 0);
        waiting.state = JobState::Waiting;
        assert_eq!(lines.next(&waiting, start), ["waiting for a worker"]);
        assert!(lines.next(&waiting, start + 2 * PACE).is_empty());
    }

    #[test]
    fn a_failure_closes_no_stage() {
        let mut lines = Lines::default();
        let start = Instant::now();
        lines.next(&status(Stage::Base, 2, 20, 3_000), start);
        let mut failed = status(Stage::Base, 2, 20, 3_100);
        failed.state = JobState::Waiting;
        assert_eq!(
            lines.next(&failed, start + PACE),
            ["waiting for a worker"],
            "its coordinator was started again"
        );
        failed.state = JobState::Failed;
        assert!(lines.next(&failed, start + 2 * PACE).is_empty());
    }
}
