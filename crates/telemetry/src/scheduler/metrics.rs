//! The scheduler's series that are not an instance's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::series::Shown;
use super::{Choice, ERROR_TYPES, ErrorType, Facts, INFER_TYPES, PREDICTED, Predicted, Prefix, RECORDS, Refreshed};
use crate::catalogue::Unit;
use crate::catalogue::scheduler as catalogue;
use crate::clock::nanos;
use crate::metrics::{Counter, Exemplar, Family, Gauge, Histogram, Registry};

pub(super) struct Metrics {
    registry: Registry,
    pub(super) attempts: Counter,
    /// By [`ERROR_TYPES`].
    failures: Vec<Counter>,
    /// Full mode's.
    cms: Option<CmsSeries>,
    dispatches: Family<Counter, 2>,
    pub(super) aged: Counter,
    pub(super) reclaimed: Counter,
    pub(super) leader: Gauge,
    prefix: OnceLock<PrefixSeries>,
    selected: RwLock<BTreeMap<Box<str>, Arc<[Selected; INFER_TYPES.len()]>>>,
    pub(super) instances: Mutex<Shown>,
}

struct CmsSeries {
    decision: Histogram,
    /// By [`PREDICTED`].
    errors: [Histogram; PREDICTED.len()],
    /// By [`RECORDS`].
    took: [Histogram; 2],
    failed: [Counter; 2],
    bad: [Gauge; 2],
    available: Gauge,
}

/// There where prefixes are looked up.
pub(super) struct PrefixSeries {
    query: Histogram,
    calc: Histogram,
    hit: Family<Histogram, 1>,
    best: Family<Histogram, 1>,
}

/// What chosen instances were like, of one type and model.
struct Selected {
    kv: Histogram,
    batch: Histogram,
    prefills: Histogram,
    decodes: Histogram,
    ttft: Histogram,
    tpot: Histogram,
}

impl Metrics {
    pub(super) fn new(registry: &Registry, full: bool, gateways: &Arc<AtomicUsize>) -> Self {
        let gateways = Arc::clone(gateways);
        registry.read(&catalogue::GATEWAYS, [], move || Some(gateways.load(Ordering::Relaxed) as f64));
        let failed = registry.counter(&catalogue::FAILED_TOTAL);
        Self {
            attempts: registry.counter(&catalogue::SCHEDULING_TOTAL).with([]),
            failures: ERROR_TYPES.iter().map(|error| failed.with([error])).collect(),
            cms: full.then(|| CmsSeries::new(registry)),
            dispatches: registry.counter(&catalogue::DISPATCH_TOTAL),
            aged: registry.counter(&catalogue::AGED_TOTAL).with([]),
            reclaimed: registry.counter(&catalogue::RECLAIMED_TOTAL).with([]),
            leader: registry.gauge(&catalogue::LEADER).with([]),
            prefix: OnceLock::new(),
            selected: RwLock::default(),
            instances: Mutex::default(),
            registry: registry.clone(),
        }
    }

    pub(super) fn refused(&self, error: ErrorType) {
        if let Some(counter) = self.failures.get(error as usize) {
            counter.inc();
        }
    }

    pub(super) fn decided(&self, nanos: u64, exemplar: Option<Exemplar>) {
        if let Some(cms) = &self.cms {
            cms.decision.observe_with(nanos, exemplar);
        }
    }

    pub(super) fn chosen(&self, choice: &Choice<'_>) {
        self.dispatches.with([choice.instance, choice.infer_type]).inc();
        let (Some(inputs), Some(at)) = (&choice.inputs, INFER_TYPES.iter().position(|of| *of == choice.infer_type))
        else {
            return;
        };
        let of_model = self.selected(choice.model);
        let selected = &of_model[at];
        if let Some(share) = inputs.kv_cache_usage_ratio_projected {
            selected.kv.observe((share.max(0.0) * Unit::Ratio.scale() as f64) as u64);
        }
        selected.batch.observe(inputs.decode_batch_size.unsigned_abs());
        selected.prefills.observe(inputs.all_prefills_tokens_num.unsigned_abs());
        selected.decodes.observe(inputs.all_decodes_tokens_num.unsigned_abs());
        for (series, ms) in [(&selected.ttft, choice.predicted_ttft_ms), (&selected.tpot, choice.predicted_tpot_ms)] {
            if let Some(ms) = ms {
                series.observe((ms.max(0.0) * Unit::Milliseconds.scale() as f64) as u64);
            }
        }
    }

