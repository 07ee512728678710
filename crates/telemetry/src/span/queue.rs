//! The bounded queue between the requests and the export task.
//!
//! Putting a span in takes a short lock and never waits: a full queue drops the span and counts it. The export task is
//! woken once per full batch, not once per span; otherwise it comes by itself.

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::SpanRecord;
use crate::metrics::Counter;

pub(crate) struct SpanQueue {
    spans: Mutex<Vec<SpanRecord>>,
    capacity: usize,
    batch: usize,
    full_batch: Notify,
    dropped: Counter,
}

impl SpanQueue {
    /// A queue for `capacity` spans that wakes its reader at each `batch`.
    pub(crate) fn new(capacity: usize, batch: usize, dropped: Counter) -> Self {
        let capacity = capacity.max(1);
        let batch = batch.clamp(1, capacity);
        Self { spans: Mutex::default(), capacity, batch, full_batch: Notify::new(), dropped }
    }

    pub(crate) fn push(&self, span: SpanRecord) {
        let mut spans = self.spans.lock();
        if spans.len() >= self.capacity {
            drop(spans);
            self.dropped.inc();
            return;
        }
        spans.push(span);
        let wake = spans.len() == self.batch;
        drop(spans);
        if wake {
            self.full_batch.notify_one();
        }
    }

    /// Resolves when a whole batch waits.
    pub(crate) async fn batch_waits(&self) {
        self.full_batch.notified().await;
    }

    /// The oldest spans, at most a batch.
    pub(crate) fn take_batch(&self) -> Vec<SpanRecord> {
        let mut spans = self.spans.lock();
        let rest = match spans.len() {
            more if more > self.batch => spans.split_off(self.batch),
            // The next batch will be full too: room for it at once, rather than by doubling under the lock.
            full if full == self.batch => Vec::with_capacity(self.batch),
            _ => Vec::new(),
        };
        std::mem::replace(&mut *spans, rest)
    }

    /// Whether a whole batch waits.
    pub(crate) fn has_batch(&self) -> bool {
        self.spans.lock().len() >= self.batch
    }
}
