//! Many short times: durations in, the one below which so many percent of them lie out. Pure.

use std::time::Duration;

/// Durations, to the microsecond.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples(Vec<u32>);

// === impl Samples ===

impl Samples {
    /// Adds one; beyond 71 minutes all are the same.
    pub(super) fn push(&mut self, sample: Duration) {
        self.0.push(u32::try_from(sample.as_micros()).unwrap_or(u32::MAX));
    }

    /// The duration that `percent` of all are at most, ms; 0 where there is none.
    pub(super) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(index).map_or(0.0, |&us| f64::from(us) / 1000.0)
    }
}

impl<'a> FromIterator<&'a Samples> for Samples {
    fn from_iter<I: IntoIterator<Item = &'a Self>>(parts: I) -> Self {
        Self(parts.into_iter().flat_map(|part| part.0.iter().copied()).collect())
    }
}
