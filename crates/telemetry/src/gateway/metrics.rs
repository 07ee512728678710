//! The gateway's series, resolved once per model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::RwLock;

use super::Connections;
use crate::catalogue::gateway as catalogue;
use crate::metrics::{Counter, Family, Histogram, Registry};
use crate::outcome::Outcome;
use crate::timeline::Component;

/// Label value for models that nobody serves.
const UNKNOWN: &str = "unknown";

/// `status_code` of a fallback that served.
const SUCCESS: &str = "success";

/// `status_code` of an attempt that got no answer.
const NETWORK_ERROR: &str = "network_error";

pub(super) struct Metrics {
    registry: Registry,
    models: RwLock<BTreeMap<Box<str>, Arc<OfModel>>>,
    unknown: Arc<OfModel>,
    pub(super) mirrored: [Counter; catalogue::MIRROR_OUTCOMES.len()],
    calls: [[Counter; CallOutcome::ALL.len()]; SchedulerCall::ALL.len()],
    pub(super) current: Arc<AtomicI64>,
    pub(super) pending: Arc<AtomicI64>,
}

/// Why a request was turned away that nothing was wrong with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The admission queue was full.
    QueueFull,
    /// It waited too long for admission.
    QueueTimeout,
    /// Its model has as many requests in flight as it may have.
    ModelConcurrency,
    /// Its model has had its requests of the minute.
    ModelRequests,
    /// Its model has had its tokens of the minute.
    ModelTokens,
    /// Its key has as many requests in flight as it may have.
    KeyConcurrency,
    /// Its key has had its requests of the minute.
    KeyRequests,
    /// Its key has had its tokens of the minute.
    KeyTokens,
}

impl Rejection {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::QueueFull,
        Self::QueueTimeout,
        Self::ModelConcurrency,
        Self::ModelRequests,
        Self::ModelTokens,
        Self::KeyConcurrency,
        Self::KeyRequests,
        Self::KeyTokens,
    ];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::ModelConcurrency => "model_concurrency",
            Self::ModelRequests => "model_requests",
            Self::ModelTokens => "model_tokens",
            Self::KeyConcurrency => "key_concurrency",
            Self::KeyRequests => "key_requests",
            Self::KeyTokens => "key_tokens",
        }
    }
}

/// Who chose a request's instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlacedBy {
    /// A scheduler.
    Scheduler,
    /// The gateway, as there is no scheduler.
    RoundRobin,
    /// The gateway, as no scheduler answered.
    SchedulerNotReady,
}

impl PlacedBy {
    /// Everyone.
    pub const ALL: [Self; 3] = [Self::Scheduler, Self::RoundRobin, Self::SchedulerNotReady];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler",
            Self::RoundRobin => "round_robin",
            Self::SchedulerNotReady => "scheduler_not_ready",
        }
    }
}

/// What a scheduler is asked or told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedulerCall {
    /// Where a request goes.
    Schedule,
    /// That it is over.
    Release,
    /// How it gets on.
    Report,
}

impl SchedulerCall {
    /// Every call.
    pub const ALL: [Self; 3] = [Self::Schedule, Self::Release, Self::Report];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Release => "release",
            Self::Report => "report",
        }
    }
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// What was asked for.
    Ok,
    /// The cluster is full.
    Busy,
    /// The scheduler answered that it cannot.
    Refused,
    /// No answer, or none that means anything.
    Failed,
}

impl CallOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Busy, Self::Refused, Self::Failed];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Handles of one model.
pub(super) struct OfModel {
    name: Box<str>,
    requests: Family<Counter, 2>,
    outcomes: Family<Counter, 3>,
    retries: Family<Counter, 2>,
    rejected: [Counter; Rejection::ALL.len()],
    fallbacks: Family<Counter, 2>,
    pub(super) waited_out: Counter,
    placed: [Counter; PlacedBy::ALL.len()],
    ok: Counter,
    completed: Counter,
    pub(super) input_total: Counter,
    pub(super) output_total: Counter,
    pub(super) input: Histogram,
    pub(super) output: Histogram,
    pub(super) e2e: Histogram,
    pub(super) ttft: Histogram,
    pub(super) tpot: Histogram,
    pub(super) itl: Histogram,
    pub(super) queue: Histogram,
    pub(super) schedule: Histogram,
    pub(super) preprocess: Histogram,
    pub(super) postprocess: Histogram,
    pub(super) parts: [Histogram; Component::ALL.len()],
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let (current, pending) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        for (metric, value) in [(&catalogue::CURRENT, &current), (&catalogue::PENDING, &pending)] {
            let value = Arc::clone(value);
            registry.read(metric, [], move || Some(value.load(Ordering::Relaxed) as f64));
        }
        let mirror = registry.counter(&catalogue::MIRROR_TOTAL);
        let mirrored = std::array::from_fn(|at| mirror.with([catalogue::MIRROR_OUTCOMES[at]]));
        let unknown = Arc::new(OfModel::new(registry, UNKNOWN));
        let calls = registry.counter(&catalogue::SCHEDULER_CALLS_TOTAL);
        let calls = SchedulerCall::ALL
            .map(|call| CallOutcome::ALL.map(|outcome| calls.with([call.as_str(), outcome.as_str()])));
        Self { registry: registry.clone(), mirrored, models: RwLock::default(), unknown, calls, current, pending }
    }

    pub(super) fn watch_connections(&self, count: impl Fn() -> Connections + Clone + Send + Sync + 'static) {
        let idle = count.clone();
        self.registry.read(&catalogue::CONNECTIONS, ["idle"], move || Some(idle().idle as f64));
        self.registry.read(&catalogue::CONNECTIONS, ["active"], move || Some(count().active as f64));
    }

    pub(super) fn serve(&self, model: &str) {
        let mut models = self.models.write();
        if !models.contains_key(model) {
            models.insert(model.into(), Arc::new(OfModel::new(&self.registry, model)));
        }
    }

    pub(super) fn of(&self, model: &str) -> Arc<OfModel> {
        self.models.read().get(model).map_or_else(|| self.unknown(), Arc::clone)
    }

    pub(super) fn scheduler_call(&self, call: SchedulerCall, outcome: CallOutcome) {
        self.calls[call as usize][outcome as usize].inc();
    }

    pub(super) fn unknown(&self) -> Arc<OfModel> {
        Arc::clone(&self.unknown)
    }
}

