//! Noticing that first tokens leave the kernel late, more often than not.

use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Moment;

/// How many delays the median is of.
const WINDOW: usize = 32;

/// The median from which on somebody should know.
const LATE_NANOS: u64 = 5_000_000;

/// How long to be silent after a warning.
const QUIET: Duration = Duration::from_secs(60);

/// The last delays, and when they were warned of.
#[derive(Default)]
pub(super) struct Late(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    delays: Vec<u64>,
    next: usize,
    warned: Option<Moment>,
}

impl Late {
    /// Takes a delay in; returns the median of the last ones where it calls for a warning now.
    pub(super) fn push(&self, at: Moment, delay: u64) -> Option<u64> {
        let mut recent = self.0.lock();
        if recent.delays.len() < WINDOW {
            recent.delays.push(delay);
        } else {
            let next = recent.next;
            recent.delays[next] = delay;
            recent.next = (next + 1) % WINDOW;
        }
        if recent.delays.len() < WINDOW || recent.warned.is_some_and(|warned| at - warned < QUIET) {
            return None;
        }
        let mut sorted = recent.delays.clone();
        sorted.sort_unstable();
        let median = sorted[WINDOW / 2];
        (median > LATE_NANOS).then(|| {
            recent.warned = Some(at);
            median
        })
    }
}
