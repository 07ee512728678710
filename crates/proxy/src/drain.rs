//! Graceful drain: stop taking work, let what runs finish up to a time-out, and say whether it did.
//!
//! A [`Drain`] is shared by the listeners and by whatever background work a component starts through [`Drain::spawn`];
//! it is the only way tasks are spawned, so nothing outlives a shutdown unseen.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use telemetry::clock;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long tasks that were told to stop at once may take to unwind.
const UNWIND: Duration = Duration::from_millis(500);

/// A process's (or a component's) drain. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    begun: CancellationToken,
    cut: CancellationToken,
    tracker: TaskTracker,
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Everything finished by itself within the time-out.
    pub complete: bool,
    /// Tasks (connections, background legs) that were cut off.
    pub cut: usize,
    /// How long it took.
    pub took: Duration,
}

impl Drain {
    /// A drain that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins: listeners stop accepting, idle connections close, answers in progress go on. Repeating it does nothing.
    pub fn begin(&self) {
        self.shared.begun.cancel();
    }

    /// Whether [`Drain::begin`] was called; what a readiness probe asks.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.shared.begun.is_cancelled()
    }

    /// Resolves when the drain begins.
    pub async fn begun(&self) {
        self.shared.begun.cancelled().await;
    }

    /// Resolves when the drain's time is up and whatever still runs must stop.
    pub async fn cut(&self) {
        self.shared.cut.cancelled().await;
    }

    /// Runs `task` so that the drain waits for it, and cuts it off when its time is up.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let cut = self.shared.cut.clone();
        self.shared.tracker.spawn(async move { cut.run_until_cancelled(task).await })
    }

    /// Runs a task that watches [`Drain::cut`] itself.
    pub(crate) fn track<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.shared.tracker.spawn(task);
    }

    /// Where helper tasks of tracked connections run.
    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.shared.tracker
    }

    /// Tasks running now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.shared.tracker.len()
    }

    /// Begins, waits for everything to finish for at most `timeout`, then cuts off the rest.
    pub async fn finish(&self, timeout: Duration) -> DrainReport {
        let started = clock::now();
        self.begin();
        self.shared.tracker.close();
        let complete = tokio::time::timeout(timeout, self.shared.tracker.wait()).await.is_ok();
        let cut = if complete { 0 } else { self.running() };
        self.shared.cut.cancel();
        // A task that blocks a thread cannot be cut; the process must not wait for it.
        if tokio::time::timeout(UNWIND, self.shared.tracker.wait()).await.is_err() {
            tracing::warn!(tasks = self.running(), "tasks did not stop when they were cut off");
        }
        DrainReport { complete, cut, took: clock::now() - started }
    }
}

#[cfg(test)]
mod tests;
