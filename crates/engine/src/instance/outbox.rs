//! How a step's tokens leave: one request after the other.
//!
//! A step ends for all its sequences at once, but a real API server then takes its time over each of them: it makes text
//! of ids, JSON of text, and writes. With fifty streams the last one's token leaves milliseconds after the first one's. An
//! engine that let them all go in the same instant would be unlike any real one, and would measure the machine's
//! scheduler instead of whatever stands before it.

use super::mailbox::{Mailbox, Progress};
use super::timer::Timer;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;
use telemetry::clock;
use tokio::sync::Notify;

/// Mailboxes with news that has not been shown yet; each is in it once, so it is never longer than there are requests.
#[derive(Debug)]
pub(super) struct Outbox {
    cost: Duration,
    waiting: Mutex<VecDeque<Mailbox>>,
    filled: Notify,
}

impl Outbox {
    /// An outbox that spends `cost` on each output; nothing waits where that is zero.
    pub(super) fn new(cost: Duration) -> Self {
        Self { cost, waiting: Mutex::default(), filled: Notify::new() }
    }

    /// Takes news for a request. Whom to wake right now, if anybody: better done without holding a lock.
    pub(super) fn take(&self, mailbox: &Mailbox, progress: Progress) -> Option<Waker> {
        if self.cost.is_zero() {
            return mailbox.put(progress);
        }
        if mailbox.stage(progress) {
            self.waiting.lock().push_back(mailbox.clone());
            self.filled.notify_one();
        }
        None
    }

    /// Shows the news at the pace of the cost, for ever.
    pub(super) async fn deliver(&self, timer: Timer) {
        let mut free = clock::now();
        loop {
            let Some(mailbox) = self.next() else {
                self.filled.notified().await;
                continue;
            };
            free = free.max(clock::now()) + self.cost;
            timer.until(free).await;
            if let Some(waker) = mailbox.publish() {
                waker.wake();
            }
        }
    }

    fn next(&self) -> Option<Mailbox> {
        self.waiting.lock().pop_front()
    }
}
