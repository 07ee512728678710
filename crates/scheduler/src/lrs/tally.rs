//! The sums of one instance.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// How much a new prefill weighs in the moving average of how long prefills take.
const WEIGHT: f64 = 0.2;

/// Requests and tokens on one instance. Read without a lock; changed under one, so that a scrape can see both halves of a
/// change or neither.
#[derive(Debug, Default)]
pub struct Tally {
    waiting_requests: AtomicI64,
    waiting_tokens: AtomicI64,
    running_requests: AtomicI64,
    running_tokens: AtomicI64,
    prefill_ms: AtomicU64,
    changing: Mutex<()>,
}

/// What a [`Tally`] says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// Requests whose prefill is not done.
    pub waiting_requests: i64,
    /// Their tokens.
    pub waiting_tokens: i64,
    /// Requests whose prefill is done.
    pub running_requests: i64,
    /// Their tokens.
    pub running_tokens: i64,
    /// How long prefills took lately, milliseconds; 0 where none was seen.
    pub prefill_ms: f64,
}

impl Sums {
    /// All requests.
    #[must_use]
    pub fn total_requests(&self) -> i64 {
        self.waiting_requests + self.running_requests
    }

    /// All tokens.
    #[must_use]
    pub fn total_tokens(&self) -> i64 {
        self.waiting_tokens + self.running_tokens
    }
}

impl Tally {
    /// The sums as they are now, without a lock.
    #[must_use]
    pub fn read(&self) -> Sums {
        Sums {
            waiting_requests: self.waiting_requests.load(Ordering::Relaxed),
            waiting_tokens: self.waiting_tokens.load(Ordering::Relaxed),
            running_requests: self.running_requests.load(Ordering::Relaxed),
            running_tokens: self.running_tokens.load(Ordering::Relaxed),
            prefill_ms: f64::from_bits(self.prefill_ms.load(Ordering::Relaxed)),
        }
    }

    /// The sums of one instant.
    #[must_use]
    pub fn exact(&self) -> Sums {
        let _still = self.changing.lock();
        self.read()
    }

    /// A request comes, and waits.
    pub(super) fn enter(&self, tokens: u64) {
        let _changing = self.changing.lock();
        self.add(false, 1, signed(tokens));
    }

    /// A request comes, in a test of something else.
    #[cfg(test)]
    pub(crate) fn enter_for_test(&self, tokens: u64) {
        self.enter(tokens);
    }

    /// A request has more tokens.
    pub(super) fn grow(&self, running: bool, tokens: u64) {
        let _changing = self.changing.lock();
        self.add(running, 0, signed(tokens));
    }

    /// A waiting request runs from now on, after so long.
    pub(super) fn start(&self, tokens: u64, after: Duration) {
        let _changing = self.changing.lock();
        self.add(false, -1, -signed(tokens));
        self.add(true, 1, signed(tokens));
        let (before, after) = (f64::from_bits(self.prefill_ms.load(Ordering::Relaxed)), after.as_secs_f64() * 1e3);
        let average = if before == 0.0 { after } else { before + WEIGHT * (after - before) };
        self.prefill_ms.store(average.to_bits(), Ordering::Relaxed);
    }

    /// A request goes.
    pub(super) fn leave(&self, running: bool, tokens: u64) {
        let _changing = self.changing.lock();
        self.add(running, -1, -signed(tokens));
    }

    fn add(&self, running: bool, requests: i64, tokens: i64) {
        let (of_requests, of_tokens) = match running {
            false => (&self.waiting_requests, &self.waiting_tokens),
            true => (&self.running_requests, &self.running_tokens),
        };
        of_requests.fetch_add(requests, Ordering::Relaxed);
        of_tokens.fetch_add(tokens, Ordering::Relaxed);
    }
}

/// Beyond this nobody counts; what is sent may be anything.
pub(crate) const MOST_TOKENS: u64 = 1 << 40;

/// Tokens as a number that can go down.
fn signed(tokens: u64) -> i64 {
    i64::try_from(tokens.min(MOST_TOKENS)).unwrap_or(0)
}
