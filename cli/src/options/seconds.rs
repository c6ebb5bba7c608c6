//! Times on the command line: a number of seconds in, a duration out.

use std::time::Duration;

use super::Error;

/// Longest time that a flag takes: a day.
const MAX: f64 = 86_400.0;

/// The duration of `value` seconds.
///
/// # Errors
/// The value is not above 0, not a number, or longer than a day.
pub(crate) fn seconds(flag: &'static str, value: f64) -> Result<Duration, Error> {
    // Written so that NaN, which compares with nothing, is refused as well.
    if 0.0 < value && value <= MAX {
        Ok(Duration::from_secs_f64(value))
    } else {
        Err(Error::Seconds { flag, value, max: MAX })
    }
}
