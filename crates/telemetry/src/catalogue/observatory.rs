//! What the observatory tells of what it receives and keeps.

use super::{Component, Kind, Label, Metric, Unit};

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric::new(Component::Observatory, Kind::Counter, name, help)
}

const fn gauge(name: &'static str, unit: Unit, help: &'static str) -> Metric {
    Metric::new(Component::Observatory, Kind::Gauge, name, help).unit(unit).observed("read at scrape time")
}

/// What OTLP carries.
pub(crate) const SIGNALS: &[&str] = &["traces", "metrics", "logs"];
/// How a request with telemetry ended.
pub(crate) const RECEIVED: &[&str] = &["accepted", "partial", "refused"];
/// What became of a span that arrived.
pub(crate) const SPAN_FATES: &[&str] = &["stored", "repeated", "rejected"];
/// Why a span left the store.
pub(crate) const SPAN_ENDS: &[&str] = &["expired", "evicted"];

/// What is kept on the disk.
const STORE: &[Label] = &[Label::closed("store", &["metrics", "spans"])];

pub(crate) static OTLP_REQUESTS_TOTAL: Metric = counter(
    "observatory_otlp_requests_total",
    "Requests with telemetry by signal: accepted, partial (some of it was left out), or refused.",
)
.labels(&[Label::closed("signal", SIGNALS), Label::closed("outcome", RECEIVED)])
.observed("when a request is answered");
pub(crate) static SPANS_RECEIVED_TOTAL: Metric = counter(
    "observatory_spans_received_total",
    "Spans that arrived: stored, repeated (known already, kept once), or rejected (without a valid identity).",
)
.labels(&[Label::closed("outcome", SPAN_FATES)])
.observed("when a request with spans is answered");
pub(crate) static SPAN_VALUES_CUT_TOTAL: Metric = counter(
    "observatory_span_values_cut_total",
    "Values of spans that were cut or left out, so that spans stay bounded.",
)
.observed("when a request with spans is answered");
pub(crate) static SPANS_DROPPED_TOTAL: Metric = counter(
    "observatory_spans_dropped_total",
    "Spans that left the store: expired (kept for the retention time) or evicted (the oldest, for want of room).",
)
.labels(&[Label::closed("reason", SPAN_ENDS)])
.observed("read at scrape time");
pub(crate) static SPANS: Metric = gauge("observatory_spans", Unit::Count, "Spans held.");
pub(crate) static TRACES: Metric = gauge("observatory_traces", Unit::Count, "Traces held.");
pub(crate) static SPAN_BYTES: Metric = gauge("observatory_span_bytes", Unit::Bytes, "Memory that spans take.");
pub(crate) static DISK_BYTES: Metric =
    gauge("observatory_disk_bytes", Unit::Bytes, "Bytes of the files of the data directory.").labels(STORE);
pub(crate) static DISK_FAILURES_TOTAL: Metric = counter(
    "observatory_disk_failures_total",
    "Batches that could not be written to the data directory; they are in memory only.",
)
.labels(STORE)
.observed("read at scrape time");
pub(crate) static DISK_DAMAGED_TOTAL: Metric = counter(
    "observatory_disk_damaged_total",
    "Records, ends of files and whole files of the data directory that could not be read back at the start.",
)
.labels(STORE)
.observed("read at scrape time");

pub(super) static ALL: &[&Metric] = &[
    &OTLP_REQUESTS_TOTAL,
    &SPANS_RECEIVED_TOTAL,
    &SPAN_VALUES_CUT_TOTAL,
    &SPANS_DROPPED_TOTAL,
    &SPANS,
    &TRACES,
    &SPAN_BYTES,
    &DISK_BYTES,
    &DISK_FAILURES_TOTAL,
    &DISK_DAMAGED_TOTAL,
];
