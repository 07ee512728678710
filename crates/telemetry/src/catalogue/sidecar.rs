//! The P/D coordinator's metrics, and those that llm-d's sidecar has grown, so that its dashboards go on working.

use super::{Component, Kind, Label, Metric, PART_MS, Unit};
use crate::coordinator::labels::{APIS, CONNECTORS, DECISIONS, DENIALS};
use crate::outcome::{OUTCOMES, STAGES};

const CONNECTOR: Label = Label::closed("connector", CONNECTORS);
const API: Label = Label::closed("api", APIS);
const OUTCOME: Label = Label::closed("outcome", OUTCOMES);
const STAGE: Label = Label::closed("stage", STAGES);

/// llm-d's `SecondsBuckets`: none are documented, so the Prometheus client's defaults.
const DEFAULT_S: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric::new(Component::Sidecar, Kind::Counter, name, help)
}

const fn histogram(name: &'static str, help: &'static str) -> Metric {
    Metric::new(Component::Sidecar, Kind::Histogram, name, help)
        .unit(Unit::Milliseconds)
        .buckets(PART_MS)
        .labels(&[CONNECTOR])
}

pub(crate) static REQUESTS_TOTAL: Metric =
    counter("pd_proxy_requests_total", "Requests by API, how they ended and in which stage; none when completed.")
        .labels(&[CONNECTOR, API, OUTCOME, STAGE])
        .observed("once per request, when it ends");
pub(crate) static DISAGGREGATED_TOTAL: Metric =
    counter("pd_proxy_disaggregated_total", "Requests by what was decided: two legs, decode only, or denied.")
        .labels(&[CONNECTOR, Label::closed("decision", DECISIONS)])
        .observed("when it is decided");
pub(crate) static TRUE_TTFT: Metric = histogram(
    "pd_proxy_true_ttft_milliseconds",
    "Origin (the gateway's receipt, where it told) to first token relayed to the client.",
)
.observed("at the end of a streaming request that had a first token");
pub(crate) static TOTAL_DURATION: Metric =
    histogram("pd_proxy_total_duration_milliseconds", "Origin to last byte relayed.")
        .observed("at the end of a completed request");
pub(crate) static PREFILL_DURATION: Metric =
    histogram("pd_proxy_prefill_duration_milliseconds", "Prefill leg, retries and back-off included.")
        .observed("at the end of a request whose prefill succeeded");
pub(crate) static DECODE_DURATION: Metric =
    histogram("pd_proxy_decode_duration_milliseconds", "Decode request sent to last byte relayed.")
        .observed("at the end of a completed request");
pub(crate) static KV_TRANSFER: Metric = histogram(
    "pd_proxy_kv_transfer_overhead_milliseconds",
    "Prefill complete to the decoder's start: an upper bound, it contains the decoder's queue.",
)
.observed("at the end of a disaggregated streaming request that had a first token");
pub(crate) static TIME_TO_DECODE_START: Metric = histogram(
    "pd_proxy_time_to_decode_start_milliseconds",
    "Origin to the decoder's start: routing, scheduling, prefill, KV transfer and coordination.",
)
.observed("with the KV transfer");
pub(crate) static FIRST_DECODE_STEP: Metric =
    histogram("pd_proxy_first_decode_step_milliseconds", "The decoder's start to its first token.")
        .observed("with the KV transfer");
pub(crate) static COORDINATION: Metric = histogram(
    "pd_proxy_coordination_milliseconds",
    "Prefill done to decode sent: the coordinator's own work between the legs of a serial protocol.",
)
.observed("at the end of a serial disaggregated request whose decode leg was sent");
pub(crate) static PREFILL_RETRIES_TOTAL: Metric =
    counter("pd_proxy_prefill_retries_total", "Prefill attempts after the first, by what made the one before fail.")
        .labels(&[CONNECTOR, Label::open("reason")])
        .observed("each retry");
pub(crate) static DENIED_TOTAL: Metric =
    counter("pd_proxy_denied_total", "Prefill targets refused by the allow-list, by reason.")
        .labels(&[CONNECTOR, Label::closed("reason", DENIALS)])
        .observed("each refusal");
pub(crate) static POOL_FAILURES_TOTAL: Metric = counter(
    "pd_proxy_pool_refresh_failures_total",
    "Attempts to read the inference pool's pods that failed; the last ones stay allowed.",
)
.observed("each failure");
pub(crate) static ACTIVE: Metric =
    Metric::new(Component::Sidecar, Kind::Gauge, "pd_proxy_active_requests", "Requests in flight.")
        .labels(&[CONNECTOR])
        .observed("read at scrape time");

pub(crate) static LLMD_REQUESTS_TOTAL: Metric =
    counter("llm_d_disagg_sidecar_requests_total", "llm-d's name for requests received, by API.")
        .labels(&[Label::closed("api_type", APIS)])
        .observed("when a request is received");
pub(crate) static LLMD_DISAGG_TOTAL: Metric =
    counter("llm_d_disagg_sidecar_disagg_requests_total", "llm-d's name for requests by how they were split.")
        .labels(&[Label::closed("disagg_type", &["prefill-decode", "decode-only"])])
        .observed("when it is decided");
pub(crate) static LLMD_PREFILL_SECONDS: Metric = Metric::new(
    Component::Sidecar,
    Kind::Histogram,
    "llm_d_disagg_sidecar_prefill_duration_seconds",
    "llm-d's name for the prefill leg.",
)
.unit(Unit::Seconds)
.buckets(DEFAULT_S)
.observed("with pd_proxy_prefill_duration_milliseconds");
pub(crate) static LLMD_DECODE_SECONDS: Metric = Metric::new(
    Component::Sidecar,
    Kind::Histogram,
    "llm_d_disagg_sidecar_decode_duration_seconds",
    "llm-d's name for the decode leg.",
)
.unit(Unit::Seconds)
.buckets(DEFAULT_S)
.observed("with pd_proxy_decode_duration_milliseconds");
pub(crate) static LLMD_ERRORS_TOTAL: Metric =
    counter("llm_d_disagg_sidecar_request_errors_total", "llm-d's name for failed requests, by stage.")
        .labels(&[STAGE])
        .observed("when a request fails");

pub(super) static ALL: &[&Metric] = &[
    &REQUESTS_TOTAL,
    &DISAGGREGATED_TOTAL,
    &TRUE_TTFT,
    &TOTAL_DURATION,
    &PREFILL_DURATION,
    &DECODE_DURATION,
    &KV_TRANSFER,
    &TIME_TO_DECODE_START,
    &FIRST_DECODE_STEP,
    &COORDINATION,
    &PREFILL_RETRIES_TOTAL,
    &DENIED_TOTAL,
    &POOL_FAILURES_TOTAL,
    &ACTIVE,
    &LLMD_REQUESTS_TOTAL,
    &LLMD_DISAGG_TOTAL,
    &LLMD_PREFILL_SECONDS,
    &LLMD_DECODE_SECONDS,
    &LLMD_ERRORS_TOTAL,
];
