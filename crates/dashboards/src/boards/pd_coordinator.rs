//! `pd-coordinator-metrics.json`: the true numbers of prefill/decode requests, from spans, beside what engines claim.
//!
//! What means what in TraceQL: `select` is a search and feeds a table; a mean over time is `avg_over_time` of the
//! attribute in milliseconds; a rate by connector is `rate() by (…)`; one number over all of the time is an instant query,
//! since a mean of means is no mean. Quantiles come from the histograms in Prometheus, which are finer than Tempo's powers
//! of two.

use serde_json::json;

use crate::build::{Board, Look, Panel, Target, Variable};
use crate::palette::{AMBER, BLUE, BLUE_PALE, GREEN, ORANGE, RED, VIOLET};
use crate::query::{
    DECODE_ENGINE_SPANS, DECODE_SPANS, SIDECAR, attribute, mean, mean_attribute, or_zero, select, total_rate,
};
use crate::unit::Unit;

const ENGINE_TTFT: &str = "span.gen_ai.latency.time_to_first_token";
/// Decode engines, whatever the model: the comparison is with all requests of the coordinators.
const DECODERS: &str = r#"namespace=~"$namespace",infer_type="decode""#;

pub(super) fn board() -> Board {
    Board::new(
        "pd-coordinator-metrics.json",
        "P/D Coordinator",
        "pd",
        "What clients of prefill/decode disaggregated serving really wait, and where: from the coordinators' spans and histograms.",
    )
    .variables(&[
        Variable::namespace("pd_proxy_requests_total"),
        Variable::Attribute { name: "model", attribute: "gen_ai.request.model" },
        Variable::Attribute { name: "connector", attribute: "llm_d.pd_proxy.connector" },
    ])
    .row("P/D Coordinator Overview", overview())
    .row("P/D Component Breakdown", breakdown())
    .row("Coordinator vs vLLM Instance Metrics Comparison", comparison())
    .row("Request Statistics", statistics())
    .row("Trace Explorer", vec![traces()])
    .row("Quantiles (Prometheus)", quantiles())
    .closed_row("Quantiles without Prometheus (Tempo's estimates, up to a factor of two off)", estimates())
}

/// Mean and maximum of one attribute.
fn over_time(title: &str, name: &str) -> Panel {
    let max = format!("{DECODE_SPANS} | max_over_time({})", attribute(name));
    Panel::lines(title, Unit::Milliseconds)
        .look(Target::Trace { query: mean_attribute(name) }, Look::solid(BLUE).strong().name("mean"))
        .look(Target::Trace { query: max }, Look::solid(BLUE_PALE).name("max"))
}

fn overview() -> Vec<Panel> {
    vec![
        over_time("True TTFT", "true_ttft_ms")
            .about(
                "From the gateway's receipt of a request to its first token relayed: what a client with a stopwatch sees.",
                "Under your objective, here 100 ms at the mean; 300 ms is too long.",
                "See below which part grew: prefill, KV transfer, or the first decode step.",
            )
            .thresholds(&[(100.0, AMBER), (300.0, RED)]),
        over_time("Total Request Duration", "total_duration_ms").about(
            "From the gateway's receipt of a request to the last byte relayed.",
            "True TTFT + tokens × decode step.",
            "If the true TTFT is as ever, decode is slower or answers are longer.",
        ),
    ]
}

fn breakdown() -> Vec<Panel> {
    let line = |name: &str, colour, legend| {
        (Target::Trace { query: mean_attribute(name) }, Look::solid(colour).strong().name(legend))
    };
    let (prefill, prefill_look) = line("prefill_duration_ms", ORANGE, "prefill");
    let (decode, decode_look) = line("decode_duration_ms", GREEN, "decode");
    let (kv, kv_look) = line("kv_transfer_overhead_ms", VIOLET, "KV transfer");
    vec![
        Panel::lines("Prefill vs Decode Duration", Unit::Milliseconds)
            .about(
                "Mean duration of the two legs of a request: prefill with its retries, decode until the last byte.",
                "Prefill grows with prompts, decode with answers.",
                "Prefill alone: its instances queue. Decode alone: larger batches, or slow KV transfers.",
            )
            .look(prefill, prefill_look)
            .look(decode, decode_look),
        Panel::gauge("KV Transfer Overhead", Unit::Milliseconds, 100.0)
            .about(
                "Mean time from prefill complete to the decoder's start, over all of the time shown. An upper bound: the decoder's queue is in it.",
                "Under 5 ms.",
                "Above 10 ms: the network between the instances, contention for it, or decoders that queue.",
            )
            .with(Target::TraceTotal { query: mean_attribute("kv_transfer_overhead_ms") })
            .thresholds(&[(10.0, AMBER), (50.0, RED)]),
        Panel::lines("KV Transfer Overhead over Time", Unit::Milliseconds)
            .about("The same, over time.", "Under 5 ms.", "As for the gauge beside it.")
            .look(kv, kv_look)
            .thresholds(&[(10.0, AMBER), (50.0, RED)])
            .size(6, 8),
    ]
}

