//! How much of a minute's allowance is used up.

use std::time::Duration;

use telemetry::clock::Moment;

/// Nanoseconds of a minute.
const MINUTE: u128 = 60_000_000_000;

/// What was used lately, running out at the pace that is allowed.
///
/// Amounts are kept times the nanoseconds of a minute: so a whole number of them runs out per nanosecond, whatever the allowance,
/// and nothing is ever rounded away. More may be used than is allowed, when it is known only afterwards: then nothing is left
/// until it has run out. What is used is never below nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Meter {
    used: u128,
    at: Moment,
}

impl Meter {
    /// Lets run out what has by now.
    pub(super) fn advance(&mut self, allowance: u64, now: Moment) {
        let passed = u128::from(allowance) * u128::from(now.nanos_since(self.at));
        self.used = self.used.saturating_sub(passed);
        self.at = self.at.max(now);
    }

    /// How long until `amount` fits; no time at all where it does. It never does where it is more than the allowance.
    pub(super) fn wait(&self, allowance: u64, amount: u64) -> Duration {
        let wanted = self.used.saturating_add(scaled(amount));
        time(wanted.saturating_sub(scaled(allowance)), allowance)
    }

    pub(super) fn add(&mut self, amount: u64) {
        self.used = self.used.saturating_add(scaled(amount));
    }

    /// Takes back what was added and not needed. What of it has run out meanwhile is gone.
    pub(super) fn take_back(&mut self, amount: u64) {
        self.used = self.used.saturating_sub(scaled(amount));
    }

    /// What is used, rounded up.
    pub(super) fn used(&self) -> u64 {
        u64::try_from(self.used.div_ceil(MINUTE)).unwrap_or(u64::MAX)
    }

    /// What is left, rounded down.
    pub(super) fn left(&self, allowance: u64) -> u64 {
        allowance.saturating_sub(self.used())
    }

    /// How long until everything is left again.
    pub(super) fn reset(&self, allowance: u64) -> Duration {
        time(self.used, allowance)
    }
}

fn scaled(amount: u64) -> u128 {
    u128::from(amount) * MINUTE
}

/// How long `amount` takes to run out. An allowance is never nothing.
fn time(amount: u128, allowance: u64) -> Duration {
    let nanos = amount.div_ceil(u128::from(allowance.max(1)));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
