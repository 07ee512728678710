//! The scheduler's metrics: names, labels and bounds of the seed document, and what goes beyond it.

use super::gateway::TTFT_MS;
use super::{Component, Kind, Label, Metric, PER_TOKEN_MS, STAGE_MS, Unit};
use crate::scheduler::{ERROR_TYPES, INFER_TYPES, PREDICTED, REASONS, RECORDS, RESULTS};

const INSTANCE: Label = Label::open("instance_id");
const INFER_TYPE: Label = Label::closed("infer_type", INFER_TYPES);
const MODEL: Label = Label::open("model");
const ERROR_TYPE: Label = Label::closed("error_type", ERROR_TYPES);
const RECORD: Label = Label::closed("record", RECORDS);

/// What a CMS gauge is of.
const OF_INSTANCE: &[Label] = &[INSTANCE, INFER_TYPE, MODEL];

const DECISION_MS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
const PERCENTS: &[f64] = &[0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0];
const SHARES: &[f64] = &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
const BATCHES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
const TOKENS: &[f64] =
    &[1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32768.0, 65536.0, 131_072.0];

/// Of errors: a fifth is good, and beyond twice nobody asks how much.
const ERRORS: &[f64] = &[0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0];

const AT_SCRAPE: &str = "current at scrape time";
const AT_PLACEMENT: &str = "each placement, before the request itself is added; full mode";

const WHEN_PREDICTED: &str =
    "each placement that a prediction was made for, before the request itself is added; full mode";

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric::new(Component::Scheduler, Kind::Counter, name, help)
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric::new(Component::Scheduler, Kind::Gauge, name, help).observed(AT_SCRAPE)
}

const fn histogram(name: &'static str, help: &'static str, buckets: &'static [f64]) -> Metric {
    Metric::new(Component::Scheduler, Kind::Histogram, name, help).unit(Unit::Milliseconds).buckets(buckets)
}

const fn selected(name: &'static str, help: &'static str, unit: Unit, buckets: &'static [f64]) -> Metric {
    histogram(name, help, buckets).unit(unit).labels(&[INFER_TYPE, MODEL]).observed(AT_PLACEMENT)
}

const fn cms(name: &'static str, help: &'static str, unit: Unit) -> Metric {
    gauge(name, help).unit(unit).labels(OF_INSTANCE)
}

const fn requests(name: &'static str, help: &'static str) -> Metric {
    cms(name, help, Unit::Count)
}

const fn tokens(name: &'static str, help: &'static str) -> Metric {
    cms(name, help, Unit::Tokens)
}

const fn lrs(name: &'static str, help: &'static str, unit: Unit) -> Metric {
    gauge(name, help).unit(unit).labels(&[MODEL, INSTANCE, INFER_TYPE]).observed("current at scrape time; lite mode")
}

pub(crate) static SCHEDULING_TOTAL: Metric =
    counter("scheduler_scheduling_total", "Requests to place one, whatever became of them.").observed("every attempt");
pub(crate) static FAILED_TOTAL: Metric =
    counter("scheduler_scheduling_failed_total", "Requests that were not placed, and why.")
        .labels(&[ERROR_TYPE])
        .observed("every failed attempt");
pub(crate) static REFRESH_METADATA: Metric = histogram(
    "scheduler_cms_refresh_metadata_duration_milliseconds",
    "Reading all instances' metadata, and the snapshot made of it.",
    STAGE_MS,
)
.observed("each refresh that succeeded");
pub(crate) static REFRESH_STATUS: Metric = histogram(
    "scheduler_cms_refresh_status_duration_milliseconds",
    "Reading all instances' status, and the snapshot made of it.",
    STAGE_MS,
)
.observed("each refresh that succeeded");
pub(crate) static REFRESH_FAILED_TOTAL: Metric =
    counter("scheduler_cms_refresh_failed_total", "Refreshes that the CMS did not answer.")
        .labels(&[RECORD])
        .observed("each refresh that failed");