fn comparison() -> Vec<Panel> {
    let claim = format!("{DECODE_ENGINE_SPANS} | avg_over_time({ENGINE_TTFT})");
    let text = (
        "What clients wait (blue), and what the decode engines claim of themselves (dashed red).",
        "Far apart: a decode engine's clock starts after prefill. Only the blue line is what anybody experiences.",
        "Close together only where requests are not disaggregated. Never alert on the red line.",
    );
    vec![
        Panel::lines("TTFT Comparison", Unit::Milliseconds)
            .about(text.0, text.1, text.2)
            .look(
                Target::Trace { query: mean_attribute("true_ttft_ms") },
                Look::solid(BLUE).strong().name("Coordinator true TTFT"),
            )
            .look(
                Target::Trace { query: claim },
                Look::claim().unit(Unit::Seconds).name("Decoder vLLM TTFT (claimed)"),
            ),
        Panel::lines("TTFT Comparison (Prometheus)", Unit::Milliseconds)
            .about(text.0, text.1, text.2)
            .look(
                Target::range(mean("pd_proxy_true_ttft_milliseconds", SIDECAR), "Coordinator true TTFT").exemplars(),
                Look::solid(BLUE).strong(),
            )
            .look(
                Target::range(
                    format!("1000 * {}", mean("vllm:time_to_first_token_seconds", DECODERS)),
                    "Decoder vLLM TTFT (claimed)",
                ),
                Look::claim().strong(),
            ),
    ]
}

fn statistics() -> Vec<Panel> {
    let total = |name: &str| Target::TraceTotal { query: mean_attribute(name) };
    let by = attribute("connector");
    vec![
        Panel::number("P/D Request Count", Unit::Requests)
            .about(
                "Requests in the time shown, counted by their spans; where traces are sampled, that share of them.",
                "Follows the load.",
                "None: tracing is off, or the collector does not reach this store.",
            )
            .with(Target::TraceTotal { query: format!("{DECODE_SPANS} | count_over_time()") })
            .decimals(0),
        Panel::number("Avg True TTFT", Unit::Milliseconds)
            .about(
                "Mean true TTFT of all requests in the time shown.",
                "Under 100 ms here.",
                "See True TTFT over time.",
            )
            .with(total("true_ttft_ms"))
            .thresholds(&[(100.0, AMBER), (300.0, RED)]),
        Panel::number("Avg Total Duration", Unit::Milliseconds)
            .about(
                "Mean total duration of all requests in the time shown.",
                "As your answers' length.",
                "See Total Request Duration.",
            )
            .with(total("total_duration_ms")),
        Panel::number("Avg vLLM TTFT (Decode, claimed)", Unit::Seconds)
            .about(
                "Mean TTFT that decode engines claim: artificially low, since their clock starts after prefill.",
                "Much lower than the true one.",
                "Do not use it; it is here to be compared.",
            )
            .with(Target::TraceTotal { query: format!("{DECODE_ENGINE_SPANS} | avg_over_time({ENGINE_TTFT})") })
            .base(RED),
        connectors(Panel::pie("P/D Connector Distribution", Unit::Requests).about(
            "Requests in the time shown, by protocol.",
            "As deployed.",
            "none: requests that no prefill instance was named for.",
        ))
        .with(Target::TraceTotal { query: format!("{DECODE_SPANS} | count_over_time() by ({by})") })
        .decimals(0)
        .size(8, 8),
        connectors(Panel::lines("Request Rate by Connector", Unit::RequestsPerSecond).about(
            "Requests per second, by protocol.",
            "Follows the load.",
            "One at zero: its instances or its sidecars are gone.",
        ))
        .with(Target::Trace { query: format!("{DECODE_SPANS} | rate() by ({by})") })
        .size(16, 8),
    ]
}

fn connectors(panel: Panel) -> Panel {
    panel.colour("nixlv2", BLUE).colour("lmcache", ORANGE).colour("sglang", GREEN)
}

