//! `llumnix-request-dashboard.json`: what the users of the API see.

use crate::build::{Board, Look, Panel, Target, Variable};
use crate::palette::{AMBER, BLUE, GREEN, GREY, ORANGE, RED};
use crate::query::{GATEWAY, heat, or_zero, quantile_by, rate_by, total_rate};
use crate::unit::Unit;

pub(super) fn board() -> Board {
    Board::new(
        "llumnix-request-dashboard.json",
        "Requests",
        "request",
        "What the gateway's clients see: requests, tokens, latencies, prefix cache.",
    )
    .variables(&[Variable::namespace("request_total"), Variable::model("model", "request_total")])
    .row("Request rate", rates())
    .row("Throughput", throughput())
    .row("Latency", latency())
    .row("Prefix cache", prefix())
    .row("By model", models())
}

fn rates() -> Vec<Panel> {
    let all = Panel::lines("Request Rate", Unit::RequestsPerSecond)
        .about(
            "Requests that ended, whatever came of them, per second.",
            "Follows the clients' load.",
            "A drop to zero with clients present means that requests hang: look at Gateway Requests on the Components dashboard.",
        )
        .look(Target::range(total_rate("request_total", GATEWAY), "all requests"), Look::solid(BLUE).strong())
        .size(8, 8);
    let status = Panel::lines("Request Rate by Status", Unit::RequestsPerSecond)
        .about(
            "The same, by HTTP status; 499 where the client left before the end.",
            "Nearly all 200.",
            "5xx: see which stage fails on the Overview, then open a failed trace. 429 and 503: the gateway sheds load.",
        )
        .with(Target::range(rate_by("status_code", "request_total", GATEWAY), "{{status_code}}"))
        .colour("200", GREEN)
        .colour("499", GREY)
        .colour("429", AMBER)
        .colour("500", RED)
        .colour("502", ORANGE)
        .size(8, 8);
    let retry = Panel::lines("Request Retry & Fallback Rate", Unit::RequestsPerSecond)
        .about(
            "Attempts after the first, attempts at a fallback endpoint, and successes after a fallback's 429.",
            "Zero, or close to it.",
            "Retries by themselves say that an instance fails; fallbacks say that none was left. Look at the instances' logs.",
        )
        .look(Target::range(or_zero(&total_rate("request_retry_total", GATEWAY), "request_total", GATEWAY), "retries"), Look::solid(ORANGE).strong())
        .look(Target::range(or_zero(&total_rate("request_fallback_total", GATEWAY), "request_total", GATEWAY), "fallbacks"), Look::solid(RED).strong())
        .look(
            Target::range(or_zero(&total_rate("request_fallback_retry_success_total", GATEWAY), "request_total", GATEWAY), "successes after 429"),
            Look::solid(GREEN).strong(),
        )
        .size(8, 8);
    vec![all, status, retry]
}

fn throughput() -> Vec<Panel> {
    let tokens = |title: &str, metric: &str, shows: &str| {
        Panel::lines(title, Unit::TokensPerSecond)
            .about(
                shows,
                "Follows the request rate.",
                "Output falling while requests wait means that decode instances are saturated or stuck.",
            )
            .look(Target::range(total_rate(metric, GATEWAY), "tokens"), Look::solid(BLUE).strong())
    };
    let spread = |title: &str, metric: &str, what: &str| {
        Panel::heatmap(title, Unit::Tokens, heat(metric, GATEWAY)).about(
            &format!("How many {what} completed requests had, by bucket and time."),
            "A stable band; its place is the workload's.",
            "A new band is a new kind of client: check that the schedule and the KV cache still fit it.",
        )
    };
    vec![
        tokens(
            "Input Token Throughput",
            "request_input_tokens_total",
            "Prompt tokens per second, as the engines count them.",
        ),
        tokens(
            "Output Token Throughput",
            "request_output_tokens_total",
            "Generated tokens per second, streams included.",
        ),
        spread("Input Token Distribution", "request_input_tokens", "prompt tokens"),
        spread("Output Token Distribution", "request_output_tokens", "generated tokens"),
    ]
}

fn latency() -> Vec<Panel> {
    vec![
        Panel::quantiles("E2E Latency", Unit::Seconds, "request_e2e_latency_seconds", GATEWAY).about(
            "From the request's head to the end of the response; completed requests.",
            "TTFT + TPOT × output tokens.",
            "If TTFT and TPOT are as ever, the answers have become longer.",
        ),
        Panel::quantiles("TTFT", Unit::Milliseconds, "request_ttft_milliseconds", GATEWAY)
            .about(
                "Time to first token as the client has it: queue and scheduling included; streams only.",
                "Under your objective, here 500 ms.",
                "See which part grew: TTFT by component on the Overview; then open an exemplar.",
            )
            .thresholds(&[(500.0, AMBER), (2000.0, RED)]),
        Panel::quantiles("TPOT", Unit::Milliseconds, "request_tpot_milliseconds", GATEWAY)
            .about(
                "Time per output token after the first: (E2E − TTFT) / (output tokens − 1), on one clock.",
                "Under your objective, here 50 ms.",
                "Batches are too large or decode instances too few: see Decode Batch Size on the CMS dashboard.",
            )
            .thresholds(&[(50.0, AMBER), (100.0, RED)]),
        Panel::quantiles("ITL", Unit::Milliseconds, "request_itl_milliseconds", GATEWAY).about(
            "Gaps between tokens; that of a chunk is spread over the tokens it carries.",
            "The median is the engine's decode step.",
            "A tail far above the median is stalls: preemption, prefill in the same batch, or a slow client.",
        ),
    ]
}

fn prefix() -> Vec<Panel> {
    let hit = |title: &str, metric: &str, shows: &str, otherwise: &str| {
        Panel::quantiles(title, Unit::Percent, metric, GATEWAY)
            .about(shows, "Depends on how much the prompts share.", otherwise)
            .max(100.0)
    };
    vec![
        hit(
            "Prefix Cache Hit Ratio",
            "request_prefix_cache_hit_percent",
            "How much of a prompt the chosen instance had in its cache.",
            "Far below the maximum beside it: load outweighs the cache in the schedule.",
        ),
        hit(
            "Max Prefix Cache Hit Ratio",
            "request_max_prefix_cache_hit_percent",
            "The best that any instance could have offered for the same prompts.",
            "Low: prompts share little, or caches are too small to keep what they share.",
        ),
    ]
}

fn models() -> Vec<Panel> {
    let ttft = quantile_by("0.95", "le, model", "request_ttft_milliseconds", GATEWAY);
    vec![
        Panel::lines("Request Rate by Model", Unit::RequestsPerSecond)
            .about(
                "Requests per second, by model.",
                "The mix that you sell.",
                "A model at zero has lost its clients or its instances.",
            )
            .with(Target::range(rate_by("model", "request_total", GATEWAY), "{{model}}")),
        Panel::lines("P95 TTFT by Model", Unit::Milliseconds)
            .about(
                "The 95th percentile of the time to first token, by model.",
                "Under each model's objective.",
                "One model alone: its prefill instances. All together: the gateway or the scheduler.",
            )
            .with(Target::range(ttft, "{{model}}").exemplars()),
    ]
}
