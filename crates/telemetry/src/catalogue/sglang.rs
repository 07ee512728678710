//! SGLang's equivalents, exposed by an engine that simulates SGLang.

use super::{Component, Kind, Label, Metric, Unit};

const MODEL: &[Label] = &[Label::open("model_name")];

const TTFT_S: &[f64] =
    &[0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 200.0, 400.0];
const ITL_S: &[f64] = &[
    0.002, 0.004, 0.006, 0.008, 0.010, 0.015, 0.020, 0.025, 0.030, 0.035, 0.040, 0.060, 0.080, 0.100, 0.200, 0.400,
    0.600, 0.800, 1.0, 2.0, 4.0, 6.0, 8.0,
];
const E2E_S: &[f64] = &[
    0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 200.0, 400.0, 600.0, 1200.0,
    1800.0, 2400.0,
];

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric::new(Component::Engine, Kind::Gauge, name, help).labels(MODEL).observed("read at scrape time")
}

const fn counter(name: &'static str, observed: &'static str, help: &'static str) -> Metric {
    Metric::new(Component::Engine, Kind::Counter, name, help).labels(MODEL).observed(observed)
}

const fn seconds(name: &'static str, buckets: &'static [f64], observed: &'static str, help: &'static str) -> Metric {
    Metric::new(Component::Engine, Kind::Histogram, name, help)
        .labels(MODEL)
        .unit(Unit::Seconds)
        .buckets(buckets)
        .observed(observed)
}

pub(crate) static RUNNING: Metric = gauge("sglang:num_running_reqs", "The number of running requests.");
pub(crate) static WAITING: Metric = gauge("sglang:num_queue_reqs", "The number of requests in the waiting queue.");
pub(crate) static TOKEN_USAGE: Metric = gauge("sglang:token_usage", "The token usage.").unit(Unit::Ratio);
pub(crate) static PROMPT_TOKENS_TOTAL: Metric =
    counter("sglang:prompt_tokens_total", "when a prefill is done", "Number of prefill tokens processed.");
pub(crate) static GENERATION_TOKENS_TOTAL: Metric =
    counter("sglang:generation_tokens_total", "each engine step", "Number of generation tokens processed.");
pub(crate) static CACHED_TOKENS_TOTAL: Metric =
    counter("sglang:cached_tokens_total", "when a request is admitted", "Number of cached prompt tokens.");
pub(crate) static REQUESTS_TOTAL: Metric =
    counter("sglang:num_requests_total", "when a request ends", "Number of requests processed.");
pub(crate) static TTFT: Metric = seconds(
    "sglang:time_to_first_token_seconds",
    TTFT_S,
    "at the first token of a request",
    "Histogram of time to first token in seconds.",
);
pub(crate) static ITL: Metric = seconds(
    "sglang:inter_token_latency_seconds",
    ITL_S,
    "at each later token",
    "Histogram of inter-token latency in seconds.",
);
pub(crate) static E2E: Metric = seconds(
    "sglang:e2e_request_latency_seconds",
    E2E_S,
    "when a request ends",
    "Histogram of End-to-end request latency in seconds",
);

pub(super) static ALL: &[&Metric] = &[
    &RUNNING,
    &WAITING,
    &TOKEN_USAGE,
    &PROMPT_TOKENS_TOTAL,
    &GENERATION_TOKENS_TOTAL,
    &CACHED_TOKENS_TOTAL,
    &REQUESTS_TOTAL,
    &TTFT,
    &ITL,
    &E2E,
];
