//! The one clock of the process.
//!
//! Every point in time that Candor records is a [`Moment`]: nanoseconds on the monotonic clock, counted from an anchor
//! taken once per process. The anchor is also the only reading of the wall clock, so a wall-clock time (span export,
//! exemplars, logs) is always `anchor + monotonic distance`: two moments can never contradict each other, and a step of
//! the system clock cannot enter a latency.
//!
//! Beneath lies [`tokio::time::Instant`], so a test with paused time drives this clock too.

use std::ops::{Add, Sub};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Where the anchor sits on the scale of [`Moment`]. Not zero, so that an instant from shortly before the anchor (another
/// test's paused runtime, a socket accepted before the first use of the clock) still has a moment of its own.
const ANCHOR_NANOS: u64 = 1 << 50;

struct Anchor {
    instant: Instant,
    unix_nanos: u64,
}

static ANCHOR: LazyLock<Anchor> = LazyLock::new(Anchor::take);

impl Anchor {
    #[expect(clippy::disallowed_methods, reason = "the anchor: the one place where the system clocks are read")]
    fn take() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), unix_nanos: nanos(wall) }
    }
}

/// A point on the process's monotonic clock, in nanoseconds. Meaningless in another process: only durations cross a
/// host boundary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

/// The current moment.
#[expect(clippy::disallowed_methods, reason = "this is telemetry::clock::now(), what everything else uses instead")]
pub fn now() -> Moment {
    Moment::at(Instant::now())
}

impl Moment {
    /// The moment of a tokio instant.
    pub fn at(instant: Instant) -> Self {
        let anchor = ANCHOR.instant;
        match instant.checked_duration_since(anchor) {
            Some(after) => Self(ANCHOR_NANOS.saturating_add(nanos(after))),
            None => Self(ANCHOR_NANOS.saturating_sub(nanos(anchor.saturating_duration_since(instant)))),
        }
    }

    /// A moment by its raw nanoseconds; for tests and for rebuilding a timeline from stored durations.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The raw nanoseconds on this process's scale.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Nanoseconds from `earlier` to this moment; 0 where `earlier` is later.
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Wall-clock time, nanoseconds since the Unix epoch, derived from the anchor.
    pub fn unix_nanos(self) -> u64 {
        let anchor = &*ANCHOR;
        anchor.unix_nanos.saturating_add(self.0).saturating_sub(ANCHOR_NANOS)
    }
}

impl Sub for Moment {
    type Output = Duration;

    /// The distance, zero where `earlier` is in fact later.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, distance: Duration) -> Self {
        Self(self.0.saturating_add(nanos(distance)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, distance: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(distance)))
    }
}

/// Whole nanoseconds of a duration, saturating after 584 years.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
