//! Numbers from a seed: the same ones for the same seed.

use std::time::Duration;

/// SplitMix64 (Steele, Lea & Flood 2014).
#[derive(Debug)]
pub(crate) struct Draw(u64);

// === impl Draw ===

impl Draw {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// From `least` to `most`, both possible.
    pub(crate) fn number(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    /// Whether something happens that happens so many times of a hundred.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.number(0, 99) < percent
    }

    /// From `least` to `most`, ms.
    pub(crate) fn ms(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.number(least, most))
    }

    /// One of these.
    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        let last = u64::try_from(of.len() - 1).expect("a short list");
        of[usize::try_from(self.number(0, last)).expect("a short list")]
    }
}
