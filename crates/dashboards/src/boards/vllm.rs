//! `vllm-dashboard.json`: what engines say of themselves. Every latency here is the engine's claim: dashed red where it is
//! set beside Candor's.

use crate::build::{Board, Look, Panel, Target, Variable};
use crate::palette::{AMBER, GREEN, GREY, ORANGE, RED};
use crate::query::{ENGINE, heat, mean_by, quantile, quantile_by, rate_by, sum_by, total_rate};
use crate::unit::Unit;

const PREFILL_LEGEND: &str = "{{infer_type}}";

pub(super) fn board() -> Board {
    Board::new(
        "vllm-dashboard.json",
        "vLLM",
        "vllm",
        "Engine-native metrics. A decode instance's TTFT leaves prefill out: for what clients wait, see the P/D Coordinator dashboard.",
    )
    .variables(&[
        Variable::namespace("vllm:num_requests_running"),
        Variable::model("model_name", "vllm:num_requests_running"),
        Variable::Label { name: "infer_type", label: "infer_type", metric: "vllm:num_requests_running" },
    ])
    .row("Latency, as the engine claims it", latency())
    .row("vLLM engine", engine())
    .row("Request length", lengths())
    .row("KV transfer (NIXL)", nixl())
    .closed_row("SGLang", sglang())
}

/// Prefill and decode keep their colours wherever lines are told apart by them.
fn by_type(panel: Panel) -> Panel {
    panel.colour("prefill", ORANGE).colour("decode", GREEN).colour("neutral", GREY)
}

fn latency() -> Vec<Panel> {
    let claim = |title: &str, metric: &str, shows: &str, normal: &str, otherwise: &str| {
        Panel::quantiles(title, Unit::Seconds, metric, ENGINE).about(shows, normal, otherwise).size(8, 9)
    };
    vec![
        claim(
            "E2E Request Latency",
            "vllm:e2e_request_latency_seconds",
            "From a request's arrival at the engine to its end there.",
            "Below the gateway's E2E latency: the way and the other leg are missing.",
            "Choose an infer_type above: prefill and decode instances see different halves of a request.",
        ),
        claim(
            "Time To First Token Latency",
            "vllm:time_to_first_token_seconds",
            "From a request's arrival at the engine to its first token there. In P/D mode this is not what the client waits.",
            "On decode instances much lower than the true TTFT.",
            "Use the P/D Coordinator dashboard for any decision about TTFT.",
        ),
        claim(
            "Inter-Token Latency",
            "vllm:inter_token_latency_seconds",
            "Gaps between tokens in the engine.",
            "Close to the gateway's ITL.",
            "Far below it: something between engine and client holds tokens back.",
        ),
    ]
}

fn engine() -> Vec<Panel> {
    let sums = |metric: &str| sum_by("infer_type", metric, ENGINE);
    vec![
        Panel::lines("Scheduler State", Unit::Requests)
            .about(
                "Requests that run and that wait inside the engines.",
                "Waiting close to zero.",
                "Waiting grows: the instances are saturated, or blocks are short (Cache Utilization).",
            )
            .with(Target::range(sums("vllm:num_requests_running"), "{{infer_type}} running"))
            .with(Target::range(sums("vllm:num_requests_waiting"), "{{infer_type}} waiting"))
            .colour("prefill running", ORANGE)
            .colour("decode running", GREEN),
        Panel::lines("Cache Utilization", Unit::Ratio)
            .about(
                "KV cache in use on each instance.",
                "Below 90 %.",
                "At 100 % requests are preempted and computed again. On prefill instances without load: KV that nobody fetched.",
            )
            .with(Target::range(format!("vllm:kv_cache_usage_perc{{{ENGINE}}}"), "{{infer_type}} {{instance}}"))
            .max(1.0)
            .thresholds(&[(0.9, AMBER), (0.97, RED)]),
        Panel::lines("Token Throughput", Unit::TokensPerSecond)
            .about(
                "Prompt tokens and generated tokens per second, over all instances.",
                "Follows the load.",
                "Generation falls while requests wait: decode is stuck.",
            )
            .look(Target::range(total_rate("vllm:prompt_tokens_total", ENGINE), "prompt"), Look::solid(ORANGE).strong())
            .look(Target::range(total_rate("vllm:generation_tokens_total", ENGINE), "generation"), Look::solid(GREEN).strong()),
        Panel::lines("Finish Reason", Unit::RequestsPerSecond)
            .about(
                "Why requests ended in the engine. Prefill legs end by length after one token.",
                "stop and length.",
                "abort: clients leave. error: look at the engine's log.",
            )
            .with(Target::range(rate_by("finished_reason", "vllm:request_success_total", ENGINE), "{{finished_reason}}"))
            .colour("stop", GREEN)
            .colour("abort", GREY)
            .colour("error", RED),
        by_type(Panel::lines("Queue Time", Unit::Seconds).about(
            "Mean time that requests waited inside the engine.",
            "Close to zero. On decode instances the wait for the KV transfer is part of it.",
            "Too few instances, or slow KV transfers.",
        ))
        .with(Target::range(mean_by("infer_type", "vllm:request_queue_time_seconds", ENGINE), PREFILL_LEGEND)),
        Panel::lines("Prefill and Decode Time", Unit::Seconds)
            .about(
                "Mean time of the two phases inside the engines.",
                "Prefill grows with prompts, decode with answers.",
                "Decode grows alone: batches have become larger.",
            )
            .look(Target::range(phase("prefill"), "prefill"), Look::solid(ORANGE).strong())
            .look(Target::range(phase("decode"), "decode"), Look::solid(GREEN).strong()),
    ]
}

