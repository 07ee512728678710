//! A leaky bucket: so many a second, with a burst of one second's worth (at least one).

use crate::clock::Moment;

/// Credits that grow with time.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    credits: f64,
    filled: Moment,
}

impl Bucket {
    /// A full bucket. A rate of zero never gives.
    pub(super) fn new(per_second: f64, now: Moment) -> Self {
        Self { per_second, credits: burst(per_second), filled: now }
    }

    /// Takes one credit, if there is one.
    pub(super) fn take(&mut self, now: Moment) -> bool {
        let grown = (now - self.filled).as_secs_f64() * self.per_second;
        self.credits = (self.credits + grown).min(burst(self.per_second));
        self.filled = self.filled.max(now);
        let gives = self.credits >= 1.0;
        if gives {
            self.credits -= 1.0;
        }
        gives
    }
}

fn burst(per_second: f64) -> f64 {
    if per_second > 0.0 { per_second.max(1.0) } else { 0.0 }
}
