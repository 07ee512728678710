//! The gateway's metrics: names, labels and bounds of the seed document, and what goes beyond it.

use super::{Component, Kind, Label, Metric, PART_MS, PER_TOKEN_MS, STAGE_MS, Unit};
use crate::outcome::{OUTCOMES, STAGES};

const MODEL: Label = Label::open("model");
const STATUS: Label = Label::open("status_code");
const OUTCOME: Label = Label::closed("outcome", OUTCOMES);
const STAGE: Label = Label::closed("stage", STAGES);
const REASON: Label = Label::closed(
    "reason",
    &[
        "queue_full",
        "queue_timeout",
        "model_concurrency",
        "model_requests",
        "model_tokens",
        "key_concurrency",
        "key_requests",
        "key_tokens",
    ],
);
const PLACED_BY: Label = Label::closed("by", &["scheduler", "round_robin", "scheduler_not_ready"]);
const CALL: Label = Label::closed("call", &["schedule", "release", "report"]);
const CALL_OUTCOME: Label = Label::closed("outcome", &["ok", "busy", "refused", "failed"]);
const COMPONENT: Label = Label::closed(
    "component",
    &["preprocess", "queue", "schedule", "dispatch", "prefill", "kv_transfer", "first_decode", "relay", "upstream"],
);

/// Values of `outcome` for copies.
pub(crate) const MIRROR_OUTCOMES: &[&str] = &["answered", "refused", "failed", "timed_out", "dropped"];
const MIRROR_OUTCOME: Label = Label::closed("outcome", MIRROR_OUTCOMES);

const TOKENS: &[f64] =
    &[1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32768.0, 65536.0, 131_072.0];
const E2E_S: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0];
pub(super) const TTFT_MS: &[f64] =
    &[10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0, 20000.0, 30000.0, 60000.0];
const QUEUE_MS: &[f64] = &[1.0, 5.0, 10.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0];

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric::new(Component::Gateway, Kind::Counter, name, help).labels(&[MODEL])
}

const fn histogram(name: &'static str, unit: Unit, buckets: &'static [f64], help: &'static str) -> Metric {
    Metric::new(Component::Gateway, Kind::Histogram, name, help).unit(unit).buckets(buckets).labels(&[MODEL])
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric::new(Component::Gateway, Kind::Gauge, name, help).observed("read at scrape time")
}

pub(crate) static REQUEST_TOTAL: Metric =
    counter("request_total", "Requests that reached a handler, by HTTP status; 499 where the client left.")
        .labels(&[MODEL, STATUS])
        .observed("once per request, when it ends");
pub(crate) static OUTCOME_TOTAL: Metric =
    counter("request_outcome_total", "Requests by how they ended and in which stage; stage is none when completed.")
        .labels(&[MODEL, OUTCOME, STAGE])
        .observed("once per request, when it ends");
pub(crate) static RETRY_TOTAL: Metric = counter(
    "request_retry_total",
    "Attempts that failed and were followed by another one, by the status of their answer; network_error without one.",
)
.labels(&[MODEL, STATUS])
.observed("when the next attempt is decided on");
pub(crate) static REJECTED_TOTAL: Metric = counter(
    "gateway_rejected_total",
    "Requests turned away though nothing was wrong with them: the queue, or whose limit of what.",
)
.labels(&[MODEL, REASON])
.observed("when the request is answered with 429 or 503");
pub(crate) static FALLBACK_TOTAL: Metric = counter(
    "request_fallback_total",
    "Attempts at a fallback endpoint, by the status of its answer: success where it served, network_error without one.",
)
.labels(&[MODEL, STATUS])
.observed("after each attempt");
pub(crate) static FALLBACK_RETRY_SUCCESS_TOTAL: Metric = counter(
    "request_fallback_retry_success_total",
    "Requests that a fallback endpoint served after it had answered 429 and they had waited.",
)
.observed("when it answers");
pub(crate) static MIRROR_TOTAL: Metric =
    counter("mirror_requests_total", "Copies of requests, by what became of them; dropped where there was no room.")
        .labels(&[MIRROR_OUTCOME])
        .observed("when a copy ends");
pub(crate) static PLACEMENT_TOTAL: Metric = counter(
    "gateway_placement_total",
    "Placements, by who made them; scheduler_not_ready where no scheduler answered.",
)
.labels(&[MODEL, PLACED_BY])
.observed("each attempt that was placed; each stage of one whose stages are placed apart");
pub(crate) static SCHEDULER_CALLS_TOTAL: Metric =
    counter("gateway_scheduler_calls_total", "What the gateway asked and told schedulers, by what came of it.")
        .labels(&[CALL, CALL_OUTCOME])
        .observed("when a call has ended");
pub(crate) static INPUT_TOKENS_TOTAL: Metric =
    counter("request_input_tokens_total", "Prompt tokens, as the engine's usage counts them.")
        .unit(Unit::Tokens)
        .observed("when a request with usage ends");