impl OfModel {
    fn new(registry: &Registry, model: &str) -> Self {
        let histogram = |metric| registry.histogram(metric).with([model]);
        let counter = |metric| registry.counter(metric).with([model]);
        let requests = registry.counter(&catalogue::REQUEST_TOTAL);
        let outcomes = registry.counter(&catalogue::OUTCOME_TOTAL);
        let placed = registry.counter(&catalogue::PLACEMENT_TOTAL);
        let rejected = registry.counter(&catalogue::REJECTED_TOTAL);
        let parts = registry.histogram(&catalogue::TTFT_COMPONENT_MILLISECONDS);
        Self {
            name: model.into(),
            ok: requests.with([model, "200"]),
            completed: outcomes.with([model, "completed", "none"]),
            requests,
            outcomes,
            retries: registry.counter(&catalogue::RETRY_TOTAL),
            placed: PlacedBy::ALL.map(|by| placed.with([model, by.as_str()])),
            rejected: Rejection::ALL.map(|reason| rejected.with([model, reason.as_str()])),
            fallbacks: registry.counter(&catalogue::FALLBACK_TOTAL),
            waited_out: counter(&catalogue::FALLBACK_RETRY_SUCCESS_TOTAL),
            input_total: counter(&catalogue::INPUT_TOKENS_TOTAL),
            output_total: counter(&catalogue::OUTPUT_TOKENS_TOTAL),
            input: histogram(&catalogue::INPUT_TOKENS),
            output: histogram(&catalogue::OUTPUT_TOKENS),
            e2e: histogram(&catalogue::E2E_SECONDS),
            ttft: histogram(&catalogue::TTFT_MILLISECONDS),
            tpot: histogram(&catalogue::TPOT_MILLISECONDS),
            itl: histogram(&catalogue::ITL_MILLISECONDS),
            queue: histogram(&catalogue::QUEUE_MILLISECONDS),
            schedule: histogram(&catalogue::SCHEDULE_MILLISECONDS),
            preprocess: histogram(&catalogue::PREPROCESS_MILLISECONDS),
            postprocess: histogram(&catalogue::POSTPROCESS_MILLISECONDS),
            parts: Component::ALL.map(|component| parts.with([model, component.as_str()])),
        }
    }

    /// Another attempt follows one that was answered with this status, or not at all.
    pub(super) fn retried(&self, status: Option<u16>) {
        let status = status.map_or_else(|| NETWORK_ERROR.to_owned(), |status| status.to_string());
        self.retries.with([&self.name, &status]).inc();
    }

    pub(super) fn placed(&self, by: PlacedBy) {
        self.placed[by as usize].inc();
    }

    pub(super) fn rejected(&self, reason: Rejection) {
        self.rejected[reason as usize].inc();
    }

    /// A fallback was tried: it served, or it answered with this status, or not at all.
    pub(super) fn fell_back(&self, status: Option<u16>, served: bool) {
        let status = status.map_or_else(|| NETWORK_ERROR.to_owned(), |status| status.to_string());
        self.fallbacks.with([&self.name, if served { SUCCESS } else { &status }]).inc();
    }

    pub(super) fn ended(&self, status: u16, outcome: &Outcome, stage: &'static str) {
        match status {
            200 => self.ok.inc(),
            status => self.requests.with([&self.name, &status.to_string()]).inc(),
        }
        match outcome {
            Outcome::Completed => self.completed.inc(),
            _ => self.outcomes.with([&self.name, outcome.as_str(), stage]).inc(),
        }
    }
}
