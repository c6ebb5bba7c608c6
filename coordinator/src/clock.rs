//! The clock of everything around the pure parts: nothing in, the time now out; moments in, their dates out.
//!
//! It is tokio's, so that it goes with the runtime's timers: where a simulation stops these, this one stops as well.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time now.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The date of a moment that has passed.
pub(crate) fn date(moment: Instant) -> SystemTime {
    SystemTime::now() - now().saturating_duration_since(moment)
}

/// The date of a moment that has passed, ms since 1970.
pub(crate) fn unix_ms(moment: Instant) -> u64 {
    let since: Duration = date(moment).duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
