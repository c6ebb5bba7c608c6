//! How long a simulated device takes: a text like `86~0.1/0.01x5@100x20#7` in, the delay of each of its calls out. Pure.

use std::{fmt, time::Duration};

use super::MAX_DELAY;

/// Most times that a slow call may take longer.
const MAX_SLOWER: f64 = 1000.0;

/// What a delay must look like.
pub(super) const FORM: &str = "sim:MILLISECONDS[~JITTER][/SHARExTIMES][@CALLSxTIMES][#SEED]";

/// Delays of a simulated device's calls; the same seed gives the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pace {
    delay: Duration,
    /// A call takes from 1 - jitter to 1 + jitter times the delay, in thousandths.
    jitter: u32,
    /// How many of a million calls are slow.
    slow: u32,
    /// How many times a slow call takes the delay, in thousandths.
    slower: u32,
    /// After so many calls ...
    fresh: u64,
    /// ... all take so many times as long, in thousandths: a device that is hot, or that others use as well.
    tired: u32,
    seed: u64,
}

// === impl Pace ===

impl Pace {
    /// The same delay for every call.
    #[must_use]
    pub const fn steady(delay: Duration) -> Self {
        Self { delay, jitter: 0, slow: 0, slower: 1000, fresh: 0, tired: 1000, seed: 0 }
    }

    /// The delay without jitter and slow calls.
    #[must_use]
    pub const fn delay(&self) -> Duration {
        self.delay
    }

    /// Reads what follows `sim:`.
    ///
    /// # Errors
    /// What a part of it must be.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (text, seed) = cut(text, '#');
        let (text, later) = cut(text, '@');
        let (text, slow) = cut(text, '/');
        let (delay, jitter) = cut(text, '~');
        let seconds = number(delay).and_then(|ms| Duration::try_from_secs_f64(ms / 1e3).ok());
        let delay = seconds
            .filter(|&delay| delay <= MAX_DELAY)
            .ok_or_else(|| format!("MILLISECONDS is 0 to {}, fractions allowed", MAX_DELAY.as_millis()))?;
        let mut pace = Self::steady(delay);
        if let Some(jitter) = jitter {
            let share = number(jitter).and_then(|jitter| share(jitter, 1e3));
            pace.jitter = share.ok_or("JITTER is 0 to 1, a share of the milliseconds")?;
        }
        if let Some(slow) = slow {
            let parts = slow.split_once('x');
            let parts = parts.and_then(|(calls, text)| Some((share(number(calls)?, 1e6)?, times(text)?)));
            (pace.slow, pace.slower) = parts.ok_or_else(|| {
                format!(
                    "SHARExTIMES is two numbers, 0 to 1 of the calls and up to {MAX_SLOWER} times as slow"
                )
            })?;
        }
        if let Some(later) = later {
            let parts = later.split_once('x');
            let parts = parts.and_then(|(calls, text)| Some((calls.parse().ok()?, times(text)?)));
            (pace.fresh, pace.tired) = parts.ok_or_else(|| {
                format!(
                    "CALLSxTIMES is a whole number, and up to {MAX_SLOWER} times as slow after so many calls"
                )
            })?;
        }
        if let Some(seed) = seed {
            pace.seed = seed.parse().map_err(|_| "SEED is a whole number".to_owned())?;
        }
        Ok(pace)
    }

    /// How long the call of this number takes.
    #[must_use]
    pub fn call(&self, number: u64) -> Duration {
        let draw = |lane: u64| unit(mix(mix(self.seed ^ lane).wrapping_add(number)));
        let slow = draw(1) < f64::from(self.slow) / 1e6;
        let times = if slow { f64::from(self.slower) / 1e3 } else { 1.0 };
        let jitter = 1.0 + f64::from(self.jitter) / 1e3 * (2.0 * draw(2) - 1.0);
        let tired = if self.fresh <= number { f64::from(self.tired) / 1e3 } else { 1.0 };
        self.delay.mul_f64(times * jitter * tired)
    }
}

impl fmt::Display for Pace {
    /// The form that is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.delay.as_secs_f64() * 1e3)?;
        if 0 < self.jitter {
            write!(f, "~{}", f64::from(self.jitter) / 1e3)?;
        }
        if 0 < self.slow {
            write!(f, "/{}x{}", f64::from(self.slow) / 1e6, f64::from(self.slower) / 1e3)?;
        }
        if self.tired != 1000 {
            write!(f, "@{}x{}", self.fresh, f64::from(self.tired) / 1e3)?;
        }
        if 0 < self.seed {
            write!(f, "#{}", self.seed)?;
        }
        Ok(())
    }
}

/// What lies before a mark and what behind it.
fn cut(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark).map_or((text, None), |(before, behind)| (before, Some(behind)))
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// How many times as long a call takes, in thousandths.
fn times(text: &str) -> Option<u32> {
    share(number(text)? / MAX_SLOWER, MAX_SLOWER * 1e3)
}

/// A share of 0 to 1 as that many of `whole`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to a million")]
fn share(share: f64, whole: f64) -> Option<u32> {
    (0.0..=1.0).contains(&share).then(|| (share * whole).round() as u32)
}

/// One step of SplitMix64 (Steele, Lea & Flood 2014): well mixed bits of a number.
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// 32 of these bits as a number from 0 to below 1.
fn unit(bits: u64) -> f64 {
    let high = u32::try_from(bits >> 32).expect("32 bits are left");
    f64::from(high) / 2_f64.powi(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_and_slow_calls_are_as_asked_and_repeat() {
        let pace = Pace::parse("100~0.1/0.01x5#3").unwrap();
        let delays: Vec<f64> = (0..100_000).map(|call| pace.call(call).as_secs_f64() * 1e3).collect();
        let slow = delays.iter().filter(|&&ms| 200.0 < ms).count();
        assert!((900..1100).contains(&slow), "{slow} of 100000 calls are slow");
        let normal: Vec<f64> = delays.iter().copied().filter(|&ms| ms < 200.0).collect();
        assert!(normal.iter().all(|ms| (90.0..110.0).contains(ms)));
        let count = f64::from(u32::try_from(normal.len()).unwrap());
        assert!((normal.iter().sum::<f64>() / count - 100.0).abs() < 0.1);
        assert!(normal.iter().any(|&ms| ms < 91.0) && normal.iter().any(|&ms| 109.0 < ms));
        assert_eq!(pace.call(7), Pace::parse("100~0.1/0.01x5#3").unwrap().call(7));
        assert_ne!(pace.call(7), Pace::parse("100~0.1/0.01x5#4").unwrap().call(7));
        assert_eq!(Pace::steady(Duration::from_millis(5)).call(9), Duration::from_millis(5));
    }

    #[test]
    fn a_device_tires_after_its_calls() {
        let pace = Pace::parse("10@100x20").unwrap();
        assert_eq!([0, 99, 100, 9999].map(|call| pace.call(call).as_millis()), [10, 10, 200, 200]);
    }
}
