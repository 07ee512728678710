//! vLLM's own series, as a vLLM 0.32 exposes them: names, labels, bounds and help.

use super::{Component, Kind, Label, Metric, Unit};

/// vLLM's labels.
pub(super) const ENGINE: &[Label] = &[Label::open("engine"), Label::open("model_name")];

/// Reasons for which a request ends.
pub const FINISHED_REASONS: &[&str] = &["stop", "length", "abort", "error", "repetition"];
/// Where prompt tokens came from.
pub const PROMPT_SOURCES: &[&str] = &["local_compute", "local_cache_hit", "external_kv_transfer"];
/// Why a request waits.
pub const WAITING_REASONS: &[&str] = &["capacity", "deferred"];

const LENGTH: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0];
const REQUEST_S: &[f64] = &[
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
];
const TTFT_S: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
];
const PER_TOKEN_S: &[f64] =
    &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0];
const ITERATION: &[f64] = &[1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0];
const PREEMPTIONS: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0];
const N: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0];

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric::new(Component::Engine, Kind::Gauge, name, help).labels(ENGINE).observed("read at scrape time")
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric::new(Component::Engine, Kind::Counter, name, help).labels(ENGINE)
}

const fn seconds(name: &'static str, buckets: &'static [f64], help: &'static str) -> Metric {
    Metric::new(Component::Engine, Kind::Histogram, name, help).labels(ENGINE).unit(Unit::Seconds).buckets(buckets)
}

const fn sizes(name: &'static str, buckets: &'static [f64], help: &'static str) -> Metric {
    Metric::new(Component::Engine, Kind::Histogram, name, help).labels(ENGINE).buckets(buckets)
}

const AT_END: &str = "when a request ends";
const AT_STEP: &str = "each engine step";
const AT_ADMISSION: &str = "when a request is admitted";

pub(crate) static RUNNING: Metric =
    gauge("vllm:num_requests_running", "Number of requests in model execution batches.");
pub(crate) static WAITING: Metric = gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.");
pub(crate) static WAITING_BY_REASON: Metric =
    gauge("vllm:num_requests_waiting_by_reason", "Number of waiting requests by reason.").labels(&[
        Label::open("engine"),
        Label::open("model_name"),
        Label::closed("reason", WAITING_REASONS),
    ]);
pub(crate) static KV_CACHE_USAGE: Metric =
    gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.").unit(Unit::Ratio);
pub(crate) static PREFIX_QUERIES: Metric =
    counter("vllm:prefix_cache_queries_total", "Prefix cache queries, in terms of number of queried tokens.")
        .observed(AT_ADMISSION);
pub(crate) static PREFIX_HITS: Metric =
    counter("vllm:prefix_cache_hits_total", "Prefix cache hits, in terms of number of cached tokens.")
        .observed(AT_ADMISSION);
pub(crate) static EXTERNAL_QUERIES: Metric = counter(
    "vllm:external_prefix_cache_queries_total",
    "External prefix cache queries from KV connector cross-instance cache sharing, in terms of number of queried tokens.",
)
.observed(AT_ADMISSION);
pub(crate) static EXTERNAL_HITS: Metric = counter(
    "vllm:external_prefix_cache_hits_total",
    "External prefix cache hits from KV connector cross-instance cache sharing, in terms of number of cached tokens.",
)
.observed(AT_ADMISSION);
pub(crate) static PREEMPTIONS_TOTAL: Metric =
    counter("vllm:num_preemptions_total", "Cumulative number of preemption from the engine.").observed("each");
pub(crate) static PROMPT_TOKENS_TOTAL: Metric =
    counter("vllm:prompt_tokens_total", "Number of prefill tokens processed.").observed("when a prefill is done");
pub(crate) static PROMPT_TOKENS_BY_SOURCE: Metric =
    counter("vllm:prompt_tokens_by_source_total", "Number of prompt tokens by source.")
        .labels(&[Label::open("engine"), Label::open("model_name"), Label::closed("source", PROMPT_SOURCES)])
        .observed("when a prefill is done");
pub(crate) static GENERATION_TOKENS_TOTAL: Metric =
    counter("vllm:generation_tokens_total", "Number of generation tokens processed.").observed(AT_STEP);
pub(crate) static SUCCESS_TOTAL: Metric =
    counter("vllm:request_success_total", "Count of successfully processed requests.")
        .labels(&[Label::open("engine"), Label::closed("finished_reason", FINISHED_REASONS), Label::open("model_name")])
        .observed(AT_END);
pub(crate) static PROMPT_TOKENS: Metric =
    sizes("vllm:request_prompt_tokens", LENGTH, "Number of prefill tokens processed.").observed(AT_END);
