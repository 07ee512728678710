//! `llumnix-cms-dashboard.json`: what the full scheduler knows of each instance, and of those it chose.

use super::ROLES;
use crate::build::{Board, Panel, Target, Variable};
use crate::palette::{AMBER, RED};
use crate::unit::Unit;

pub(super) fn board() -> Board {
    let mut board = Board::new(
        "llumnix-cms-dashboard.json",
        "CMS",
        "cms",
        "Cluster metadata store: the state of each instance as the scheduler sees it, and the context of its choices.",
    )
    .variables(&[
        Variable::namespace("instance_cms_running_requests"),
        Variable::model("model", "instance_cms_running_requests"),
    ]);
    for (role, title) in ROLES {
        let (status, chosen) = (status(role, title), selected(role, title));
        let selected = format!("Selected Instance Scheduling Metrics ({title})");
        board = if role == "neutral" {
            board.closed_row(title, status).closed_row(selected, chosen)
        } else {
            board.row(title, status).row(selected, chosen)
        };
    }
    board
}

fn filter(role: &str) -> String {
    format!(r#"namespace=~"$namespace",model=~"$model",infer_type="{role}""#)
}

/// One line an instance and state; `states` are the metrics' ends, with what the legend calls them.
fn gauges(title: String, unit: Unit, role: &str, states: &[(&str, &str)]) -> Panel {
    states.iter().fold(Panel::lines(title, unit), |panel, (metric, name)| {
        let expr = format!("instance_cms_{metric}{{{}}}", filter(role));
        panel.with(Target::range(expr, format!("{{{{instance_id}}}} {name}").trim_end().to_owned()))
    })
}

fn status(role: &str, title: &str) -> Vec<Panel> {
    let mut panels = load(role, title);
    panels.extend(in_flight(role, title));
    panels.extend(totals(role, title));
    panels
}

fn load(role: &str, title: &str) -> Vec<Panel> {
    vec![
        gauges(
            format!("{title}: CMS Requests"),
            Unit::Requests,
            role,
            &[
                ("running_requests", "running"),
                ("waiting_requests", "waiting"),
                ("loading_requests", "loading"),
                ("scheduler_waiting_to_decode_requests", "waiting to decode"),
                ("scheduler_running_to_decode_requests", "running to decode"),
                ("hybrid_scheduler_waiting_to_decode_requests", "hybrid waiting to decode"),
            ],
        )
        .about(
            "Requests on each instance, by state, as it reported them.",
            "Running even over instances, waiting close to zero.",
            "Waiting on one instance only: the schedule does not see its load. Loading: KV transfers are slow.",
        ),
        gauges(format!("{title}: CMS Used Tokens"), Unit::Tokens, role, &[("used_gpu_tokens", "")]).about(
            "Tokens in each instance's KV cache.",
            "Even over instances of the same size.",
            "One at its limit preempts requests while others have room: look at the policy.",
        ),
        gauges(
            format!("{title}: CMS Prefill Tokens"),
            Unit::Tokens,
            role,
            &[
                ("uncomputed_tokens_all_waiting_prefills", "waiting"),
                ("uncomputed_tokens_scheduler_running_prefills", "running, not computed"),
                ("unallocated_tokens_scheduler_running_prefills", "running, not allocated"),
            ],
        )
        .about(
            "Prompt tokens still to be computed or allocated: the prefill work ahead of each instance.",
            "A few batches.",
            "Growing: prefill is the bottleneck, and TTFT follows.",
        ),
        gauges(
            format!("{title}: CMS Decode Tokens"),
            Unit::Tokens,
            role,
            &[
                ("unallocated_tokens_hybrid_scheduler_waiting_decodes", "hybrid waiting, not allocated"),
                ("hybrid_scheduler_waiting_to_decode_tokens", "hybrid waiting"),
                ("scheduler_waiting_to_decode_tokens", "waiting"),
                ("scheduler_running_to_decode_tokens", "running"),
                ("tokens_loading_requests", "loading"),
            ],
        )
        .about(
            "Tokens of requests that decode, or wait to, on each instance.",
            "Mostly running.",
            "Waiting or loading grows: decode has no room, or KV transfers are slow.",
        ),
    ]
}

fn in_flight(role: &str, title: &str) -> Vec<Panel> {
    let why = "Dispatched by the scheduler and not yet in the instance's own report.";
    vec![
        gauges(
            format!("{title}: CMS Inflight Dispatch Requests"),
            Unit::Requests,
            role,
            &[
                ("inflight_dispatch_requests", "all"),
                ("inflight_dispatch_prefill_requests", "prefill"),
                ("inflight_dispatch_decode_requests", "decode"),
            ],
        )
        .about(
            why,
            "As many as arrive in one status interval.",
            "Stays up: the instance's status does not arrive, or requests do not reach it.",
        ),
        gauges(
            format!("{title}: CMS Inflight Dispatch Tokens"),
            Unit::Tokens,
            role,
            &[
                ("uncomputed_tokens_inflight_dispatch_prefill_requests", "prefill, not computed"),
                ("tokens_inflight_dispatch_decode_requests", "decode"),
            ],
        )
        .about(why, "As many as arrive in one status interval.", "As for requests beside it."),
    ]
}

fn totals(role: &str, title: &str) -> Vec<Panel> {
    vec![
        gauges(
            format!("{title}: CMS KV Cache Usage Ratio"),
            Unit::Ratio,
            role,
            &[("kv_cache_usage_ratio_projected", "")],
        )
        .about(
            "KV cache in use on each instance once what is on its way has arrived.",
            "Below 90 %.",
            "Above: requests will be preempted. Add decode instances, or migrate.",
        )
        .thresholds(&[(0.9, AMBER), (1.0, RED)]),
        gauges(format!("{title}: CMS Decode Batch Size"), Unit::Requests, role, &[("decode_batch_size", "")]).about(
            "Requests that decode together on each instance.",
            "Even; as large as the TPOT objective allows.",
            "Too large: TPOT grows. Too small: the accelerator idles.",
        ),
        gauges(format!("{title}: CMS All Prefill Tokens"), Unit::Tokens, role, &[("all_prefills_tokens_num", "")])
            .about(
                "Tokens of all prefill requests on each instance, in flight ones included.",
                "Even over instances.",
                "Uneven: the placement policy weighs something else more.",
            ),
        gauges(format!("{title}: CMS All Decode Tokens"), Unit::Tokens, role, &[("all_decodes_tokens_num", "")]).about(
            "Tokens of all decode requests on each instance, in flight ones included.",
            "Even over instances.",
            "Uneven: migration is off, or its threshold too high.",
        ),
    ]
}

fn selected(role: &str, title: &str) -> Vec<Panel> {
    let panel = |name: &str, unit, metric: &str, shows: &str, otherwise: &str| {
        Panel::quantiles(
            format!("{title}: Selected Instance {name}"),
            unit,
            &format!("selected_instance_{metric}"),
            &filter(role),
        )
        .about(shows, "Lower than the average of all instances above: the choice found a better one.", otherwise)
        .size(8, 8)
    };
    vec![
        panel(
            "KV Cache Usage Ratio",
            Unit::Ratio,
            "kv_cache_usage_ratio_projected",
            "Projected KV cache usage on the chosen instance, before the request was added.",
            "Near 100 %: there was no better choice. The cluster is full.",
        ),
        panel(
            "Decode Batch Size",
            Unit::Requests,
            "decode_batch_size",
            "Decode batch on the chosen instance.",
            "As large as on the others: placement does not even out the batches.",
        ),
        panel(
            "Prefill Tokens",
            Unit::Tokens,
            "all_prefills_tokens_num",
            "Prefill tokens on the chosen instance: what the request has to wait for.",
            "Large: prefill is the bottleneck.",
        ),
        panel(
            "Decode Tokens",
            Unit::Tokens,
            "all_decodes_tokens_num",
            "Decode tokens on the chosen instance.",
            "Large: decode is the bottleneck.",
        ),
        panel(
            "Predicted TTFT",
            Unit::Milliseconds,
            "predicted_ttft",
            "The TTFT that the SLO-aware policy expected of its choice.",
            "Above the objective: no instance could keep it. Compare with the measured TTFT on the Overview.",
        ),
        panel(
            "Predicted TPOT",
            Unit::Milliseconds,
            "predicted_tpot",
            "The TPOT that the SLO-aware policy expected of its choice.",
            "Above the objective: no instance could keep it.",
        ),
    ]
}
