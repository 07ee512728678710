//! `candor-overview.json`: is the service well, where does the time go, and can the numbers be trusted.

use crate::build::{Board, Look, Panel, Target, Variable};
use crate::palette::{AMBER, BLUE, GREEN, GREY, ORANGE, PARTS, RED, TEAL};
use crate::query::{GATEWAY, NAMESPACE, mean, or_zero, quantile, rate_by, select, share_below, total_rate};
use crate::unit::Unit;

/// The parts of a TTFT, by component.
const COMPONENT: &str = "request_ttft_component_milliseconds";

pub(super) fn board() -> Board {
    Board::new(
        "candor-overview.json",
        "Overview",
        "overview",
        "Is the service well, where does a request's time go, and can the numbers be trusted.",
    )
    .variables(&[Variable::namespace("request_total"), Variable::model("model", "request_total")])
    .row("Service level", service_level())
    .row("Where the time to first token goes", time_to_first_token())
    .row("Outcomes", outcomes())
    .row("Balance and prediction", balance())
    .row("Can the numbers be trusted", telemetry())
}

fn service_level() -> Vec<Panel> {
    let completed = rate_sum(r#"outcome="completed""#);
    let judged = rate_sum(r#"outcome!="cancelled""#);
    vec![
        Panel::stat("Requests", Unit::RequestsPerSecond)
            .about(
                "Requests that ended, per second.",
                "Follows the clients' load.",
                "Zero with clients present: look at Gateway Requests.",
            )
            .with(Target::range(total_rate("request_total", GATEWAY), "requests"))
            .size(4, 4),
        Panel::stat("Success", Unit::Ratio)
            .about(
                "Completed requests, of those that their clients did not leave.",
                "Above 99.9 %.",
                "See Outcomes for the stage, then open a failed trace.",
            )
            .with(Target::range(format!("{completed} / {judged}"), "success"))
            .base(RED)
            .thresholds(&[(0.99, AMBER), (0.999, GREEN)])
            .size(4, 4),
        Panel::stat("TTFT, Mean", Unit::Milliseconds)
            .about(
                "How long clients wait for a first token, on average: exact, unlike any quantile of a histogram.",
                "Under 500 ms.",
                "See the components below.",
            )
            .with(Target::range(mean("request_ttft_milliseconds", GATEWAY), "TTFT"))
            .thresholds(&[(500.0, AMBER), (2000.0, RED)])
            .size(4, 4),
        Panel::stat("TTFT, P95", Unit::Milliseconds)
            .about(
                "One client in twenty waits longer than this.",
                "Under 500 ms.",
                "See the components below; open an exemplar.",
            )
            .with(Target::range(quantile("0.95", "request_ttft_milliseconds", GATEWAY), "TTFT"))
            .thresholds(&[(500.0, AMBER), (2000.0, RED)])
            .size(4, 4),
        Panel::stat("Output", Unit::TokensPerSecond)
            .about("Generated tokens per second.", "Follows the load.", "Falls while requests wait: decode is stuck.")
            .with(Target::range(total_rate("request_output_tokens_total", GATEWAY), "tokens"))
            .size(4, 4),
        Panel::stat("In Flight", Unit::Requests)
            .about("Requests in the gateways now.", "Load × duration.", "Grows without load: requests hang.")
            .with(Target::range(format!("sum({})", select("gateway_current_requests", NAMESPACE)), "in flight"))
            .decimals(0)
            .size(4, 4),
        objective("TTFT within 500 ms", "request_ttft_milliseconds", 500),
        objective("TPOT within 50 ms", "request_tpot_milliseconds", 50),
    ]
}

fn rate_sum(filter: &str) -> String {
    total_rate("request_outcome_total", &format!("{GATEWAY},{filter}"))
}

fn objective(title: &str, metric: &str, bound: u32) -> Panel {
    Panel::lines(title, Unit::Ratio)
        .about(
            &format!("Share of requests within {bound} ms: the service level."),
            "Above 95 %.",
            "The error budget is being spent: see which component grew, and shed or move load.",
        )
        .look(
            Target::range(share_below(bound, metric, GATEWAY), format!("within {bound} ms")),
            Look::solid(BLUE).strong(),
        )
        .max(1.0)
        .size(12, 6)
}

fn time_to_first_token() -> Vec<Panel> {
    // Each request has some of the parts, and one of them always; all are told together.
    let per_request = format!(
        "{} / on () group_left () max({})",
        rate_by("component", &format!("{COMPONENT}_sum"), GATEWAY),
        rate_by("component", &format!("{COMPONENT}_count"), GATEWAY),
    );
    let mut parts = Panel::stacked("TTFT by Component", Unit::Milliseconds).about(
        "The mean time to first token, split into the parts of a request's way; the parts of each request add up to its TTFT exactly.",
        "Prefill is the largest part.",
        "Queue: too few instances. KV transfer: network or full decoders. upstream: nobody said how that part splits.",
    );
    parts = parts.with(Target::range(per_request, "{{component}}"));
    for (name, colour) in PARTS {
        parts = parts.colour(name, colour);
    }
    let claim = |infer_type: &str| {
        let filter = format!(r#"namespace=~"$namespace",infer_type="{infer_type}""#);
        Target::range(
            format!("1000 * {}", mean("vllm:time_to_first_token_seconds", &filter)),
            format!("{infer_type} engines claim"),
        )
    };
    let truth = Panel::lines("True TTFT and What Engines Claim", Unit::Milliseconds)
        .about(
            "The mean time to first token that clients experience (blue), and what vLLM's prefill and decode instances report for themselves (dashed red).",
            "Neither claim is close: each instance sees its half.",
            "Trust the blue line; it is held to a stopwatch in the client by candor audit.",
        )
        .look(Target::range(mean("request_ttft_milliseconds", GATEWAY), "clients experience").exemplars(), Look::solid(BLUE).strong())
        .look(claim("decode"), Look::claim().strong())
        .look(claim("prefill"), Look::other_claim().strong());
    vec![parts.size(12, 11), truth.size(12, 11)]
}

fn outcomes() -> Vec<Panel> {
    vec![
        Panel::stacked("Requests by Outcome", Unit::RequestsPerSecond)
            .about(
                "Requests that ended, by how.",
                "Nearly all completed.",
                "cancelled: clients lose patience. failed: see beside.",
            )
            .with(Target::range(rate_by("outcome", "request_outcome_total", GATEWAY), "{{outcome}}"))
            .colour("completed", GREEN)
            .colour("cancelled", GREY)
            .colour("failed", RED),
        Panel::lines("Failures by Stage", Unit::RequestsPerSecond)
            .about(
                "Requests that failed, by the stage in which they did.",
                "Zero.",
                "prefill and decode: the engines. schedule: no instance. dispatch: the way to the instance.",
            )
            .look(
                Target::range(or_zero(&rate_sum(r#"outcome="failed""#), "request_total", GATEWAY), "all failures"),
                Look::solid(RED).strong(),
            )
            .with(Target::range(
                rate_by("stage", "request_outcome_total", &format!(r#"{GATEWAY},outcome="failed""#)),
                "{{stage}}",
            ))
            .colour("prefill", ORANGE)
            .colour("decode", GREEN)
            .colour("schedule", TEAL)
            .colour("queue", GREY)
            .colour("dispatch", BLUE),
    ]
}

fn balance() -> Vec<Panel> {
    let imbalance = Panel::lines("Imbalance", Unit::Times)
        .about(
            "The most loaded instance against the mean, by type of instance and measure: 1 is even. Of several schedulers the worst.",
            "Below 1.5.",
            "One instance is slower, or the policy does not see its load: compare instances on the CMS dashboard.",
        )
        .with(Target::range(
            format!("max by (infer_type, metric) ({})", select("scheduler_instance_imbalance_ratio", NAMESPACE)),
            "{{infer_type}} {{metric}}",
        ))
        .size(8, 8);
    vec![
        imbalance,
        Panel::lines("Placements by Instance", Unit::PerSecond)
            .about(
                "Placements per second, by instance.",
                "Even over instances of the same size.",
                "An instance without any: it is not schedulable, or looks full.",
            )
            .with(Target::range(
                rate_by("instance_id, infer_type", "scheduler_instance_dispatch_total", NAMESPACE),
                "{{infer_type}} {{instance_id}}",
            ))
            .size(8, 8),
        Panel::lines("Prediction Error, Median", Unit::Ratio)
            .about(
                "How far predictions were from what was measured: |predicted − measured| / measured.",
                "Below 20 %.",
                "The predictor has seen too little of this load, or an instance behaves unlike the others.",
            )
            .with(Target::range(
                crate::query::quantile_by("0.5", "le, what", "scheduler_prediction_error_ratio", NAMESPACE),
                "{{what}}",
            ))
            .size(8, 8),
    ]
}

fn telemetry() -> Vec<Panel> {
    vec![
        Panel::lines("Spans by Fate", Unit::Spans)
            .about(
                "Sampled spans: delivered, dropped before sending because the queue was full, or not taken.",
                "All exported.",
                "dropped: raise the queue or sample less. failed: the collector refuses or is gone.",
            )
            .with(Target::range(rate_by("outcome", "telemetry_spans_total", NAMESPACE), "{{outcome}}"))
            .colour("exported", GREEN)
            .colour("dropped", AMBER)
            .colour("failed", RED)
            .size(8, 8),
        Panel::lines("Folded Label Sets", Unit::PerSecond)
            .about(
                "Label sets that were folded into _overflow because a metric had its 1,000 already.",
                "Zero.",
                "A label has too many values, often a model name that clients make up.",
            )
            .look(
                Target::range(
                    or_zero(&total_rate("telemetry_overflow_total", NAMESPACE), "uptime_seconds", NAMESPACE),
                    "folded",
                ),
                Look::solid(RED).strong(),
            )
            .size(8, 8),
        Panel::lines("Clock Error Bar", Unit::Seconds)
            .about(
                "How late a timer fired at worst, over all processes: no time here is more exact.",
                "Under a few milliseconds.",
                "A process has too little CPU: see Runtime Lag on the Components dashboard.",
            )
            .look(
                Target::range(format!("max({})", select("tokio_loop_lag_seconds", NAMESPACE)), "worst process"),
                Look::solid(BLUE).strong(),
            )
            .size(8, 8),
    ]
}