pub(crate) static GENERATION_TOKENS: Metric =
    sizes("vllm:request_generation_tokens", LENGTH, "Number of generation tokens processed.").observed(AT_END);
pub(crate) static ITERATION_TOKENS: Metric =
    sizes("vllm:iteration_tokens_total", ITERATION, "Histogram of number of tokens per engine_step.").observed(AT_STEP);
pub(crate) static MAX_GENERATION_TOKENS: Metric = sizes(
    "vllm:request_max_num_generation_tokens",
    LENGTH,
    "Histogram of maximum number of requested generation tokens.",
)
.observed(AT_END);
pub(crate) static PARAMS_N: Metric =
    sizes("vllm:request_params_n", N, "Histogram of the n request parameter.").observed(AT_END);
pub(crate) static PARAMS_MAX_TOKENS: Metric =
    sizes("vllm:request_params_max_tokens", LENGTH, "Histogram of the max_tokens request parameter.").observed(AT_END);
pub(crate) static TTFT: Metric =
    seconds("vllm:time_to_first_token_seconds", TTFT_S, "Histogram of time to first token in seconds.")
        .observed("at the first token of a request");
pub(crate) static ITL: Metric =
    seconds("vllm:inter_token_latency_seconds", PER_TOKEN_S, "Histogram of inter-token latency in seconds.")
        .observed("at each later token");
pub(crate) static TPOT: Metric = seconds(
    "vllm:request_time_per_output_token_seconds",
    PER_TOKEN_S,
    "Histogram of time_per_output_token_seconds per request.",
)
.observed(AT_END);
pub(crate) static E2E: Metric =
    seconds("vllm:e2e_request_latency_seconds", REQUEST_S, "Histogram of e2e request latency in seconds.")
        .observed(AT_END);
pub(crate) static QUEUE_TIME: Metric =
    seconds("vllm:request_queue_time_seconds", REQUEST_S, "Histogram of time spent in WAITING phase for request.")
        .observed(AT_END);
pub(crate) static INFERENCE_TIME: Metric =
    seconds("vllm:request_inference_time_seconds", REQUEST_S, "Histogram of time spent in RUNNING phase for request.")
        .observed(AT_END);
pub(crate) static PREFILL_TIME: Metric =
    seconds("vllm:request_prefill_time_seconds", REQUEST_S, "Histogram of time spent in PREFILL phase for request.")
        .observed(AT_END);
pub(crate) static DECODE_TIME: Metric =
    seconds("vllm:request_decode_time_seconds", REQUEST_S, "Histogram of time spent in DECODE phase for request.")
        .observed(AT_END);
pub(crate) static REQUEST_PREEMPTIONS: Metric =
    sizes("vllm:request_num_preemptions", PREEMPTIONS, "Histogram of the number of times a request was preempted.")
        .observed(AT_END);
pub(crate) static KV_COMPUTED: Metric = sizes(
    "vllm:request_prefill_kv_computed_tokens",
    LENGTH,
    "Histogram of new KV tokens computed during prefill (excluding cached tokens).",
)
.observed(AT_END);
pub(crate) static CACHE_CONFIG: Metric =
    Metric::new(Component::Engine, Kind::Gauge, "vllm:cache_config_info", "Information of the LLMEngine CacheConfig")
        .labels(&[Label::open("block_size"), Label::open("engine"), Label::open("num_gpu_blocks")])
        .observed("at start");

pub(super) static ALL: &[&Metric] = &[
    &RUNNING,
    &WAITING,
    &WAITING_BY_REASON,
    &KV_CACHE_USAGE,
    &PREFIX_QUERIES,
    &PREFIX_HITS,
    &EXTERNAL_QUERIES,
    &EXTERNAL_HITS,
    &PREEMPTIONS_TOTAL,
    &PROMPT_TOKENS_TOTAL,
    &PROMPT_TOKENS_BY_SOURCE,
    &GENERATION_TOKENS_TOTAL,
    &SUCCESS_TOTAL,
    &PROMPT_TOKENS,
    &GENERATION_TOKENS,
    &ITERATION_TOKENS,
    &MAX_GENERATION_TOKENS,
    &PARAMS_N,
    &PARAMS_MAX_TOKENS,
    &TTFT,
    &ITL,
    &TPOT,
    &E2E,
    &QUEUE_TIME,
    &INFERENCE_TIME,
    &PREFILL_TIME,
    &DECODE_TIME,
    &REQUEST_PREEMPTIONS,
    &KV_COMPUTED,
    &CACHE_CONFIG,
];
