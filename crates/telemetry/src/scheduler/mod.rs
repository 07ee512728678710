//! Events of the scheduler: one call per thing that happened, with the moment it did.
//!
//! An [`Attempt`] settles exactly once: by [`Attempt::placed`] or [`Attempt::refused`], or when it is dropped, as failed for
//! an unknown reason. What instances are like is not an event: it is shown at each scrape, of one instant
//! ([`Scheduler::scrape`]).

mod attempt;
mod metrics;
mod rescheduling;
mod series;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::Telemetry;
use crate::clock::Moment;
use crate::span::Tracer;
use crate::trace::TraceContext;

pub use attempt::{Attempt, Choice, ErrorType, Facts, Prefix};
use metrics::Metrics;
pub use rescheduling::{Migrated, REASONS, RESULTS, Rescheduling};
pub use series::{Cms, Imbalance, Lrs, Reading};

/// Values of the label `infer_type`.
pub const INFER_TYPES: &[&str] = &["neutral", "prefill", "decode"];
/// Values of the label `error_type`.
pub const ERROR_TYPES: &[&str] = &[
    "endpoint_not_found",
    "no_available_endpoint",
    "all_endpoints_busy",
    "no_match_infer_type",
    "cms_not_available",
    "scheduler_not_ready",
    "unknown",
];
/// Values of the label `record`.
pub const RECORDS: &[&str] = &["metadata", "status"];

/// Values of the label `what`.
pub const PREDICTED: &[&str] = &["ttft", "tpot", "prefill_progress"];

/// What was predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicted {
    /// The time to a request's first token.
    Ttft,
    /// Its time per further token.
    Tpot,
    /// How many prompt tokens an instance would compute.
    PrefillProgress,
}

/// Which records a refresh read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// What the instances are.
    Metadata,
    /// How they are.
    Status,
}

/// The scheduler's recorder. Cheap to clone.
#[derive(Clone)]
pub struct Scheduler {
    shared: Arc<Shared>,
}

struct Shared {
    telemetry: Arc<Telemetry>,
    tracer: Tracer,
    metrics: Metrics,
    gateways: Arc<AtomicUsize>,
}

impl Scheduler {
    /// A recorder; `full` where instances speak for themselves.
    pub fn new(telemetry: &Arc<Telemetry>, full: bool) -> Self {
        let gateways = Arc::new(AtomicUsize::new(0));
        let metrics = Metrics::new(telemetry.registry(), full, &gateways);
        let tracer = telemetry.tracer().beginning(crate::attributes::scheduler::SCHEDULE);
        Self { shared: Arc::new(Shared { telemetry: Arc::clone(telemetry), tracer, metrics, gateways }) }
    }

    /// Begins an attempt to place a request. Every one that asks is begun, whatever becomes of it.
    pub fn begin(&self, headers: &HeaderMap, received: Moment) -> Attempt {
        let span = self.shared.tracer.start(TraceContext::extract(headers));
        self.shared.metrics.attempts.inc();
        Attempt::new(Arc::clone(&self.shared), span, received)
    }

    /// Prefixes will be looked up: their series are there from now on.
    pub fn looks_up_prefixes(&self) {
        self.shared.metrics.prefix();
    }

    /// A refresh succeeded after `took`, and so many of its records could not be read.
    pub fn refreshed(&self, what: Refreshed, took: Duration, bad: usize) {
        self.shared.metrics.refreshed(what, took, bad);
    }

    /// A refresh failed.
    pub fn refresh_failed(&self, what: Refreshed) {
        self.shared.metrics.refresh_failed(what);
    }

    /// So many requests in flight were settled by their age.
    pub fn aged(&self, requests: usize) {
        self.shared.metrics.aged.add(requests as u64);
    }

    /// So many requests were taken off since nobody would have released them.
    pub fn reclaimed(&self, requests: usize) {
        self.shared.metrics.reclaimed.add(requests as u64);
    }

    /// What was predicted has happened, and was off by so much of it.
    pub fn predicted(&self, what: Predicted, error: f64) {
        self.shared.metrics.predicted(what, error);
    }

    /// This replica places requests from now on, or does not.
    pub fn leads(&self, leads: bool) {
        self.shared.metrics.leader.set(f64::from(u8::from(leads)));
    }

    /// So many gateways are connected.
    pub fn gateways(&self, connected: usize) {
        self.shared.gateways.store(connected, Ordering::Relaxed);
    }

    /// The answer to a scrape with this `Accept` header, with all instances as `readings` says they are. One scrape at a
    /// time, so that what it shows is of one instant.
    pub fn scrape<'a>(
        &self,
        accept: Option<&str>,
        readings: impl FnOnce() -> (Vec<Reading<'a>>, Vec<Imbalance>),
    ) -> (&'static str, Bytes) {
        let mut shown = self.shared.metrics.instances.lock();
        let (readings, imbalances) = readings();
        shown.show(self.shared.telemetry.registry(), &readings, &imbalances);
        self.shared.telemetry.metrics_response(accept)
    }
}

#[cfg(test)]
mod tests;
