//! The clock of everything around the pure parts: nothing in, the time now out.
//!
//! It is tokio's, so that it goes with the runtime's timers: where a simulation stops these, this one stops as well.

use std::time::Instant;

/// The time now.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
