//! The observatory's recorder: what it received, and what it keeps.

mod disk;
mod samples;

pub use disk::{DiskLevels, watch_disk};
pub use samples::{Observatory, Samples};

use crate::Telemetry;
use crate::catalogue::observatory as catalogue;
use crate::metrics::{Counter, Family, Registry};

/// What a request carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Samples.
    Metrics,
    /// Log records.
    Logs,
}

/// How a request with telemetry ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// All of it was taken.
    Accepted,
    /// Some of it was left out.
    Partial,
    /// None of it was.
    Refused,
}

/// What became of the spans of one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanFates {
    /// Added.
    pub stored: u64,
    /// Known already.
    pub repeated: u64,
    /// Without a valid identity.
    pub rejected: u64,
    /// Values cut or left out.
    pub cut: u64,
}

/// What a store of spans holds, and has let go.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanLevels {
    /// Spans held.
    pub spans: u64,
    /// Traces held.
    pub traces: u64,
    /// Bytes held.
    pub bytes: u64,
    /// Spans dropped because of their age.
    pub expired: u64,
    /// Spans dropped for want of room.
    pub evicted: u64,
}

/// Records what arrives.
pub struct Receiving {
    registry: Registry,
    requests: Family<Counter, 2>,
    stored: Counter,
    repeated: Counter,
    rejected: Counter,
    cut: Counter,
}

impl Receiving {
    /// All series exist from here on.
    pub fn new(telemetry: &Telemetry) -> Self {
        let registry = telemetry.registry();
        let requests = registry.counter(&catalogue::OTLP_REQUESTS_TOTAL);
        for signal in catalogue::SIGNALS {
            catalogue::RECEIVED.iter().for_each(|outcome| drop(requests.with([signal, outcome])));
        }
        let spans = registry.counter(&catalogue::SPANS_RECEIVED_TOTAL);
        let [stored, repeated, rejected] = ["stored", "repeated", "rejected"].map(|outcome| spans.with([outcome]));
        Self {
            registry: registry.clone(),
            requests,
            stored,
            repeated,
            rejected,
            cut: registry.counter(&catalogue::SPAN_VALUES_CUT_TOTAL).with([]),
        }
    }

    /// A request was answered.
    pub fn answered(&self, signal: Signal, received: Received) {
        let signal = match signal {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        };
        let received = match received {
            Received::Accepted => "accepted",
            Received::Partial => "partial",
            Received::Refused => "refused",
        };
        self.requests.with([signal, received]).inc();
    }

    /// Spans arrived.
    pub fn spans(&self, fates: SpanFates) {
        self.stored.add(fates.stored);
        self.repeated.add(fates.repeated);
        self.rejected.add(fates.rejected);
        self.cut.add(fates.cut);
    }

    /// Says where the levels are read when somebody scrapes.
    pub fn watch(&self, levels: impl Fn() -> SpanLevels + Clone + Send + Sync + 'static) {
        let read = |metric, of: fn(SpanLevels) -> u64| {
            let levels = levels.clone();
            self.registry.read(metric, [], move || Some(of(levels()) as f64));
        };
        read(&catalogue::SPANS, |levels| levels.spans);
        read(&catalogue::TRACES, |levels| levels.traces);
        read(&catalogue::SPAN_BYTES, |levels| levels.bytes);
        let dropped = |reason, of: fn(SpanLevels) -> u64| {
            let levels = levels.clone();
            self.registry.read(&catalogue::SPANS_DROPPED_TOTAL, [reason], move || Some(of(levels()) as f64));
        };
        dropped("expired", |levels| levels.expired);
        dropped("evicted", |levels| levels.evicted);
    }
}