pub(crate) static BAD_RECORDS: Metric = gauge(
    "scheduler_cms_bad_records",
    "Records of the latest refresh that could not be read; each costs its own instance only.",
)
.labels(&[RECORD])
.observed("each refresh that succeeded");
pub(crate) static CMS_AVAILABLE: Metric =
    gauge("scheduler_cms_available", "1 while the CMS answers, 0 while it does not.").observed("each refresh");
pub(crate) static FULL_MODE_MILLISECONDS: Metric = histogram(
    "request_full_mode_schedule_duration_milliseconds",
    "A decision over the cluster's snapshot: from the request's having been read to the placement.",
    DECISION_MS,
)
.observed("each decision in full mode");
pub(crate) static PREFIX_QUERY: Metric = histogram(
    "request_query_prefix_cache_hit_duration_milliseconds",
    "Asking which instances have which of a prompt's blocks.",
    DECISION_MS,
)
.observed("each prompt whose prefix is looked up");
pub(crate) static PREFIX_CALC: Metric = histogram(
    "request_calc_prefix_cache_hit_duration_milliseconds",
    "Hashing a prompt's blocks, and how many of them from the first on each instance has.",
    DECISION_MS,
)
.observed("each prompt whose prefix is looked up");
pub(crate) static PREFIX_HIT: Metric = histogram(
    "request_prefix_cache_hit_percent",
    "How much of a prompt the instance that was chosen to prefill it is thought to have in its cache.",
    PERCENTS,
)
.unit(Unit::Percent)
.labels(&[MODEL])
.observed("each placement whose prefix was looked up");
pub(crate) static PREFIX_BEST: Metric = histogram(
    "request_max_prefix_cache_hit_percent",
    "How much of a prompt the instance that has most of it is thought to have in its cache.",
    PERCENTS,
)
.unit(Unit::Percent)
.labels(&[MODEL])
.observed("each prompt whose prefix is looked up");
pub(crate) static DISPATCH_TOTAL: Metric = counter("scheduler_instance_dispatch_total", "Placements on an instance.")
    .labels(&[INSTANCE, INFER_TYPE])
    .observed("each placement");
pub(crate) static AGED_TOTAL: Metric = counter(
    "scheduler_inflight_aged_total",
    "Requests taken off an account since neither a status nor a release spoke of them in time.",
)
.observed("when they are taken off");
pub(crate) static RECLAIMED_TOTAL: Metric = counter(
    "scheduler_lrs_reclaimed_total",
    "Requests taken off since their gateway or instance was lost, or nobody spoke of them in time.",
)
.observed("when they are taken off; lite mode");
pub(crate) static RESCHEDULING_TOTAL: Metric =
    counter("scheduler_rescheduling_total", "Migrations that an instance was asked for, to other instances alike.")
        .labels(&[Label::open("rescheduling_req_select_rule"), Label::open("rescheduling_req_select_order")])
        .observed("each migration asked for, one that is tried elsewhere included");
pub(crate) static RESCHEDULING_FAILED_TOTAL: Metric = counter(
    "scheduler_rescheduling_failed_total",
    "Migrations that were asked for and of which a request at least stayed.",
)
.observed("each migration that failed");
pub(crate) static MIGRATIONS_TOTAL: Metric = counter(
    "scheduler_migrations_total",
    "What became of migrations that were asked for: done, refused by either instance, not answered in time, or not asked since \
     the instance could not be reached.",
)
.labels(&[Label::closed("result", RESULTS), Label::closed("reason", REASONS)])
.observed("the end of each migration");
pub(crate) static IMBALANCE: Metric = gauge(
    "scheduler_instance_imbalance_ratio",
    "The highest over the mean, of all instances of a type; 1 is even. Absent while all have nothing.",
)
.unit(Unit::Ratio)
.labels(&[INFER_TYPE, Label::open("metric")]);
pub(crate) static GATEWAYS: Metric =
    gauge("scheduler_connected_gateways", "Gateways whose keepalive connection is alive.");
pub(crate) static LEADER: Metric =
    gauge("scheduler_is_leader", "1 where this replica places requests, 0 where another one does.");

