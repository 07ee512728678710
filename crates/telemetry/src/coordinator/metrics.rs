//! The coordinator's series, resolved once per connector.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use super::labels::{APIS, CONNECTORS, Connector, DECISIONS, DENIALS};
use crate::catalogue::sidecar as catalogue;
use crate::metrics::{Counter, Exemplar, Family, Histogram, Registry};
use crate::outcome::STAGES;
use crate::timeline::CoordinatorNumbers;

pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Counter, 4>,
    retries: Family<Counter, 2>,
    pool_failures: Counter,
    connectors: [OnceLock<OfConnector>; CONNECTORS.len()],
    llmd: LlmD,
}

/// The names that llm-d's sidecar has grown.
struct LlmD {
    requests: [Counter; APIS.len()],
    disaggregated: Counter,
    decode_only: Counter,
    prefill: Histogram,
    decode: Histogram,
    errors: Family<Counter, 1>,
}

/// Handles of one connector.
pub(super) struct OfConnector {
    name: &'static str,
    completed: [Counter; APIS.len()],
    pub(super) decisions: [Counter; DECISIONS.len()],
    pub(super) denials: [Counter; DENIALS.len()],
    pub(super) active: Arc<AtomicI64>,
    latencies: Latencies,
}

struct Latencies {
    true_ttft: Histogram,
    total: Histogram,
    prefill: Histogram,
    decode: Histogram,
    kv_transfer: Histogram,
    decode_start: Histogram,
    first_step: Histogram,
    coordination: Histogram,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            registry: registry.clone(),
            requests: registry.counter(&catalogue::REQUESTS_TOTAL),
            retries: registry.counter(&catalogue::PREFILL_RETRIES_TOTAL),
            pool_failures: registry.counter(&catalogue::POOL_FAILURES_TOTAL).with([]),
            connectors: [const { OnceLock::new() }; CONNECTORS.len()],
            llmd: LlmD::new(registry),
        }
    }

    pub(super) fn pool_refresh_failed(&self) {
        self.pool_failures.inc();
    }

    /// The handles of a connector; its series exist from the first call.
    pub(super) fn of(&self, connector: Connector) -> &OfConnector {
        self.connectors[connector as usize]
            .get_or_init(|| OfConnector::new(&self.registry, &self.requests, connector.as_str()))
    }

    pub(super) fn received(&self, connector: Connector, api: &'static str) {
        self.llmd.requests[api_index(api)].inc();
        self.of(connector).active.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retried(&self, connector: Connector, reason: &str) {
        self.retries.with([connector.as_str(), reason]).inc();
    }

    pub(super) fn decided(&self, connector: Connector, decision: Decision) {
        self.of(connector).decisions[decision as usize].inc();
        match decision {
            Decision::Disaggregated => self.llmd.disaggregated.inc(),
            Decision::DecodeOnly => self.llmd.decode_only.inc(),
            Decision::Denied => {}
        }
    }

    pub(super) fn ended(&self, connector: Connector, api: &'static str, outcome: &'static str, stage: &'static str) {
        let of = self.of(connector);
        of.active.fetch_sub(1, Ordering::Relaxed);
        match outcome {
            "completed" => of.completed[api_index(api)].inc(),
            _ => self.requests.with([of.name, api, outcome, stage]).inc(),
        }
        if outcome == "failed" {
            self.llmd.errors.with([stage]).inc();
        }
    }

    /// Observes what was measured. The durations of whole legs are those of requests that completed.
    pub(super) fn observe(&self, at: Connector, numbers: &CoordinatorNumbers, completed: bool, look: Option<Exemplar>) {
        let to = &self.of(at).latencies;
        let observe = |histogram: &Histogram, nanos: Option<u64>| {
            if let Some(nanos) = nanos {
                histogram.observe_with(nanos, look);
            }
        };
        observe(&to.true_ttft, numbers.true_ttft);
        observe(&to.prefill, numbers.prefill_duration);
        observe(&self.llmd.prefill, numbers.prefill_duration);
        observe(&to.coordination, numbers.coordination);
        observe(&to.kv_transfer, numbers.kv_transfer.map(|kv| kv.overhead));
        observe(&to.decode_start, numbers.kv_transfer.map(|kv| kv.time_to_decode_start));
        observe(&to.first_step, numbers.kv_transfer.map(|kv| kv.first_decode_step));
        if completed {
            observe(&to.total, numbers.total_duration);
            observe(&to.decode, numbers.decode_duration);
            observe(&self.llmd.decode, numbers.decode_duration);
        }
    }
}

/// What becomes of a request's prefill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Disaggregated,
    DecodeOnly,
    Denied,
}

impl OfConnector {
    fn new(registry: &Registry, requests: &Family<Counter, 4>, name: &'static str) -> Self {
        let decisions = registry.counter(&catalogue::DISAGGREGATED_TOTAL);
        let denials = registry.counter(&catalogue::DENIED_TOTAL);
        let active = Arc::new(AtomicI64::new(0));
        let read = Arc::clone(&active);
        registry.read(&catalogue::ACTIVE, [name], move || Some(read.load(Ordering::Relaxed) as f64));
        Self {
            name,
            completed: APIS_ARRAY.map(|api| requests.with([name, api, "completed", "none"])),
            decisions: std::array::from_fn(|at| decisions.with([name, DECISIONS[at]])),
            denials: std::array::from_fn(|at| denials.with([name, DENIALS[at]])),
            active,
            latencies: Latencies::new(registry, name),
        }
    }
}

impl Latencies {
    fn new(registry: &Registry, name: &'static str) -> Self {
        let histogram = |metric| registry.histogram(metric).with([name]);
        Self {
            true_ttft: histogram(&catalogue::TRUE_TTFT),
            total: histogram(&catalogue::TOTAL_DURATION),
            prefill: histogram(&catalogue::PREFILL_DURATION),
            decode: histogram(&catalogue::DECODE_DURATION),
            kv_transfer: histogram(&catalogue::KV_TRANSFER),
            decode_start: histogram(&catalogue::TIME_TO_DECODE_START),
            first_step: histogram(&catalogue::FIRST_DECODE_STEP),
            coordination: histogram(&catalogue::COORDINATION),
        }
    }
}

impl LlmD {
    fn new(registry: &Registry) -> Self {
        let requests = registry.counter(&catalogue::LLMD_REQUESTS_TOTAL);
        let split = registry.counter(&catalogue::LLMD_DISAGG_TOTAL);
        let errors = registry.counter(&catalogue::LLMD_ERRORS_TOTAL);
        for stage in STAGES.iter().filter(|stage| **stage != "none") {
            errors.with([stage]);
        }
        Self {
            requests: APIS_ARRAY.map(|api| requests.with([api])),
            disaggregated: split.with(["prefill-decode"]),
            decode_only: split.with(["decode-only"]),
            prefill: registry.histogram(&catalogue::LLMD_PREFILL_SECONDS).with([]),
            decode: registry.histogram(&catalogue::LLMD_DECODE_SECONDS).with([]),
            errors,
        }
    }
}

const APIS_ARRAY: [&str; APIS.len()] = {
    let mut array = [""; APIS.len()];
    array.copy_from_slice(APIS);
    array
};

/// The position of an API label that went through `api_label`.
fn api_index(api: &str) -> usize {
    APIS.iter().position(|known| *known == api).unwrap_or(APIS.len() - 1)
}
