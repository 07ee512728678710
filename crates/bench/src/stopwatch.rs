//! The bench's own stopwatch.
//!
//! Candor's clock belongs to what is measured; the bench must not share it. This one reads `CLOCK_MONOTONIC` directly,
//! whose zero is the same for every process of the machine: a moment that the engine process writes into its answer can
//! be subtracted from one taken by the load process.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds in one second.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// Nanoseconds in one millisecond.
pub(crate) const MILLISECOND: u64 = 1_000_000;

/// Nanoseconds of `CLOCK_MONOTONIC`, comparable between the processes of one machine.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * SECOND + time.tv_nsec.unsigned_abs()
}