fn traces() -> Panel {
    let numbers = [
        ("true_ttft_ms", "True TTFT"),
        ("prefill_duration_ms", "Prefill"),
        ("kv_transfer_overhead_ms", "KV transfer"),
        ("first_decode_step_ms", "First decode step"),
        ("total_duration_ms", "Total"),
    ];
    let attributes: Vec<String> = numbers.iter().map(|(name, _)| attribute(name)).collect();
    let (connector, outcome) = (attribute("connector"), attribute("outcome"));
    let query = format!(
        "{DECODE_SPANS} | select({connector}, {outcome}, span.gen_ai.request.model, {})",
        attributes.join(", ")
    );
    let mut panel = Panel::table("Recent P/D Traces")
        .about(
            "The latest requests; a row opens its trace.",
            "The parts of each add up to its true TTFT.",
            "Sort by True TTFT, open the slowest, and see which stage took the time.",
        )
        .with(Target::Spans { query, limit: 50 })
        .field("llm_d.pd_proxy.connector", "displayName", &json!("Connector"))
        .field("llm_d.pd_proxy.outcome", "displayName", &json!("Outcome"))
        .field("gen_ai.request.model", "displayName", &json!("Model"));
    for (name, title) in numbers {
        let field = format!("llm_d.pd_proxy.{name}");
        panel = panel.field(&field, "displayName", &json!(title)).field(&field, "unit", &json!("ms"));
    }
    panel.size(24, 12)
}

fn quantiles() -> Vec<Panel> {
    let panel = |title: &str, metric: &str, shows: &str, otherwise: &str| {
        Panel::quantiles(title, Unit::Milliseconds, metric, SIDECAR).about(
            shows,
            "P99 within a few times P50.",
            otherwise,
        )
    };
    vec![
        panel(
            "True TTFT Quantiles",
            "pd_proxy_true_ttft_milliseconds",
            "The true TTFT, by quantile; points are requests that can be opened.",
            "Open a point above the P99.",
        ),
        panel(
            "Total Duration Quantiles",
            "pd_proxy_total_duration_milliseconds",
            "Total duration, by quantile.",
            "A tail alone is long answers; compare with Output Token Distribution.",
        ),
        panel(
            "Prefill Duration Quantiles",
            "pd_proxy_prefill_duration_milliseconds",
            "The prefill leg, retries included.",
            "A tail: prefill instances queue, or attempts fail; see the lower panel.",
        ),
        panel(
            "KV Transfer Overhead Quantiles",
            "pd_proxy_kv_transfer_overhead_milliseconds",
            "Prefill complete to the decoder's start.",
            "Network, contention, or decoders that queue.",
        ),
        panel(
            "First Decode Step Quantiles",
            "pd_proxy_first_decode_step_milliseconds",
            "The decoder's start to its first token.",
            "Large batches: see Decode Batch Size.",
        ),
        Panel::lines("Decomposition of the Mean True TTFT", Unit::Milliseconds)
            .about(
                "Means of what makes up the true TTFT, and their whole.",
                "KV transfer and coordination far below prefill.",
                "The part that grows with the whole is the one to mend.",
            )
            .look(
                Target::range(mean("pd_proxy_true_ttft_milliseconds", SIDECAR), "true TTFT"),
                Look::solid(BLUE).strong(),
            )
            .look(
                Target::range(mean("pd_proxy_prefill_duration_milliseconds", SIDECAR), "prefill"),
                Look::solid(ORANGE).strong(),
            )
            .look(
                Target::range(mean("pd_proxy_kv_transfer_overhead_milliseconds", SIDECAR), "KV transfer"),
                Look::solid(VIOLET).strong(),
            )
            .look(
                Target::range(mean("pd_proxy_first_decode_step_milliseconds", SIDECAR), "first decode step"),
                Look::solid(GREEN).strong(),
            )
            .size(12, 9),
        failures(),
    ]
}

fn failures() -> Panel {
    let rate = |metric: &str| format!("sum by (reason) (rate({}[$__rate_interval]))", select(metric, SIDECAR));
    let all = or_zero(&total_rate("pd_proxy_prefill_retries_total", SIDECAR), "pd_proxy_requests_total", SIDECAR);
    Panel::lines("Prefill Retries and Refusals", Unit::PerSecond)
        .about(
            "Prefill attempts that had to be repeated, and targets that were refused, by reason.",
            "Zero.",
            "Retries name what the prefill instance did; refusals name a target that is not on the allow-list.",
        )
        .look(Target::range(all, "all retries"), Look::solid(ORANGE).strong())
        .with(Target::range(rate("pd_proxy_prefill_retries_total"), "retry: {{reason}}"))
        .with(Target::range(rate("pd_proxy_denied_total"), "refused: {{reason}}"))
        .size(24, 8)
}

fn estimates() -> Vec<Panel> {
    let panel = |title: &str, name: &str| {
        let query = format!("{DECODE_SPANS} | quantile_over_time({}, 0.5, 0.95, 0.99)", attribute(name));
        Panel::lines(title, Unit::Microseconds)
            .about(
                "Estimates from the integer attribute, for an installation without Prometheus.",
                "Within a factor of two of the panels above.",
                "Use the panels above where there is a Prometheus.",
            )
            .with(Target::Trace { query })
    };
    vec![panel("True TTFT (estimate)", "true_ttft_us"), panel("Total Duration (estimate)", "total_duration_us")]
}
