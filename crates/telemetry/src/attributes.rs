//! Attribute keys and span names, in one place. A pair is one latency in both its units: a double in milliseconds, and
//! an integer in microseconds.

/// Milliseconds and microseconds keys of one latency.
pub(crate) type LatencyKeys = (&'static str, &'static str);

macro_rules! latency {
    ($prefix:literal, $name:literal) => {
        (concat!($prefix, $name, "_ms"), concat!($prefix, $name, "_us"))
    };
}

pub(crate) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(crate) const REQUEST_ID: &str = "gen_ai.request.id";
pub(crate) const PROMPT_TOKENS: &str = "gen_ai.usage.prompt_tokens";
pub(crate) const COMPLETION_TOKENS: &str = "gen_ai.usage.completion_tokens";
pub(crate) const STATUS_CODE: &str = "http.response.status_code";
pub(crate) const URL_PATH: &str = "url.path";

/// `llm_d.pd_proxy.*`: the seed's names, and llm-d's.
pub(crate) mod pd {
    use super::LatencyKeys;

    pub(crate) const SCOPE: &str = "candor/coordinator";
    pub(crate) const REQUEST: &str = "llm_d.pd_proxy.request";
    pub(crate) const PREFILL: &str = "llm_d.pd_proxy.prefill";
    pub(crate) const DECODE: &str = "llm_d.pd_proxy.decode";

    pub(crate) const API: &str = "llm_d.openai.api";
    pub(crate) const CONNECTOR: &str = "llm_d.pd_proxy.connector";
    pub(crate) const PATH: &str = "llm_d.pd_proxy.request_path";
    pub(crate) const REQUEST_ID: &str = "llm_d.pd_proxy.request_id";
    pub(crate) const ENABLED: &str = "llm_d.pd_proxy.disaggregation_enabled";
    pub(crate) const USED: &str = "llm_d.pd_proxy.disaggregation_used";
    pub(crate) const REASON: &str = "llm_d.pd_proxy.reason";
    pub(crate) const ERROR: &str = "llm_d.pd_proxy.error";
    pub(crate) const DENIED_TARGET: &str = "llm_d.pd_proxy.denied_target";
    pub(crate) const PREFILL_TARGET: &str = "llm_d.pd_proxy.prefill_target";
    pub(crate) const PREFILL_CANDIDATES: &str = "llm_d.pd_proxy.prefill_candidates";
    pub(crate) const PREFILL_STATUS: &str = "llm_d.pd_proxy.prefill.status_code";
    pub(crate) const PREFILL_ASYNC: &str = "llm_d.pd_proxy.prefill.async";
    pub(crate) const DECODE_STATUS: &str = "llm_d.pd_proxy.decode.status_code";
    pub(crate) const DECODE_STREAMING: &str = "llm_d.pd_proxy.decode.streaming";
    pub(crate) const DECODE_TARGET: &str = "llm_d.pd_proxy.decode.target";
    pub(crate) const DECODE_CONCURRENT: &str = "llm_d.pd_proxy.decode.concurrent_with_prefill";
    pub(crate) const TTFT_ORIGIN: &str = "llm_d.pd_proxy.ttft_origin";
    pub(crate) const OUTCOME: &str = "llm_d.pd_proxy.outcome";
    pub(crate) const STAGE: &str = "llm_d.pd_proxy.stage";
    pub(crate) const BLAME: &str = "llm_d.pd_proxy.blame";
    pub(crate) const KV_ESTIMATED: &str = "llm_d.pd_proxy.kv_transfer_estimated";
    pub(crate) const KV_OVERLAPPED: &str = "llm_d.pd_proxy.kv_transfer_overlapped";
    pub(crate) const KV_BOUND: &str = "llm_d.pd_proxy.kv_transfer_bound";

    pub(crate) const GATEWAY_MS: LatencyKeys = latency!("llm_d.pd_proxy.", "gateway");
    pub(crate) const PREPROCESS_MS: LatencyKeys = latency!("llm_d.pd_proxy.", "coordinator_preprocess");
    pub(crate) const TRUE_TTFT: LatencyKeys = latency!("llm_d.pd_proxy.", "true_ttft");
    pub(crate) const TOTAL: LatencyKeys = latency!("llm_d.pd_proxy.", "total_duration");
    pub(crate) const PREFILL_DURATION: LatencyKeys = latency!("llm_d.pd_proxy.", "prefill_duration");
    pub(crate) const DECODE_DURATION: LatencyKeys = latency!("llm_d.pd_proxy.", "decode_duration");
    pub(crate) const KV_OVERHEAD: LatencyKeys = latency!("llm_d.pd_proxy.", "kv_transfer_overhead");
    pub(crate) const DECODE_START: LatencyKeys = latency!("llm_d.pd_proxy.", "time_to_decode_start");
    pub(crate) const FIRST_STEP: LatencyKeys = latency!("llm_d.pd_proxy.", "first_decode_step");
    pub(crate) const COORDINATION: LatencyKeys = latency!("llm_d.pd_proxy.", "coordination");
    pub(crate) const PREFILL_LEG: LatencyKeys = latency!("llm_d.pd_proxy.", "prefill.duration");
    pub(crate) const DECODE_LEG: LatencyKeys = latency!("llm_d.pd_proxy.", "decode.duration");