pub(crate) static OUTPUT_TOKENS_TOTAL: Metric =
    counter("request_output_tokens_total", "Generated tokens; while streaming as seen, at the end as the engine says.")
        .unit(Unit::Tokens)
        .observed("while streaming, and at the end");
pub(crate) static INPUT_TOKENS: Metric =
    histogram("request_input_tokens", Unit::Tokens, TOKENS, "Prompt tokens per request.")
        .observed("completed requests");
pub(crate) static OUTPUT_TOKENS: Metric =
    histogram("request_output_tokens", Unit::Tokens, TOKENS, "Generated tokens per request.")
        .observed("completed requests");
pub(crate) static E2E_SECONDS: Metric =
    histogram("request_e2e_latency_seconds", Unit::Seconds, E2E_S, "Request head parsed to end of response.")
        .observed("completed requests");
pub(crate) static TTFT_MILLISECONDS: Metric = histogram(
    "request_ttft_milliseconds",
    Unit::Milliseconds,
    TTFT_MS,
    "Request head parsed to first token handed to the client's connection; queue and scheduling included.",
)
.observed("at the first token of a streaming request");
pub(crate) static TPOT_MILLISECONDS: Metric = histogram(
    "request_tpot_milliseconds",
    Unit::Milliseconds,
    PER_TOKEN_MS,
    "Time per output token after the first: (E2E - TTFT) / (output tokens - 1), on one clock.",
)
.observed("at the end of a completed streaming request with more than one token");
pub(crate) static ITL_MILLISECONDS: Metric = histogram(
    "request_itl_milliseconds",
    Unit::Milliseconds,
    PER_TOKEN_MS,
    "Inter-token latency; the gap before a chunk is spread over the tokens it carries.",
)
.observed("per token after the first chunk");
pub(crate) static QUEUE_MILLISECONDS: Metric = histogram(
    "request_queue_duration_milliseconds",
    Unit::Milliseconds,
    QUEUE_MS,
    "Time in the admission queue; 0 where a request was admitted at once.",
)
.observed("when the request is admitted");
pub(crate) static SCHEDULE_MILLISECONDS: Metric = histogram(
    "request_schedule_duration_milliseconds",
    Unit::Milliseconds,
    STAGE_MS,
    "Admission to placement, failed attempts and waits included.",
)
.observed("when the placement is in hand");
pub(crate) static PREPROCESS_MILLISECONDS: Metric = histogram(
    "request_preprocess_duration_milliseconds",
    Unit::Milliseconds,
    STAGE_MS,
    "Request head parsed to body read and parsed.",
)
.observed("when the stage ends");
pub(crate) static POSTPROCESS_MILLISECONDS: Metric = histogram(
    "request_postprocess_duration_milliseconds",
    Unit::Milliseconds,
    STAGE_MS,
    "The gateway's own work on response chunks, summed over the request.",
)
.observed("at the end of a request that got a response");
pub(crate) static TTFT_COMPONENT_MILLISECONDS: Metric = histogram(
    "request_ttft_component_milliseconds",
    Unit::Milliseconds,
    PART_MS,
    "Parts of the TTFT; those of one request add up to it. upstream stands where nobody said how its part splits.",
)
.labels(&[MODEL, COMPONENT])
.observed("at the end of a streaming request that had a first token");
pub(crate) static PENDING: Metric =
    gauge("gateway_pending_requests", "Requests received but not yet dispatched to an instance.");
pub(crate) static CURRENT: Metric = gauge("gateway_current_requests", "Requests in flight.");
pub(crate) static CONNECTIONS: Metric =
    gauge("upstream_connections", "HTTP/1.1 connections to engines and sidecars, by what they are doing.")
        .labels(&[Label::closed("state", &["idle", "active"])]);

pub(super) static ALL: &[&Metric] = &[
    &REQUEST_TOTAL,
    &OUTCOME_TOTAL,
    &RETRY_TOTAL,
    &REJECTED_TOTAL,
    &FALLBACK_TOTAL,
    &FALLBACK_RETRY_SUCCESS_TOTAL,
    &MIRROR_TOTAL,
    &PLACEMENT_TOTAL,
    &SCHEDULER_CALLS_TOTAL,
    &INPUT_TOKENS_TOTAL,
    &OUTPUT_TOKENS_TOTAL,
    &INPUT_TOKENS,
    &OUTPUT_TOKENS,
    &E2E_SECONDS,
    &TTFT_MILLISECONDS,
    &TPOT_MILLISECONDS,
    &ITL_MILLISECONDS,
    &QUEUE_MILLISECONDS,
    &SCHEDULE_MILLISECONDS,
    &PREPROCESS_MILLISECONDS,
    &POSTPROCESS_MILLISECONDS,
    &TTFT_COMPONENT_MILLISECONDS,
    &PENDING,
    &CURRENT,
    &CONNECTIONS,
];
