//! How long tasks take on one device: times of ended tasks in, the time that the next one will take out.
//!
//! Nothing is configured. A device is known by the last few tasks of a class; the lower median of these survives one slow
//! call, and follows a device that changes after three.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

pub use tessera_proto::{Class, Kind};

use tessera_proto::Speed;

/// Times that are remembered of a class.
const REMEMBERED: usize = 5;

/// A time is believed for so long, s: a device that was slow once, and so gets nothing any more, is tried again.
const BELIEVED: f64 = 60.0;

/// A time is believed for so many times itself.
const BELIEVED_TIMES: f64 = 20.0;

/// What is known of one device.
///
/// A device sees few classes, and every placement asks for one: a short list is the fastest map.
#[derive(Debug, Default)]
pub(super) struct Speeds(Vec<(Class, Recent)>);

#[derive(Debug)]
struct Recent {
    /// The newest last.
    times: VecDeque<Duration>,
    /// Of the times, the lower one of two in the middle.
    median: Duration,
    last: Instant,
}

// === impl Speeds ===

impl Speeds {
    /// A task of this class took so long.
    pub(super) fn record(&mut self, class: Class, took: Duration, now: Instant) {
        let at = self.0.iter().position(|(known, _)| *known == class).unwrap_or_else(|| {
            self.0.push((class, Recent { times: VecDeque::new(), median: took, last: now }));
            self.0.len() - 1
        });
        self.0[at].1.record(took, now);
    }

    /// How long a task of this class will take, s; `None` = not known, or not any more.
    pub(super) fn expected(&self, class: Class, now: Instant) -> Option<f64> {
        let (_, recent) = self.0.iter().find(|(known, _)| *known == class)?;
        let expected = recent.median.as_secs_f64();
        let age = now.saturating_duration_since(recent.last).as_secs_f64();
        (age <= BELIEVED.max(BELIEVED_TIMES * expected)).then_some(expected)
    }

    /// What was measured, by class.
    pub(super) fn all(&self) -> Vec<Speed> {
        let measured = self.0.iter().map(|(class, recent)| Speed { class: *class, took: recent.median });
        let mut all: Vec<_> = measured.collect();
        all.sort_unstable_by_key(|speed| speed.class);
        all
    }
}

// === impl Recent ===

impl Recent {
    /// The lower one of two in the middle: a first call, which loads and optimises, is forgotten after the second.
    fn record(&mut self, took: Duration, now: Instant) {
        if self.times.len() == REMEMBERED {
            self.times.pop_front();
        }
        self.times.push_back(took);
        let mut sorted: Vec<Duration> = self.times.iter().copied().collect();
        sorted.sort_unstable();
        self.median = sorted[(sorted.len() - 1) / 2];
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASS: Class = Class { kind: Kind::Denoise, part: 0, shape: [1, 4, 96, 96] };

    fn after(times: &[u64]) -> (Speeds, Instant) {
        let (mut speeds, now) = (Speeds::default(), Instant::now());
        times.iter().for_each(|&ms| speeds.record(CLASS, Duration::from_millis(ms), now));
        (speeds, now)
    }

    fn expected(times: &[u64]) -> Option<f64> {
        let (speeds, now) = after(times);
        speeds.expected(CLASS, now)
    }

    #[test]
    fn nothing_is_known_before_the_first_task_of_a_class() {
        let (speeds, now) = after(&[86]);
        assert_eq!(speeds.expected(CLASS, now), Some(0.086));
        assert_eq!(speeds.expected(Class { shape: [2, 4, 96, 96], ..CLASS }, now), None);
    }

    #[test]
    fn one_slow_call_changes_nothing_and_three_change_all() {
        assert_eq!(expected(&[86, 86, 430]), Some(0.086));
        assert_eq!(expected(&[86, 86, 86, 86, 86, 430, 430]), Some(0.086));
        assert_eq!(expected(&[86, 86, 86, 86, 86, 1720, 1720, 1720]), Some(1.72));
    }

    #[test]
    fn a_slow_first_call_is_forgotten_after_the_second() {
        assert_eq!(expected(&[9000]), Some(9.0));
        assert_eq!(expected(&[9000, 86]), Some(0.086));
    }

    #[test]
    fn an_old_time_is_not_believed() {
        let (speeds, now) = after(&[1720]);
        assert!(speeds.expected(CLASS, now + Duration::from_secs(60)).is_some());
        assert_eq!(speeds.expected(CLASS, now + Duration::from_secs(61)), None);
        let (speeds, now) = after(&[10_000]);
        assert!(speeds.expected(CLASS, now + Duration::from_secs(199)).is_some());
    }
}
