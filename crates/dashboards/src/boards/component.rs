//! `llumnix-component-dashboard.json`: gateway, coordinator, scheduler and their runtimes.

use crate::build::{Board, Look, Panel, Target, Variable};
use crate::palette::{AMBER, BLUE, GREEN, GREY, RED, TEAL};
use crate::query::{GATEWAY, NAMESPACE, SIDECAR, rate, rate_by, select, sum_by, total_rate};
use crate::unit::Unit;

pub(super) fn board() -> Board {
    Board::new(
        "llumnix-component-dashboard.json",
        "Components",
        "component",
        "What the gateway, the coordinators and the scheduler do themselves, and how their processes fare.",
    )
    .variables(&[
        Variable::namespace("uptime_seconds"),
        Variable::model("model", "request_total"),
        Variable::Label { name: "connector", label: "connector", metric: "pd_proxy_requests_total" },
    ])
    .row("Gateway", gateway())
    .row("P/D coordinator", coordinator())
    .row("Scheduler", scheduler())
    .row("System", system())
}

fn gateway() -> Vec<Panel> {
    let stage = |title: &str, metric: &str, shows: &str, normal: &str, otherwise: &str| {
        Panel::quantiles(title, Unit::Milliseconds, metric, GATEWAY).about(shows, normal, otherwise)
    };
    vec![
        stage(
            "Queue Duration",
            "request_queue_duration_milliseconds",
            "How long requests waited in the gateway's queue.",
            "Close to zero: a queue is only for bursts.",
            "Instances are saturated: add some, or shed load earlier.",
        ),
        stage(
            "Preprocess Duration",
            "request_preprocess_duration_milliseconds",
            "From the request's head to its body read and parsed.",
            "Under a millisecond; the client's upload is part of it.",
            "Large bodies or slow uploads; else the gateway has too little CPU.",
        ),
        stage(
            "Schedule Duration",
            "request_schedule_duration_milliseconds",
            "From admission to a placement in hand, failed attempts and waits included.",
            "Well under a millisecond.",
            "Look at the scheduler's own time below; if that is small, the way to it is long.",
        ),
        stage(
            "Postprocess Duration",
            "request_postprocess_duration_milliseconds",
            "The gateway's own work on response chunks, summed over a request.",
            "A few microseconds a token.",
            "The gateway has too little CPU.",
        ),
        Panel::lines("Gateway Requests", Unit::Requests)
            .about(
                "Requests in flight, and those of them that no instance has yet.",
                "Pending close to zero.",
                "Pending grows: nothing can take requests. See Scheduling Events.",
            )
            .look(
                Target::range(format!("sum({})", select("gateway_current_requests", NAMESPACE)), "in flight"),
                Look::solid(BLUE).strong(),
            )
            .look(
                Target::range(format!("sum({})", select("gateway_pending_requests", NAMESPACE)), "pending"),
                Look::solid(GREY).strong(),
            )
            .size(24, 8),
    ]
}

fn coordinator() -> Vec<Panel> {
    vec![
        Panel::lines("Coordinator Requests", Unit::RequestsPerSecond)
            .about(
                "Requests of the P/D coordinators, by how they ended.",
                "Nearly all completed.",
                "Failed: the stage is in the trace; prefill and decode have different owners.",
            )
            .with(Target::range(rate_by("outcome", "pd_proxy_requests_total", SIDECAR), "{{outcome}}"))
            .colour("completed", GREEN)
            .colour("cancelled", GREY)
            .colour("failed", RED)
            .size(8, 8),
        Panel::lines("Disaggregation", Unit::RequestsPerSecond)
            .about(
                "Requests by what was decided: two legs, decode only, or refused.",
                "As your threshold splits short from long prompts.",
                "Denied: a prefill target is not on the allow-list. Only decode_only: the gateway names no prefill instance.",
            )
            .with(Target::range(rate_by("decision", "pd_proxy_disaggregated_total", SIDECAR), "{{decision}}"))
            .colour("disaggregated", BLUE)
            .colour("decode_only", GREEN)
            .colour("denied", RED)
            .size(8, 8),
        Panel::lines("Coordinator Requests in Flight", Unit::Requests)
            .about("Requests in the coordinators now.", "Even over connectors of the same load.", "Growing alone: its decode instances are stuck.")
            .with(Target::range(sum_by("connector", "pd_proxy_active_requests", SIDECAR), "{{connector}}"))
            .size(8, 8),
    ]
}

