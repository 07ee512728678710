//! Noticing that an answer has gone silent, at almost no cost per chunk.
//!
//! A timer that is moved with every chunk costs a walk through the timer wheel each time. This one is left where it is;
//! only when it fires is the time of the last chunk looked at, and the timer set again for what is left.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use telemetry::clock::Moment;
use tokio::time::{Sleep, sleep};

/// Watches for a silence of a given length.
pub(super) struct Silence {
    limit: Duration,
    last: Moment,
    timer: Pin<Box<Sleep>>,
}

impl Silence {
    /// Nothing has been silent yet at `now`.
    pub(super) fn new(limit: Duration, now: Moment) -> Self {
        Self { limit, last: now, timer: Box::pin(sleep(limit)) }
    }

    /// Something was heard.
    pub(super) fn heard(&mut self, now: Moment) {
        self.last = now;
    }

    /// Ready when nothing was heard for the whole limit; `now` is asked for only when the timer fires.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, now: impl Fn() -> Moment) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let silent = now() - self.last;
            if silent >= self.limit {
                return Poll::Ready(());
            }
            self.timer.set(sleep(self.limit - silent));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use telemetry::clock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_whole_limit_must_pass_since_the_last_chunk() {
        let limit = Duration::from_secs(10);
        let start = clock::now();
        let mut silence = Silence::new(limit, start);
        for _ in 0..3 {
            let waited =
                tokio::time::timeout(limit - Duration::from_secs(1), poll_fn(|cx| silence.poll(cx, clock::now)));
            assert!(waited.await.is_err());
            silence.heard(clock::now());
        }
        poll_fn(|cx| silence.poll(cx, clock::now)).await;
        assert_eq!((clock::now() - start).as_secs(), 3 * 9 + 10);
    }
}
