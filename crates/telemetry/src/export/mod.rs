//! From the queue to where spans go: one task, one batch at a time, every span's fate counted.

mod error;
mod lines;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::{Batch, MemorySpans, SpanExport, TelemetryConfig};
use crate::metrics::{Counter, Histogram};
use crate::otlp::{Client, Resource};
use crate::span::{SpanQueue, SpanRecord};

pub use error::ExportError;
use lines::Lines;

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
    Lines(Lines),
    Otlp(Box<Client>),
}

impl Exporter {
    /// The configured destination; `None` where spans go nowhere.
    pub(crate) fn new(config: TelemetryConfig) -> Result<Option<Self>, ExportError> {
        let resource = resource(&config);
        Ok(match config.export {
            SpanExport::None => None,
            SpanExport::Memory(spans) => Some(Self::Memory(spans)),
            SpanExport::File(path) => Some(Self::Lines(Lines::file(&path, resource)?)),
            SpanExport::Console => Some(Self::Lines(Lines::console(resource))),
            SpanExport::Otlp(otlp) => Some(Self::Otlp(Box::new(Client::new(*otlp, resource)?))),
        })
    }

    /// Delivers a batch; says how many of it were rejected.
    async fn send(&mut self, spans: Vec<SpanRecord>) -> Result<u64, ExportError> {
        match self {
            Self::Memory(memory) => memory.extend(spans),
            Self::Lines(lines) => lines.write(spans).await?,
            Self::Otlp(client) => return client.send(spans).await,
        }
        Ok(0)
    }
}

/// Runs `work` on a thread of its own. Encoding a batch takes milliseconds; on a thread that also relays tokens each of
/// them would be a stall in somebody's stream.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ExportError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ExportError::Stopped)
}

/// Spans encoded before whoever waits for this core gets it.
const COURTESY: usize = 8;

/// The spans of a batch for a slow encoder, which lets go of its core after every few of them. A thread of its own is not
/// enough where cores are few: the kernel leaves a thread that has begun its time slice of some milliseconds running, and
/// the thread that relays tokens waits. Not for the fast encoder of a loaded proxy: on a core that is fully used, letting go
/// so often leaves it too little time, and spans are lost.
pub(crate) fn unhurried(spans: &[SpanRecord]) -> impl Iterator<Item = &SpanRecord> {
    spans.chunks(COURTESY).flat_map(|few| {
        std::thread::yield_now();
        few
    })
}

/// The resource of every span, `service.name` first. What the configuration says wins over what we know.
fn resource(config: &TelemetryConfig) -> Resource {
    let known = [
        ("service.name", config.service_name.as_str()),
        ("service.version", config.version.as_str()),
        ("telemetry.sdk.name", "candor"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ];
    let said = |key: &str| config.resource.iter().any(|(known, _)| known == key);
    let known = known.into_iter().filter(|(key, _)| !said(key) || *key == "service.name");
    let known = known.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let further = config.resource.iter().filter(|(key, _)| key != "service.name").cloned();
    Resource { attributes: known.chain(further).collect(), version: config.version.clone(), limits: config.limits }
}

impl Spans {
    /// Runs until `stop`, then sends what is left. All of what happens after `stop`, a delivery under way included, has
    /// one export time-out together: what is not delivered by then has failed.
    pub(crate) async fn export(self, exporter: Exporter, stop: CancellationToken) {
        let expired = CancellationToken::new();
        let end = async {
            stop.cancelled().await;
            tokio::time::sleep(self.batch.export_timeout).await;
            expired.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.run(exporter, &stop, &expired) => {}
            () = end => {}
        }
    }

    async fn run(&self, mut exporter: Exporter, stop: &CancellationToken, expired: &CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.queue.batch_waits() => {}
                () = tokio::time::sleep(self.batch.schedule_delay) => {}
            }
            self.drain(&mut exporter, expired, SpanQueue::has_batch).await;
            let rest = self.queue.take_batch();
            self.deliver(&mut exporter, expired, rest).await;
        }
        self.drain(&mut exporter, expired, |_| true).await;
    }

    async fn drain(&self, exporter: &mut Exporter, expired: &CancellationToken, more: impl Fn(&SpanQueue) -> bool) {
        while more(&self.queue) {
            let batch = self.queue.take_batch();
            if batch.is_empty() {
                return;
            }
            self.deliver(exporter, expired, batch).await;
        }
    }

    async fn deliver(&self, exporter: &mut Exporter, expired: &CancellationToken, batch: Vec<SpanRecord>) {
        if batch.is_empty() {
            return;
        }
        let (count, begun) = (batch.len() as u64, clock::now());
        // Boxed: a connection being made is large, and this happens once a batch.
        let sending = tokio::time::timeout(self.batch.export_timeout, Box::pin(exporter.send(batch)));
        let sent = expired.run_until_cancelled(sending).await;
        self.seconds.observe_duration(clock::now() - begun);
        let rejected = match sent.and_then(Result::ok).unwrap_or(Err(ExportError::Timeout)) {
            Ok(rejected) => rejected.min(count),
            Err(error) => {
                tracing::warn!(spans = count, "spans lost: {error}");
                count
            }
        };
        self.exported.add(count - rejected);
        self.failed.add(rejected);
    }
}