    pub(super) fn prefix_looked_up(&self, facts: &Facts<'_>, prefix: &Prefix) {
        let series = self.prefix();
        series.query.observe(nanos(prefix.query));
        series.calc.observe(nanos(prefix.calc));
        series.best.with([facts.model]).observe(percent(prefix.most_tokens, facts.prompt_tokens));
    }

    pub(super) fn prefix_hit(&self, facts: &Facts<'_>, tokens: u64) {
        self.prefix().hit.with([facts.model]).observe(percent(tokens, facts.prompt_tokens));
    }

    pub(super) fn prefix(&self) -> &PrefixSeries {
        self.prefix.get_or_init(|| PrefixSeries {
            query: self.registry.histogram(&catalogue::PREFIX_QUERY).with([]),
            calc: self.registry.histogram(&catalogue::PREFIX_CALC).with([]),
            hit: self.registry.histogram(&catalogue::PREFIX_HIT),
            best: self.registry.histogram(&catalogue::PREFIX_BEST),
        })
    }

    fn selected(&self, model: &str) -> Arc<[Selected; INFER_TYPES.len()]> {
        if let Some(known) = self.selected.read().get(model) {
            return Arc::clone(known);
        }
        let series = Arc::new([INFER_TYPES[0], INFER_TYPES[1], INFER_TYPES[2]].map(|infer_type| {
            let histogram = |metric| self.registry.histogram(metric).with([infer_type, model]);
            Selected {
                kv: histogram(&catalogue::SELECTED_KV),
                batch: histogram(&catalogue::SELECTED_BATCH),
                prefills: histogram(&catalogue::SELECTED_PREFILLS),
                decodes: histogram(&catalogue::SELECTED_DECODES),
                ttft: histogram(&catalogue::SELECTED_TTFT),
                tpot: histogram(&catalogue::SELECTED_TPOT),
            }
        }));
        Arc::clone(self.selected.write().entry(model.into()).or_insert(series))
    }

    pub(super) fn predicted(&self, what: Predicted, error: f64) {
        if let Some(cms) = self.cms.as_ref().filter(|_| error.is_finite()) {
            cms.errors[what as usize].observe((error.abs() * Unit::Ratio.scale() as f64) as u64);
        }
    }

    pub(super) fn refreshed(&self, what: Refreshed, took: Duration, bad: usize) {
        if let Some(cms) = &self.cms {
            cms.took[what as usize].observe(nanos(took));
            cms.bad[what as usize].set(bad as f64);
            cms.available.set(1.0);
        }
    }

    pub(super) fn refresh_failed(&self, what: Refreshed) {
        if let Some(cms) = &self.cms {
            cms.failed[what as usize].inc();
            cms.available.set(0.0);
        }
    }
}

/// A share of a prompt in ticks of a percentage.
fn percent(tokens: u64, of: u64) -> u64 {
    let share = tokens.min(of) as f64 / of.max(1) as f64;
    (share * 100.0 * Unit::Percent.scale() as f64) as u64
}

impl CmsSeries {
    fn new(registry: &Registry) -> Self {
        let (failed, bad) =
            (registry.counter(&catalogue::REFRESH_FAILED_TOTAL), registry.gauge(&catalogue::BAD_RECORDS));
        let errors = registry.histogram(&catalogue::PREDICTION_ERROR);
        Self {
            errors: [PREDICTED[0], PREDICTED[1], PREDICTED[2]].map(|what| errors.with([what])),
            decision: registry.histogram(&catalogue::FULL_MODE_MILLISECONDS).with([]),
            took: [&catalogue::REFRESH_METADATA, &catalogue::REFRESH_STATUS]
                .map(|metric| registry.histogram(metric).with([])),
            failed: [RECORDS[0], RECORDS[1]].map(|record| failed.with([record])),
            bad: [RECORDS[0], RECORDS[1]].map(|record| bad.with([record])),
            available: registry.gauge(&catalogue::CMS_AVAILABLE).with([]),
        }
    }
}
