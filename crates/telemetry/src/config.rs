//! How one process's telemetry is set up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::otlp::OtlpConfig;
use crate::span::{Sampler, SpanRecord};

/// Everything [`Telemetry::new`](crate::Telemetry::new) needs.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// `service.name`.
    pub service_name: String,
    /// `service.version`, and the label of `build_info`.
    pub version: String,
    /// Further resource attributes.
    pub resource: Vec<(String, String)>,
    /// Which requests get spans.
    pub sampler: Sampler,
    /// Whether trace contexts are read from requests and written into them (`OTEL_PROPAGATORS`).
    pub propagate: bool,
    /// Where spans go.
    pub export: SpanExport,
    /// How they are batched.
    pub batch: Batch,
    /// How big one span may become.
    pub limits: SpanLimits,
    /// What the allocator says is in use, where it can.
    pub allocated_bytes: Option<fn() -> Option<u64>>,
}

/// Where spans go.
#[derive(Clone, Debug, Default)]
pub enum SpanExport {
    /// Nowhere; trace contexts pass through unchanged.
    #[default]
    None,
    /// Kept in memory, for tests.
    Memory(MemorySpans),
    /// A file of JSON lines, one OTLP/JSON export request each.
    File(PathBuf),
    /// The same on standard output.
    Console,
    /// An OTLP receiver.
    Otlp(Box<OtlpConfig>),
}

/// Batching of spans; names and defaults as in the `OTEL_BSP_*` variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// A batch is sent at least this often.
    pub schedule_delay: Duration,
    /// A batch not delivered within this time, retries included, has failed.
    pub export_timeout: Duration,
    /// Spans that may wait; more are dropped and counted.
    pub max_queue_size: usize,
    /// Spans in one request.
    pub max_export_batch_size: usize,
}

/// Limits of one span; names and defaults as in the `OTEL_*_LIMIT` variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLimits {
    /// Attributes of a span.
    pub attributes: usize,
    /// Characters of an attribute's text; longer text is cut.
    pub value_length: usize,
    /// Events of a span.
    pub events: usize,
    /// Attributes of an event.
    pub event_attributes: usize,
}

/// Spans kept in memory. Cheap to clone: clones share the spans.
#[derive(Clone, Debug, Default)]
pub struct MemorySpans(Arc<Mutex<Vec<SpanRecord>>>);

impl TelemetryConfig {
    /// A process called `service_name` that exports nothing.
    pub fn new(service_name: impl Into<String>) -> Self {
        Self {
            service_name: service_name.into(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            resource: Vec::new(),
            sampler: Sampler::default(),
            propagate: true,
            export: SpanExport::None,
            batch: Batch::default(),
            limits: SpanLimits::default(),
            allocated_bytes: None,
        }
    }

    /// The same with another destination for spans.
    #[must_use]
    pub fn with_export(self, export: SpanExport) -> Self {
        Self { export, ..self }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            schedule_delay: Duration::from_secs(5),
            export_timeout: Duration::from_secs(30),
            max_queue_size: 2048,
            max_export_batch_size: 512,
        }
    }
}

impl Default for SpanLimits {
    fn default() -> Self {
        Self { attributes: 128, value_length: usize::MAX, events: 128, event_attributes: 128 }
    }
}

impl MemorySpans {
    /// All spans finished so far and not yet taken.
    pub fn take(&self) -> Vec<SpanRecord> {
        std::mem::take(&mut self.0.lock())
    }

    pub(crate) fn extend(&self, spans: Vec<SpanRecord>) {
        self.0.lock().extend(spans);
    }
}
