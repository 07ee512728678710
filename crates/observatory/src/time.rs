//! The time as samples have it.

use telemetry::clock;

/// The current time in Unix milliseconds.
pub(crate) fn unix_millis() -> i64 {
    i64::try_from(clock::now().unix_nanos() / 1_000_000).unwrap_or(i64::MAX)
}
