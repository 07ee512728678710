//! What every process tells about itself, its runtime and its telemetry's losses.

use super::{Component, Kind, Label, Metric, Unit};

const EXPORT_S: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

const fn gauge(name: &'static str, unit: Unit, help: &'static str) -> Metric {
    Metric::new(Component::Every, Kind::Gauge, name, help).unit(unit).observed("read at scrape time")
}

pub(crate) static UPTIME: Metric =
    gauge("uptime_seconds", Unit::Seconds, "Time since the process's telemetry started.");
pub(crate) static BUILD_INFO: Metric = gauge("build_info", Unit::Count, "Always 1; the labels say what is running.")
    .labels(&[Label::open("version"), Label::open("service")]);
pub(crate) static CPU_SECONDS: Metric =
    Metric::new(Component::Every, Kind::Counter, "process_cpu_seconds_total", "User and system CPU time.")
        .unit(Unit::Seconds)
        .observed("read at scrape time");
pub(crate) static RESIDENT_BYTES: Metric = gauge("process_resident_memory_bytes", Unit::Bytes, "Resident memory.");
pub(crate) static VIRTUAL_BYTES: Metric = gauge("process_virtual_memory_bytes", Unit::Bytes, "Virtual memory.");
pub(crate) static START_TIME: Metric =
    gauge("process_start_time_seconds", Unit::Seconds, "Start of the process, Unix time.");
pub(crate) static OPEN_FDS: Metric = gauge("process_open_fds", Unit::Count, "Open file descriptors.");
pub(crate) static MAX_FDS: Metric = gauge("process_max_fds", Unit::Count, "Limit of open file descriptors.");
pub(crate) static THREADS: Metric = gauge("process_threads", Unit::Count, "Threads of the process.");
pub(crate) static ALLOCATED_BYTES: Metric = gauge(
    "process_allocated_bytes",
    Unit::Bytes,
    "Bytes in use by the allocator; anonymous resident memory where the allocator does not tell.",
);
pub(crate) static ALIVE_TASKS: Metric = gauge("tokio_alive_tasks", Unit::Count, "Tasks alive in the runtime.");
pub(crate) static WORKER_BUSY: Metric = gauge(
    "tokio_worker_busy_ratio",
    Unit::Ratio,
    "Share of the time since the scrape before that the runtime's workers were busy.",
);
pub(crate) static LOOP_LAG: Metric = gauge(
    "tokio_loop_lag_seconds",
    Unit::Seconds,
    "How late a timer fired at worst, of the last ten that were set: the error bar of every time taken here.",
)
.observed("once a second");
pub(crate) static GO_GOROUTINES: Metric = gauge(
    "go_goroutines",
    Unit::Count,
    "Equals tokio_alive_tasks; under this name so that dashboards made for Go processes work.",
);
pub(crate) static GO_ALLOC_BYTES: Metric = gauge(
    "go_memstats_alloc_bytes",
    Unit::Bytes,
    "Equals process_allocated_bytes; under this name so that dashboards made for Go processes work.",
);
pub(crate) static OVERFLOW_TOTAL: Metric = Metric::new(
    Component::Every,
    Kind::Counter,
    "telemetry_overflow_total",
    "Label sets folded into _overflow because a metric had its 1,000 already.",
)
.labels(&[Label::open("metric")])
.observed("each time a handle is resolved to _overflow");
pub(crate) static SPANS_TOTAL: Metric = Metric::new(
    Component::Every,
    Kind::Counter,
    "telemetry_spans_total",
    "Sampled spans by their fate: exported, dropped before sending (queue full), or failed (refused, or not delivered).",
)
.labels(&[Label::closed("outcome", &["exported", "dropped", "failed"])])
.observed("when a span's fate is known");
pub(crate) static EXPORT_SECONDS: Metric = Metric::new(
    Component::Every,
    Kind::Histogram,
    "telemetry_export_duration_seconds",
    "Time to deliver one batch of spans, retries included.",
)
.unit(Unit::Seconds)
.buckets(EXPORT_S)
.observed("each batch, delivered or not");

pub(crate) static SAMPLER_POLLS_TOTAL: Metric = Metric::new(
    Component::Every,
    Kind::Counter,
    "telemetry_sampler_polls_total",
    "Times that a remote sampler asked for its strategy, by what came of it; the last strategy stays after a failure.",
)
.labels(&[Label::closed("outcome", &["succeeded", "failed"])])
.observed("each poll, where the sampler is jaeger_remote");

pub(super) static ALL: &[&Metric] = &[
    &UPTIME,
    &BUILD_INFO,
    &CPU_SECONDS,
    &RESIDENT_BYTES,
    &VIRTUAL_BYTES,
    &START_TIME,
    &OPEN_FDS,
    &MAX_FDS,
    &THREADS,
    &ALLOCATED_BYTES,
    &ALIVE_TASKS,
    &WORKER_BUSY,
    &LOOP_LAG,
    &GO_GOROUTINES,
    &GO_ALLOC_BYTES,
    &OVERFLOW_TOTAL,
    &SPANS_TOTAL,
    &EXPORT_SECONDS,
    &SAMPLER_POLLS_TOTAL,
];
