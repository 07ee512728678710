//! What the observatory tells of its samples, scrapes and queries.

use super::{Component, Kind, Label, Metric, Unit};

const QUERY_S: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

const fn metric(kind: Kind, name: &'static str, help: &'static str) -> Metric {
    Metric::new(Component::Observatory, kind, name, help)
}

pub(crate) static SERIES: Metric =
    metric(Kind::Gauge, "observatory_series", "Series of metrics in the store.").observed("read at scrape time");
pub(crate) static STORE_BYTES: Metric =
    metric(Kind::Gauge, "observatory_store_bytes", "Memory that the stores count as theirs.")
        .unit(Unit::Bytes)
        .labels(&[Label::closed("store", &["metrics"])])
        .observed("read at scrape time");
pub(crate) static SAMPLES_TOTAL: Metric = metric(
    Kind::Counter,
    "observatory_samples_total",
    "Samples that came, by what became of them: stored, or refused because they were not later than the last one of their \
     series, older than the retention, ahead of the clock, or of one series too many.",
)
.labels(&[Label::closed("outcome", &["stored", "out_of_order", "too_old", "too_new", "over_limit"])])
.observed("read at scrape time");
pub(crate) static DROPPED_TOTAL: Metric = metric(
    Kind::Counter,
    "observatory_dropped_samples_total",
    "Stored samples that were dropped: older than the retention, or the oldest where the memory was used up.",
)
.labels(&[Label::closed("reason", &["retention", "bytes"])])
.observed("read at scrape time");
pub(crate) static SCRAPES_TOTAL: Metric =
    metric(Kind::Counter, "observatory_scrapes_total", "Scrapes of targets, by what came of them.")
        .labels(&[Label::closed("outcome", &["succeeded", "failed"])])
        .observed("when a scrape ends");
pub(crate) static QUERY_SECONDS: Metric =
    metric(Kind::Histogram, "observatory_query_duration_seconds", "Time to evaluate a query, waiting included.")
        .unit(Unit::Seconds)
        .labels(&[Label::closed("language", &["promql"])])
        .buckets(QUERY_S)
        .observed("when a query has its result, or none");

pub(super) static ALL: &[&Metric] =
    &[&SERIES, &STORE_BYTES, &SAMPLES_TOTAL, &DROPPED_TOTAL, &SCRAPES_TOTAL, &QUERY_SECONDS];
