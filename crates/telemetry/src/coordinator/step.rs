//! The decoder's average decode step: stands in where a request has no inter-token gap of its own.

use std::sync::atomic::{AtomicU64, Ordering};

/// An exponentially weighted moving average in nanoseconds; zero means that nothing has been seen.
#[derive(Debug, Default)]
pub(super) struct StepAverage(AtomicU64);

impl StepAverage {
    /// Takes in a request's first gap with weight 1/8.
    pub(super) fn record(&self, step: u64) {
        let step = step.max(1);
        let average = |old: u64| Some(if old == 0 { step } else { old - old / 8 + step / 8 }.max(1));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, average);
    }

    /// The average, once there is one.
    pub(super) fn get(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&average| average > 0)
    }
}
