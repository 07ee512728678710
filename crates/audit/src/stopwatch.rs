//! The client's stopwatch: the one other reader of a clock in this workspace.
//!
//! An audit that read `telemetry::clock` would share its mistakes (a wrong anchor, a coarse source, a paused test
//! clock), and agree with what it is meant to check. So this module goes to the operating system's monotonic clock by
//! itself, and no type of it can be mixed up with a `telemetry::clock::Moment`.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A reading of the stopwatch: nanoseconds since this process first looked at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(u64);

/// Reads the stopwatch.
#[expect(clippy::disallowed_methods, reason = "the referee must not share a clock with what it checks")]
pub fn now() -> Stamp {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(Instant::now);
    Stamp(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

impl Stamp {
    /// Nanoseconds from `earlier` to this reading, 0 where `earlier` is the later one.
    pub fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The reading `delay` after this one.
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long it is until this reading, zero where it has passed.
    pub fn remaining(self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(now().0))
    }
}
