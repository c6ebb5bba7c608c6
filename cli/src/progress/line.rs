//! A job's state in words: a status in, one line out.

use tessera_proto::{JobState, JobStatus, Stage};

use crate::count::count;

/// The state as one line without a line's end: stage, tiles, speed, time left.
pub(super) fn now(status: &JobStatus) -> String {
    if let Some(paused) = status.paused.as_ref().filter(|_| !status.state.is_final()) {
        return paused.clone();
    }
    match status.state {
        JobState::Waiting => "waiting for a worker".to_owned(),
        JobState::Running => match counted(status) {
            None => status.stage.name().to_owned(),
            Some((thing, call)) => format!(
                "{}: {}/{}{}",
                status.stage.name(),
                status.stage_done,
                count(status.stage_total, thing),
                speed(status, call)
            ),
        },
        JobState::Done => "done".to_owned(),
        JobState::Failed => "failed".to_owned(),
        JobState::Cancelled => "cancelled".to_owned(),
    }
}

/// What was done in a stage that took `ms` milliseconds and has ended.
pub(super) fn ended(status: &JobStatus, ms: u64) -> String {
    let name = status.stage.name();
    match counted(status) {
        None => format!("{name}: {}", seconds(ms)),
        Some((thing, _)) => format!("{name}: {} in {}", count(status.stage_total, thing), seconds(ms)),
    }
}

/// Milliseconds as seconds with one digit.
pub(crate) fn seconds(ms: u64) -> String {
    let tenths = ms.saturating_add(50) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// ", 14.2 model calls/s, 0:16 left", once there is something to measure.
fn speed(status: &JobStatus, call: &str) -> String {
    if status.stage_done == 0 || status.stage_ms == 0 {
        return String::new();
    }
    // In tenths per second, rounded, so that no float is needed.
    let rate =
        |tasks: u64| tasks.saturating_mul(10_000).saturating_add(status.stage_ms / 2) / status.stage_ms;
    let tenths = rate(status.stage_done);
    let ahead = status.stage_total.saturating_sub(status.stage_done);
    let left = ahead.saturating_mul(status.stage_ms) / status.stage_done;
    format!(", {}.{} {call}s/s, {} left", tenths / 10, tenths % 10, clock(left))
}

/// What one of a stage's tasks is to people and to devices; `None` where there is nothing to count.
const fn counted(status: &JobStatus) -> Option<(&'static str, &'static str)> {
    match status.stage {
        _ if status.stage_total == 0 => None,
        Stage::Embed | Stage::Save => None,
        Stage::Base => Some(("model call", "model call")),
        Stage::Hires => Some(("tile", "model call")),
        Stage::Upscale | Stage::Encode | Stage::Decode => Some(("tile", "tile")),
    }
}

/// Milliseconds as minutes and seconds, rounded up: "0:00" only when nothing is left.
fn clock(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours == 0 { format!("{minutes}:{seconds:02}") } else { format!("{hours}:{minutes:02}:{seconds:02}") }
}

#[cfg(test)]
pub(super) mod tests {
    use tessera_proto::JobId;

    use super::*;

    /// A running job in `stage`, `done` of `total` tasks after `ms` milliseconds.
    pub(crate) fn status(stage: Stage, done: u64, total: u64, ms: u64) -> JobStatus {
        JobStatus {
            job: JobId::new(1),
            state: JobState::Running,
            stage,
            stage_done: done,
            stage_total: total,
            done,
            total,
            age_ms: ms,
            stage_ms: ms,
            workers: 2,
            failure: None,
            notes: Vec::new(),
            paused: None,
            format: tessera_proto::job::Format::default(),
            size: None,
            user: String::new(),
            priority: tessera_proto::job::Urgency::default(),
        }
    }

    #[test]
    fn what_stands_in_the_way_is_said() {
        let paused = Some("paused: the disk is full".to_owned());
        let mut status = JobStatus { paused, ..status(Stage::Hires, 2, 4, 100) };
        assert_eq!(now(&status), "paused: the disk is full");
        status.state = JobState::Cancelled;
        assert_eq!(now(&status), "cancelled");
    }

    #[test]
    fn a_line_has_stage_tiles_speed_and_time_left() {
        // 132 tasks in 9.3 s are 14.19 a second; the other 228 take 16.06 s.
        assert_eq!(
            now(&status(Stage::Hires, 132, 360, 9_300)),
            "hires: 132/360 tiles, 14.2 model calls/s, 0:17 left"
        );
        assert_eq!(
            now(&status(Stage::Base, 1, 20, 400_000)),
            "base: 1/20 model calls, 0.0 model calls/s, 2:06:40 left"
        );
        assert_eq!(now(&status(Stage::Decode, 9, 9, 4_500)), "decode: 9/9 tiles, 2.0 tiles/s, 0:00 left");
    }

    #[test]
    fn nothing_is_made_up_before_the_first_task() {
        assert_eq!(now(&status(Stage::Hires, 0, 360, 300)), "hires: 0/360 tiles");
        assert_eq!(now(&status(Stage::Save, 0, 0, 300)), "save");
        assert_eq!(now(&status(Stage::Embed, 1, 1, 300)), "embed");
        assert_eq!(ended(&status(Stage::Embed, 1, 1, 300), 310), "embed: 0.3 s");
        assert_eq!(ended(&status(Stage::Decode, 1, 1, 300), 310), "decode: 1 tile in 0.3 s");
        let mut waiting = status(Stage::Embed, 0, 0, 0);
        waiting.state = JobState::Waiting;
        assert_eq!(now(&waiting), "waiting for a worker");
    }

    #[test]
    fn numbers_of_any_size_are_printed() {
        let line = now(&status(Stage::Hires, u64::MAX, u64::MAX, u64::MAX));
        assert!(line.starts_with("hires: "), "{line}");
        assert_eq!(seconds(12_349), "12.3 s");
        assert_eq!(seconds(u64::MAX).chars().last(), Some('s'));
    }
}