    pub(crate) const EVENT_ATTEMPT_FAILED: &str = "prefill.attempt_failed";
    pub(crate) const EVENT_RETRY: &str = "prefill.retry";
    pub(crate) const EVENT_FIRST_TOKEN: &str = "first_token";
    pub(crate) const EVENT_ACCEPTED: &str = "decode.accepted";
    pub(crate) const EVENT_TARGET: &str = "target";
    pub(crate) const EVENT_REASON: &str = "reason";
}

/// `candor.gateway.*`.
pub(crate) mod gateway {
    use super::LatencyKeys;

    pub(crate) const SCOPE: &str = "candor/gateway";
    pub(crate) const REQUEST: &str = "gateway.request";
    pub(crate) const QUEUE: &str = "gateway.queue";
    pub(crate) const SCHEDULE: &str = "gateway.schedule";
    pub(crate) const DISPATCH: &str = "gateway.dispatch";
    pub(crate) const API: &str = "llm_d.openai.api";
    pub(crate) const STREAMING: &str = "candor.gateway.streaming";
    pub(crate) const OUTCOME: &str = "candor.gateway.outcome";
    pub(crate) const STAGE: &str = "candor.gateway.stage";
    pub(crate) const BLAME: &str = "candor.gateway.blame";
    pub(crate) const ERROR: &str = "candor.gateway.error";
    pub(crate) const PREFILL_TARGET: &str = "candor.gateway.prefill_target";
    pub(crate) const DECODE_TARGET: &str = "candor.gateway.decode_target";
    pub(crate) const CACHED_TOKENS: &str = "gen_ai.usage.cached_tokens";
    pub(crate) const PLACED_BY: &str = "candor.gateway.placed_by";
    pub(crate) const SCHEDULE_STAGE: &str = "candor.gateway.schedule_stage";
    pub(crate) const REJECTED: &str = "candor.gateway.rejected";
    pub(crate) const CALLER: &str = "candor.gateway.caller";
    pub(crate) const PROMPT_ESTIMATE: &str = "candor.gateway.prompt_tokens";
    pub(crate) const PROMPT_SOURCE: &str = "candor.gateway.prompt_tokens_source";
    pub(crate) const TTFT: LatencyKeys = latency!("candor.gateway.", "ttft");
    pub(crate) const E2E: LatencyKeys = latency!("candor.gateway.", "e2e");
    pub(crate) const TPOT: LatencyKeys = latency!("candor.gateway.", "tpot");
    pub(crate) const POSTPROCESS: LatencyKeys = latency!("candor.gateway.", "postprocess");
    /// By `timeline::Component`.
    pub(crate) const PARTS: [LatencyKeys; 9] = [
        latency!("candor.gateway.", "ttft.preprocess"),
        latency!("candor.gateway.", "ttft.queue"),
        latency!("candor.gateway.", "ttft.schedule"),
        latency!("candor.gateway.", "ttft.dispatch"),
        latency!("candor.gateway.", "ttft.prefill"),
        latency!("candor.gateway.", "ttft.kv_transfer"),
        latency!("candor.gateway.", "ttft.first_decode"),
        latency!("candor.gateway.", "ttft.relay"),
        latency!("candor.gateway.", "ttft.upstream"),
    ];
    pub(crate) const EVENT_FIRST_TOKEN: &str = "first_token";
    pub(crate) const EVENT_RETRY: &str = "retry";
    pub(crate) const EVENT_FALLBACK: &str = "fallback";
    pub(crate) const EVENT_TARGET: &str = "target";
    pub(crate) const EVENT_PAUSE: &str = "pause_ms";
}

/// `candor.client.*`: what a load generator saw.
pub(crate) mod client {
    use super::LatencyKeys;

    pub(crate) const SCOPE: &str = "candor/load";
    pub(crate) const REQUEST: &str = "client.request";
    pub(crate) const STREAMING: &str = "candor.client.streaming";
    pub(crate) const OUTCOME: &str = "candor.client.outcome";
    pub(crate) const TTFT: LatencyKeys = latency!("candor.client.", "ttft");
    pub(crate) const E2E: LatencyKeys = latency!("candor.client.", "e2e");
    pub(crate) const EVENT_FIRST_TOKEN: &str = "first_token";
}