fn phase(name: &str) -> String {
    crate::query::mean(&format!("vllm:request_{name}_time_seconds"), ENGINE)
}

fn lengths() -> Vec<Panel> {
    let spread = |title: &str, metric: &str, what: &str| {
        Panel::heatmap(title, Unit::Tokens, heat(metric, ENGINE)).about(
            &format!("{what}, by bucket and time."),
            "A stable band. The 1-token band of generations is prefill legs.",
            "A new band is a new kind of client.",
        )
    };
    vec![
        spread("Request Prompt Length", "vllm:request_prompt_tokens", "Prompt tokens of requests that ended"),
        spread("Request Generation Length", "vllm:request_generation_tokens", "Generated tokens of requests that ended"),
        Panel::lines("Max Generation Token in Sequence Group", Unit::Tokens)
            .about(
                "The largest number of tokens that requests asked for: 99th percentile and median.",
                "As your clients ask.",
                "Far above what is generated: clients set max_tokens too high, and capacity planning overestimates them.",
            )
            .with(Target::range(quantile("0.99", "vllm:request_max_num_generation_tokens", ENGINE), "P99"))
            .with(Target::range(quantile("0.5", "vllm:request_max_num_generation_tokens", ENGINE), "P50")),
        by_type(Panel::lines("Inter-Token Latency by Type, P95", Unit::Seconds).about(
            "The 95th percentile of gaps between tokens, by type of instance.",
            "Decode as its objective says.",
            "Decode alone: smaller batches, or more instances.",
        ))
        .with(Target::range(quantile_by("0.95", "le, infer_type", "vllm:inter_token_latency_seconds", ENGINE), PREFILL_LEGEND)),
    ]
}

fn nixl() -> Vec<Panel> {
    vec![
        Panel::quantiles("Transfer Time", Unit::Seconds, "vllm:nixl_xfer_time_seconds", ENGINE)
            .about(
                "Time that KV transfers took, by the decode engines.",
                "A few milliseconds per hundred megabytes.",
                "The network between prefill and decode, or a transport that fell back to TCP.",
            )
            .size(8, 8),
        Panel::quantiles("Bytes per Transfer", Unit::Bytes, "vllm:nixl_bytes_transferred", ENGINE)
            .about("Size of KV transfers.", "Grows with prompts.", "Suddenly small: the decode instance had most of it in its own cache.")
            .size(8, 8),
        Panel::lines("Failed and Expired Transfers", Unit::PerSecond)
            .about(
                "Transfers that failed, and KV that expired before anybody fetched it.",
                "Zero.",
                "Failed: the connection between the instances. Expired: decode is too slow, or its requests never came.",
            )
            .look(
                Target::range(total_rate("vllm:nixl_num_failed_transfers_total", ENGINE), "failed"),
                Look::solid(RED).strong(),
            )
            .look(
                Target::range(total_rate("vllm:nixl_num_kv_expired_reqs_total", ENGINE), "expired"),
                Look::solid(AMBER).strong(),
            )
            .size(8, 8),
    ]
}

fn sglang() -> Vec<Panel> {
    vec![
        Panel::quantiles("SGLang Time To First Token", Unit::Seconds, "sglang:time_to_first_token_seconds", ENGINE)
            .about("SGLang's own time to first token.", "As vLLM's above.", "As vLLM's above.")
            .size(8, 8),
        Panel::lines("SGLang Requests", Unit::Requests)
            .about("Requests that run and that wait inside SGLang.", "Waiting close to zero.", "As vLLM's above.")
            .with(Target::range(sum_by("infer_type", "sglang:num_running_reqs", ENGINE), "{{infer_type}} running"))
            .with(Target::range(sum_by("infer_type", "sglang:num_queue_reqs", ENGINE), "{{infer_type}} waiting"))
            .size(8, 8),
        by_type(
            Panel::lines("SGLang Token Usage", Unit::Ratio)
                .about("KV cache in use.", "Below 90 %.", "As vLLM's above.")
                .max(1.0)
                .size(8, 8),
        )
        .with(Target::range(format!("avg by (infer_type) (sglang:token_usage{{{ENGINE}}})"), PREFILL_LEGEND)),
    ]
}