fn scheduler() -> Vec<Panel> {
    let own = |title: &str, metric: &str, shows: &str, normal: &str, otherwise: &str| {
        Panel::quantiles(title, Unit::Milliseconds, metric, NAMESPACE).about(shows, normal, otherwise).size(8, 9)
    };
    let mut panels = events();
    panels.extend([
        own(
            "CMS Refresh Metadata Duration",
            "scheduler_cms_refresh_metadata_duration_milliseconds",
            "Reading which instances there are.",
            "A few milliseconds.",
            "The store is slow or far away; placements go on with what was read last.",
        ),
        own(
            "CMS Refresh Status Duration",
            "scheduler_cms_refresh_status_duration_milliseconds",
            "Reading how the instances are.",
            "Below the refresh interval.",
            "Above it, placements use old numbers: see instance_status_age_seconds.",
        ),
        own(
            "Full-Mode Schedule Duration",
            "request_full_mode_schedule_duration_milliseconds",
            "One placement in full mode, without the way to and from the scheduler.",
            "Tens of microseconds.",
            "Very many instances, or a prefix query in the way: see the two panels that follow.",
        ),
        own(
            "Query Prefix Cache Hit Duration",
            "request_query_prefix_cache_hit_duration_milliseconds",
            "Asking the KV store which instance has a prompt's prefix.",
            "A millisecond or two.",
            "The KV store's metadata service is slow; placements wait for it.",
        )
        .size(12, 9),
        own(
            "Calc Prefix Cache Hit Duration",
            "request_calc_prefix_cache_hit_duration_milliseconds",
            "Hashing a prompt and computing each instance's hit from the answer.",
            "Well under a millisecond.",
            "Very long prompts, or too little CPU.",
        )
        .size(12, 9),
    ]);
    panels
}

fn events() -> Vec<Panel> {
    vec![
        Panel::lines("Scheduling Events", Unit::PerSecond)
            .about(
                "Attempts to place a request, and those that failed.",
                "No failures.",
                "Failures have a reason: it is the error_type of scheduler_scheduling_failed_total.",
            )
            .look(Target::range(total_rate("scheduler_scheduling_total", NAMESPACE), "attempts"), Look::solid(TEAL).strong())
            .look(Target::range(total_rate("scheduler_scheduling_failed_total", NAMESPACE), "failures"), Look::solid(RED).strong())
            .size(12, 8),
        Panel::lines("Rescheduling Events", Unit::PerSecond)
            .about(
                "Migrations asked for, and those that failed.",
                "Rare in a balanced cluster.",
                "A steady rate of migrations costs bandwidth: raise the threshold. Failures: look at the instances' logs.",
            )
            .look(Target::range(total_rate("scheduler_rescheduling_total", NAMESPACE), "migrations"), Look::solid(TEAL).strong())
            .look(
                Target::range(total_rate("scheduler_rescheduling_failed_total", NAMESPACE), "failures"),
                Look::solid(RED).strong(),
            )
            .size(12, 8),
    ]
}

fn system() -> Vec<Panel> {
    // A line a kind of process, not a process: a cluster has hundreds.
    let of = |title: &str, unit, which: &str, expr: String| {
        Panel::lines(title, unit).with(Target::range(format!("{which} by (job) ({expr})"), "{{job}}")).size(8, 8)
    };
    let largest = |title: &str, unit, metric: &str| of(title, unit, "max", select(metric, NAMESPACE));
    vec![
        of("Uptime", Unit::Seconds, "min", select("uptime_seconds", NAMESPACE)).about(
            "Since the youngest process of each kind started.",
            "Only grows.",
            "A fall to zero is a restart: the pod's last state says why.",
        ),
        largest("Goroutines", Unit::Tasks, "go_goroutines").about(
            "Tasks alive, under the name that dashboards for Go processes ask for; of each kind the process that has most.",
            "A few per request in flight.",
            "Growth without load is a leak: report it with the trace of a request that hangs.",
        ),
        largest("Go Memory", Unit::Bytes, "go_memstats_alloc_bytes").about(
            "Bytes in use by the allocator; of each kind the process that has most.",
            "Flat, with a bump per burst.",
            "Steady growth is a leak; close to the limit, raise it before the kernel ends the process.",
        ),
        largest("Runtime Lag", Unit::Seconds, "tokio_loop_lag_seconds")
            .about(
                "How late a timer fired at worst, of the last ten: the error bar of every time taken in that process. Of each kind the latest.",
                "Under a few milliseconds.",
                "The process has too little CPU; its latencies are no longer those of the requests.",
            )
            .thresholds(&[(0.01, AMBER), (0.05, RED)]),
        largest("Runtime Busy", Unit::Ratio, "tokio_worker_busy_ratio")
            .about(
                "Share of the time that the runtime's workers were busy; of each kind the busiest process.",
                "Below 70 %.",
                "Add CPU, or replicas.",
            )
            .max(1.0)
            .thresholds(&[(0.7, AMBER), (0.9, RED)]),
        of("CPU", Unit::Ratio, "max", rate("process_cpu_seconds_total", NAMESPACE)).about(
            "CPU in cores, 100 % is one; of each kind the process that uses most.",
            "Follows the load.",
            "At its limit a process is throttled, and every request through it waits.",
        ),
    ]
}