/// vLLM's `llm_request`; latencies are doubles in seconds, as vLLM has them.
pub(crate) mod engine {
    pub(crate) const SCOPE: &str = "candor.engine";
    pub(crate) const REQUEST: &str = "llm_request";
    pub(crate) const TTFT: &str = "gen_ai.latency.time_to_first_token";
    pub(crate) const E2E: &str = "gen_ai.latency.e2e";
    pub(crate) const QUEUE: &str = "gen_ai.latency.time_in_queue";
    pub(crate) const PREFILL: &str = "gen_ai.latency.time_in_model_prefill";
    pub(crate) const DECODE: &str = "gen_ai.latency.time_in_model_decode";
    pub(crate) const INFERENCE: &str = "gen_ai.latency.time_in_model_inference";
    pub(crate) const MAX_TOKENS: &str = "gen_ai.request.max_tokens";
    pub(crate) const N: &str = "gen_ai.request.n";
    pub(crate) const TEMPERATURE: &str = "gen_ai.request.temperature";
    pub(crate) const TOP_P: &str = "gen_ai.request.top_p";
}

/// `candor.scheduler.*`.
pub(crate) mod scheduler {
    use super::LatencyKeys;

    pub(crate) const SCOPE: &str = "candor/scheduler";
    pub(crate) const SCHEDULE: &str = "scheduler.schedule";
    pub(crate) const GATEWAY: &str = "candor.scheduler.gateway";
    pub(crate) const POLICY: &str = "candor.scheduler.policy";
    pub(crate) const MODE: &str = "candor.scheduler.mode";
    pub(crate) const SCHEDULING_MODE: &str = "candor.scheduler.scheduling_mode";
    pub(crate) const STAGE: &str = "candor.scheduler.scheduling_stage";
    pub(crate) const PROMPT_TOKENS: &str = "candor.scheduler.prompt_tokens";
    pub(crate) const EXCLUDED: &str = "candor.scheduler.excluded_instances";
    pub(crate) const INSTANCES: &str = "candor.scheduler.instances";
    pub(crate) const ERROR_TYPE: &str = "candor.scheduler.error_type";
    pub(crate) const DECISION: LatencyKeys = latency!("candor.scheduler.", "decision");
    pub(crate) const PREFIX_QUERY: LatencyKeys = latency!("candor.scheduler.", "prefix_query");
    pub(crate) const PREFIX_CALC: LatencyKeys = latency!("candor.scheduler.", "prefix_calc");
    pub(crate) const PREFIX_BEST: &str = "candor.scheduler.prefix_max_hit_tokens";

    /// Keys of one choice.
    pub(crate) struct ChoiceKeys {
        pub(crate) instance: &'static str,
        pub(crate) candidates: &'static str,
        pub(crate) fallback: &'static str,
        pub(crate) requests: &'static str,
        pub(crate) tokens: &'static str,
        pub(crate) kv_usage: &'static str,
        pub(crate) batch: &'static str,
        pub(crate) prefills: &'static str,
        pub(crate) decodes: &'static str,
        pub(crate) inflight: &'static str,
        pub(crate) age: &'static str,
        pub(crate) hit: &'static str,
        pub(crate) predicted_ttft: &'static str,
        pub(crate) predicted_tpot: &'static str,
    }

    macro_rules! choice {
        ($infer_type:literal) => {
            ChoiceKeys {
                instance: concat!("candor.scheduler.", $infer_type, ".instance"),
                candidates: concat!("candor.scheduler.", $infer_type, ".candidates"),
                fallback: concat!("candor.scheduler.", $infer_type, ".fallback"),
                requests: concat!("candor.scheduler.", $infer_type, ".requests"),
                tokens: concat!("candor.scheduler.", $infer_type, ".tokens"),
                kv_usage: concat!("candor.scheduler.", $infer_type, ".kv_cache_usage_ratio_projected"),
                batch: concat!("candor.scheduler.", $infer_type, ".decode_batch_size"),
                prefills: concat!("candor.scheduler.", $infer_type, ".all_prefills_tokens_num"),
                decodes: concat!("candor.scheduler.", $infer_type, ".all_decodes_tokens_num"),
                inflight: concat!("candor.scheduler.", $infer_type, ".inflight_requests"),
                age: concat!("candor.scheduler.", $infer_type, ".status_age_ms"),
                hit: concat!("candor.scheduler.", $infer_type, ".prefix_hit_tokens"),
                predicted_ttft: concat!("candor.scheduler.", $infer_type, ".predicted_ttft_ms"),
                predicted_tpot: concat!("candor.scheduler.", $infer_type, ".predicted_tpot_ms"),
            }
        };
    }

    pub(crate) static NEUTRAL: ChoiceKeys = choice!("neutral");
    pub(crate) static PREFILL: ChoiceKeys = choice!("prefill");
    pub(crate) static DECODE: ChoiceKeys = choice!("decode");
}