pub(crate) static SELECTED_KV: Metric = selected(
    "selected_instance_kv_cache_usage_ratio_projected",
    "Projected KV cache usage of the chosen instance.",
    Unit::Ratio,
    SHARES,
);
pub(crate) static SELECTED_BATCH: Metric = selected(
    "selected_instance_decode_batch_size",
    "Requests that decode on the chosen instance, or will next.",
    Unit::Count,
    BATCHES,
);
pub(crate) static SELECTED_PREFILLS: Metric = selected(
    "selected_instance_all_prefills_tokens_num",
    "Prompt tokens still to be computed on the chosen instance.",
    Unit::Tokens,
    TOKENS,
);
pub(crate) static SELECTED_DECODES: Metric = selected(
    "selected_instance_all_decodes_tokens_num",
    "Tokens of the requests that decode on the chosen instance, or will.",
    Unit::Tokens,
    TOKENS,
);

/// In the order of [`crate::scheduler::Cms::values`].
pub(crate) static CMS: [Metric; 24] = [
    tokens("instance_cms_used_gpu_tokens", "Tokens in the KV cache."),
    requests("instance_cms_waiting_requests", "Requests that wait in the engine."),
    requests("instance_cms_loading_requests", "Requests whose KV cache is being loaded."),
    requests("instance_cms_running_requests", "Requests that run in the engine."),
    requests("instance_cms_scheduler_waiting_to_decode_requests", "Waiting requests that will decode there."),
    requests("instance_cms_scheduler_running_to_decode_requests", "Running requests that decode there."),
    requests("instance_cms_hybrid_scheduler_waiting_to_decode_requests", "Requests parked in the hybrid connector."),
    tokens("instance_cms_uncomputed_tokens_all_waiting_prefills", "Prompt tokens of waiting requests, not computed."),
    tokens(
        "instance_cms_uncomputed_tokens_scheduler_running_prefills",
        "Prompt tokens of running requests, not computed.",
    ),
    tokens(
        "instance_cms_unallocated_tokens_scheduler_running_prefills",
        "Prompt tokens of running requests that have no blocks yet.",
    ),
    tokens(
        "instance_cms_unallocated_tokens_hybrid_scheduler_waiting_decodes",
        "Tokens of parked requests that have no blocks yet.",
    ),
    tokens("instance_cms_hybrid_scheduler_waiting_to_decode_tokens", "Tokens of parked requests."),
    tokens("instance_cms_scheduler_waiting_to_decode_tokens", "Tokens of waiting requests that will decode there."),
    tokens("instance_cms_scheduler_running_to_decode_tokens", "Tokens of running requests that decode there."),
    tokens("instance_cms_tokens_loading_requests", "Tokens of requests whose KV cache is being loaded."),
    requests("instance_cms_inflight_dispatch_requests", "Requests placed there that its status does not show yet."),
    requests("instance_cms_inflight_dispatch_prefill_requests", "Of those, the ones to prefill there."),
    requests("instance_cms_inflight_dispatch_decode_requests", "Of those, the ones to decode there."),
    tokens(
        "instance_cms_uncomputed_tokens_inflight_dispatch_prefill_requests",
        "Prompt tokens of requests in flight to prefill there.",
    ),
    tokens("instance_cms_tokens_inflight_dispatch_decode_requests", "Tokens of requests in flight to decode there."),
    cms(
        "instance_cms_kv_cache_usage_ratio_projected",
        "Share of the KV cache that is used, or will be by what waits there or is in flight to decode there. Absent where \
         the cache's size is not known.",
        Unit::Ratio,
    ),
    requests("instance_cms_decode_batch_size", "Requests that decode there, or will next; in flight included."),
    tokens("instance_cms_all_prefills_tokens_num", "Prompt tokens still to be computed there; in flight included."),
    tokens("instance_cms_all_decodes_tokens_num", "Tokens of the requests that decode there, or will."),
];
pub(crate) static SCHEDULABLE: Metric =
    requests("instance_schedulable", "1 where the instance takes requests, by its own word.");
