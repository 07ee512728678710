//! From the queue to where spans go: one task, one batch at a time, every span's fate counted.

mod error;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::{Batch, MemorySpans, SpanExport, TelemetryConfig};
use crate::metrics::{Counter, Histogram};
use crate::span::{SpanQueue, SpanRecord};

pub use error::ExportError;

/// The export task's side of the queue and its counters.
pub(crate) struct Spans {
    pub(crate) queue: Arc<SpanQueue>,
    pub(crate) batch: Batch,
    pub(crate) exported: Counter,
    pub(crate) failed: Counter,
    pub(crate) seconds: Histogram,
}

/// A destination.
pub(crate) enum Exporter {
    Memory(MemorySpans),
}

impl Exporter {
    /// The configured destination; `None` where spans go nowhere.
    pub(crate) fn new(config: TelemetryConfig) -> Result<Option<Self>, ExportError> {
        Ok(match config.export {
            SpanExport::Memory(spans) => Some(Self::Memory(spans)),
            _ => None,
        })
    }

    async fn send(&mut self, spans: Vec<SpanRecord>) -> Result<u64, ExportError> {
        match self {
            Self::Memory(memory) => memory.extend(spans),
        }
        Ok(0)
    }
}

impl Spans {
    /// Runs until `stop`, then sends what is left.
    pub(crate) async fn export(self, mut exporter: Exporter, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.queue.batch_waits() => {}
                () = tokio::time::sleep(self.batch.schedule_delay) => {}
            }
            self.drain(&mut exporter, SpanQueue::has_batch).await;
            let rest = self.queue.take_batch();
            self.deliver(&mut exporter, rest).await;
        }
        let end = tokio::time::sleep(self.batch.export_timeout);
        tokio::select! {
            () = end => {}
            () = self.drain(&mut exporter, |_| true) => {}
        }
    }

    async fn drain(&self, exporter: &mut Exporter, more: impl Fn(&SpanQueue) -> bool) {
        while more(&self.queue) {
            let batch = self.queue.take_batch();
            if batch.is_empty() {
                return;
            }
            self.deliver(exporter, batch).await;
        }
    }

    async fn deliver(&self, exporter: &mut Exporter, batch: Vec<SpanRecord>) {
        if batch.is_empty() {
            return;
        }
        let (count, begun) = (batch.len() as u64, clock::now());
        let result = exporter.send(batch).await;
        self.seconds.observe_duration(clock::now() - begun);
        let rejected = result.unwrap_or(count).min(count);
        self.exported.add(count - rejected);
        self.failed.add(rejected);
    }
}
