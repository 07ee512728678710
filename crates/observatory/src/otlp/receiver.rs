//! What takes OTLP's requests: unpacks, reads, stores, counts and complains.

use std::sync::Arc;

use bytes::Bytes;
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use parking_lot::Mutex;
use prost::Message;
use telemetry::observatory::{Received, Receiving, Signal, SpanFates, SpanLevels};
use telemetry::{Telemetry, clock};
use tokio::sync::Semaphore;

use super::wire::{Encoding, MAX_BODY, Partial, Refusal};
use super::{json, samples};
use crate::metrics::store::Store;
use crate::traces::{SpanLog, SpanStore};

/// Requests taken apart at the same time.
const AT_ONCE: usize = 4;

/// Least time between two log lines about refused requests.
const LOG_EVERY_NANOS: u64 = 10_000_000_000;

/// What takes OTLP's requests.
pub struct Receiver {
    spans: Arc<SpanStore>,
    log: Option<Arc<SpanLog>>,
    samples: Arc<Store>,
    receiving: Receiving,
    at_once: Semaphore,
    complaints: Mutex<Complaints>,
}

/// Refused requests since the last log line.
#[derive(Default)]
struct Complaints {
    last: u64,
    kept_back: u64,
}

impl Receiver {
    /// A receiver that fills these stores.
    #[must_use]
    pub fn new(spans: Arc<SpanStore>, log: Option<Arc<SpanLog>>, samples: Arc<Store>, telemetry: &Telemetry) -> Self {
        let receiving = Receiving::new(telemetry);
        let watched = Arc::clone(&spans);
        receiving.watch(move || {
            let stats = watched.stats();
            SpanLevels {
                spans: stats.spans as u64,
                traces: stats.traces as u64,
                bytes: stats.bytes as u64,
                expired: stats.expired,
                evicted: stats.evicted,
            }
        });
        Self {
            spans,
            log,
            samples,
            receiving,
            at_once: Semaphore::new(AT_ONCE),
            complaints: Mutex::new(Complaints::default()),
        }
    }

    /// Takes one request, on a thread of its own: unpacking and storing may take milliseconds.
    pub(super) async fn take(
        self: Arc<Self>,
        signal: Signal,
        encoding: Encoding,
        packed: bool,
        body: Bytes,
    ) -> Result<Partial, Refusal> {
        // Nobody closes the semaphore.
        let _turn = self.at_once.acquire().await;
        let receiver = Arc::clone(&self);
        let taking = tokio::task::spawn_blocking(move || receiver.take_now(signal, encoding, packed, &body));
        let taken = taking.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request with telemetry broke its handler");
            Err(Refusal::Malformed("the request could not be handled".to_owned()))
        });
        self.note(signal, &taken);
        taken
    }

    fn take_now(&self, signal: Signal, encoding: Encoding, packed: bool, body: &Bytes) -> Result<Partial, Refusal> {
        let unpacked;
        let body = if packed {
            unpacked = unpack(body)?;
            &unpacked
        } else {
            body.as_ref()
        };
        match signal {
            Signal::Traces => self.traces(&read(encoding, body, json::traces)?),
            Signal::Metrics => {
                let request: ExportMetricsServiceRequest = read(encoding, body, samples::json::metrics)?;
                Ok(samples::store(&self.samples, &request))
            }
            Signal::Logs => {
                // Nothing shows logs yet: they are read, so that a broken request is told from a sound one, and let go.
                read::<ExportLogsServiceRequest>(encoding, body, |_| Ok(ExportLogsServiceRequest::default()))?;
                Ok(Partial::default())
            }
        }
    }

    fn traces(&self, request: &ExportTraceServiceRequest) -> Result<Partial, Refusal> {
        let accepted = self.spans.insert(&request.resource_spans, clock::now());
        self.receiving.spans(SpanFates {
            stored: accepted.spans,
            repeated: accepted.repeated,
            rejected: accepted.rejected,
            cut: accepted.truncated,
        });
        if let Some(log) = &self.log
            && accepted.spans > 0
        {
            log.append(request, &self.spans);
        }
        let message = match accepted.rejected {
            0 => String::new(),
            _ => "spans without a valid trace_id (16 bytes) or span_id (8 bytes) are left out".to_owned(),
        };
        Ok(Partial { rejected: i64::try_from(accepted.rejected).unwrap_or(i64::MAX), message })
    }

    /// Counts a request that was refused before it was taken.
    pub(super) fn refuse(&self, signal: Signal, refusal: Refusal) -> Result<Partial, Refusal> {
        let refused = Err(refusal);
        self.note(signal, &refused);
        refused
    }

    /// Counts how a request ended, and says so where it did not end well, now and then.
    pub(super) fn note(&self, signal: Signal, taken: &Result<Partial, Refusal>) {
        let (received, why) = match taken {
            Ok(partial) if partial.rejected == 0 => (Received::Accepted, None),
            Ok(partial) => (Received::Partial, Some(partial.message.clone())),
            Err(refusal) => (Received::Refused, Some(refusal.to_string())),
        };
        self.receiving.answered(signal, received);
        let Some(why) = why else { return };
        let now = clock::now().as_nanos();
        let mut complaints = self.complaints.lock();
        if complaints.last != 0 && now - complaints.last < LOG_EVERY_NANOS {
            complaints.kept_back += 1;
            return;
        }
        let others = std::mem::take(&mut complaints.kept_back);
        complaints.last = now;
        drop(complaints);
        tracing::warn!(?signal, why, others, "telemetry was refused or left out");
    }
}

/// Reads a message in whichever way it is written.
fn read<M: Message + Default>(
    encoding: Encoding,
    body: &[u8],
    of_json: impl FnOnce(&serde_json::Value) -> json::Read<M>,
) -> Result<M, Refusal> {
    let malformed = |what: &str, error: String| Refusal::Malformed(format!("not {what}: {error}"));
    match encoding {
        Encoding::Protobuf => {
            M::decode(body).map_err(|error| malformed("an OTLP message in protobuf", error.to_string()))
        }
        Encoding::Json => {
            let value = serde_json::from_slice(body).map_err(|error| malformed("JSON", error.to_string()))?;
            of_json(&value).map_err(|error| malformed("an OTLP message in JSON", error.to_string()))
        }
    }
}

/// Unpacks gzip, up to the limit: a small body may hold a very large one.
fn unpack(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    use std::io::Read as _;

    let mut unpacked = Vec::new();
    let read = GzDecoder::new(body).take(MAX_BODY as u64 + 1).read_to_end(&mut unpacked);
    match read {
        Ok(length) if length > MAX_BODY => Err(Refusal::TooLarge),
        Ok(_) => Ok(unpacked),
        Err(error) => Err(Refusal::Malformed(format!("not gzip: {error}"))),
    }
}