pub(crate) static STATUS_AGE: Metric = cms(
    "instance_status_age_seconds",
    "How long ago the instance's status last changed, on the scheduler's clock.",
    Unit::Seconds,
);
pub(crate) static KV_TOTAL: Metric = tokens("instance_kv_tokens_total", "Room of the KV cache, in tokens.");

pub(crate) static SELECTED_TTFT: Metric = selected(
    "selected_instance_predicted_ttft",
    "Milliseconds to the first token that were expected of the chosen instance; of one that is to decode what was computed \
     elsewhere, to the end of its first step.",
    Unit::Milliseconds,
    TTFT_MS,
)
.observed(WHEN_PREDICTED);
pub(crate) static SELECTED_TPOT: Metric = selected(
    "selected_instance_predicted_tpot",
    "Milliseconds a token that were expected of the chosen instance with this request in its batch; 0 where neither it nor \
     anybody else decodes there.",
    Unit::Milliseconds,
    PER_TOKEN_MS,
)
.observed(WHEN_PREDICTED);
pub(crate) static PREDICTION_ERROR: Metric = histogram(
    "scheduler_prediction_error_ratio",
    "How far predictions were from what happened: of a request's TTFT and TPOT as a share of what its gateway measured, of the \
     progress of an instance's prompts as a share of what was left to compute.",
    ERRORS,
)
.unit(Unit::Ratio)
.labels(&[Label::closed("what", PREDICTED)])
.observed("when the truth is known: a gateway's report, or the instance's next status if no request came in between");

/// In the order of [`crate::scheduler::Lrs::values`].
pub(crate) static LRS: [Metric; 6] = [
    lrs("instance_lrs_running_requests", "Requests on the instance whose prefill is done.", Unit::Count),
    lrs("instance_lrs_waiting_requests", "Requests on the instance whose prefill is not done.", Unit::Count),
    lrs("instance_lrs_total_requests", "Requests on the instance: running and waiting.", Unit::Count),
    lrs("instance_lrs_running_tokens", "Tokens of the running requests.", Unit::Tokens),
    lrs("instance_lrs_waiting_tokens", "Tokens of the waiting requests.", Unit::Tokens),
    lrs("instance_lrs_total_tokens", "Tokens of all requests: running and waiting.", Unit::Tokens),
];

pub(super) static ALL: &[&Metric] = &[
    &SCHEDULING_TOTAL,
    &FAILED_TOTAL,
    &FULL_MODE_MILLISECONDS,
    &PREFIX_QUERY,
    &PREFIX_CALC,
    &PREFIX_HIT,
    &PREFIX_BEST,
    &DISPATCH_TOTAL,
    &IMBALANCE,
    &REFRESH_METADATA,
    &REFRESH_STATUS,
    &REFRESH_FAILED_TOTAL,
    &BAD_RECORDS,
    &CMS_AVAILABLE,
    &AGED_TOTAL,
    &RECLAIMED_TOTAL,
    &RESCHEDULING_TOTAL,
    &RESCHEDULING_FAILED_TOTAL,
    &MIGRATIONS_TOTAL,
    &GATEWAYS,
    &LEADER,
    &SELECTED_KV,
    &SELECTED_BATCH,
    &SELECTED_PREFILLS,
    &SELECTED_DECODES,
    &SELECTED_TTFT,
    &SELECTED_TPOT,
    &PREDICTION_ERROR,
    &SCHEDULABLE,
    &STATUS_AGE,
    &KV_TOTAL,
    &CMS[0],
    &CMS[1],
    &CMS[2],
    &CMS[3],
    &CMS[4],
    &CMS[5],
    &CMS[6],
    &CMS[7],
    &CMS[8],
    &CMS[9],
    &CMS[10],
    &CMS[11],
    &CMS[12],
    &CMS[13],
    &CMS[14],
    &CMS[15],
    &CMS[16],
    &CMS[17],
    &CMS[18],
    &CMS[19],
    &CMS[20],
    &CMS[21],
    &CMS[22],
    &CMS[23],
    &LRS[0],
    &LRS[1],
    &LRS[2],
    &LRS[3],
    &LRS[4],
    &LRS[5],
];
