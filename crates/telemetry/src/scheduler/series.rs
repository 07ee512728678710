//! The series of instances: what each is like, as the latest scrape saw it.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalogue::Metric;
use crate::catalogue::scheduler as catalogue;
use crate::metrics::{Gauge, Registry};

/// What an instance is like at the moment of a scrape.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// Its id.
    pub instance: &'a str,
    /// What it is used for, as [`super::INFER_TYPES`] has it.
    pub infer_type: &'static str,
    /// The model it serves.
    pub model: &'a str,
    /// Its own word, and what is in flight to it: full mode.
    pub cms: Option<Cms>,
    /// What gateways say of it: lite mode.
    pub lrs: Option<Lrs>,
}

/// The numbers of the CMS. Names are those of the gauges.
#[expect(missing_docs, reason = "each is its gauge, which the catalogue describes")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Cms {
    pub used_gpu_tokens: i64,
    pub waiting_requests: i64,
    pub loading_requests: i64,
    pub running_requests: i64,
    pub scheduler_waiting_to_decode_requests: i64,
    pub scheduler_running_to_decode_requests: i64,
    pub hybrid_scheduler_waiting_to_decode_requests: i64,
    pub uncomputed_tokens_all_waiting_prefills: i64,
    pub uncomputed_tokens_scheduler_running_prefills: i64,
    pub unallocated_tokens_scheduler_running_prefills: i64,
    pub unallocated_tokens_hybrid_scheduler_waiting_decodes: i64,
    pub hybrid_scheduler_waiting_to_decode_tokens: i64,
    pub scheduler_waiting_to_decode_tokens: i64,
    pub scheduler_running_to_decode_tokens: i64,
    pub tokens_loading_requests: i64,
    pub inflight_dispatch_requests: i64,
    pub inflight_dispatch_prefill_requests: i64,
    pub inflight_dispatch_decode_requests: i64,
    pub uncomputed_tokens_inflight_dispatch_prefill_requests: i64,
    pub tokens_inflight_dispatch_decode_requests: i64,
    pub kv_cache_usage_ratio_projected: Option<f64>,
    pub decode_batch_size: i64,
    pub all_prefills_tokens_num: i64,
    pub all_decodes_tokens_num: i64,
    pub schedulable: bool,
    pub status_age_seconds: f64,
    pub kv_tokens_total: i64,
}

/// The numbers of the LRS.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lrs {
    /// Requests whose prefill is done.
    pub running_requests: i64,
    /// Requests whose prefill is not done.
    pub waiting_requests: i64,
    /// Tokens of the running ones.
    pub running_tokens: i64,
    /// Tokens of the waiting ones.
    pub waiting_tokens: i64,
}

/// How unevenly instances of one type are loaded.
#[derive(Clone, Copy, Debug)]
pub struct Imbalance {
    /// The type, as [`super::INFER_TYPES`] has it.
    pub infer_type: &'static str,
    /// By which metric.
    pub metric: &'static str,
    /// The highest over the mean.
    pub ratio: f64,
}

/// Gauges beside the 24 of the seed.
const BESIDE: usize = 3;

impl Cms {
    /// In the order of [`catalogue::CMS`], and then what is beside them.
    fn values(&self) -> [Option<f64>; catalogue::CMS.len() + BESIDE] {
        let counts = [
            self.used_gpu_tokens,
            self.waiting_requests,
            self.loading_requests,
            self.running_requests,
            self.scheduler_waiting_to_decode_requests,
            self.scheduler_running_to_decode_requests,
            self.hybrid_scheduler_waiting_to_decode_requests,
            self.uncomputed_tokens_all_waiting_prefills,
            self.uncomputed_tokens_scheduler_running_prefills,
            self.unallocated_tokens_scheduler_running_prefills,
            self.unallocated_tokens_hybrid_scheduler_waiting_decodes,
            self.hybrid_scheduler_waiting_to_decode_tokens,
            self.scheduler_waiting_to_decode_tokens,
            self.scheduler_running_to_decode_tokens,
            self.tokens_loading_requests,
            self.inflight_dispatch_requests,
            self.inflight_dispatch_prefill_requests,
            self.inflight_dispatch_decode_requests,
            self.uncomputed_tokens_inflight_dispatch_prefill_requests,
            self.tokens_inflight_dispatch_decode_requests,
            0,
            self.decode_batch_size,
            self.all_prefills_tokens_num,
            self.all_decodes_tokens_num,
            i64::from(self.schedulable),
            0,
            self.kv_tokens_total,
        ];
        let mut values = counts.map(|count| Some(count as f64));
        values[20] = self.kv_cache_usage_ratio_projected;
        values[25] = Some(self.status_age_seconds);
        values
    }

    fn metrics() -> impl Iterator<Item = &'static Metric> {
        catalogue::CMS.iter().chain([&catalogue::SCHEDULABLE, &catalogue::STATUS_AGE, &catalogue::KV_TOTAL])
    }
}

impl Lrs {
    /// In the order of [`catalogue::LRS`]. The totals are made of the parts, so that they can only add up.
    fn values(&self) -> [Option<f64>; catalogue::LRS.len()] {
        let (requests, tokens) =
            (self.running_requests + self.waiting_requests, self.running_tokens + self.waiting_tokens);
        [self.running_requests, self.waiting_requests, requests, self.running_tokens, self.waiting_tokens, tokens]
            .map(|count| Some(count as f64))
    }
}

/// Whose series there are.
#[derive(Debug, Default)]
pub(super) struct Shown {
    instances: BTreeMap<Key, Vec<Option<Gauge>>>,
    imbalances: BTreeSet<(&'static str, &'static str)>,
}

/// The labels of an instance's series, and whether they are the CMS's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    instance: Box<str>,
    infer_type: &'static str,
    model: Box<str>,
    is_cms: bool,
}

impl Shown {
    /// Sets every series, makes those of new instances, and removes those of instances that are gone.
    pub(super) fn show(&mut self, registry: &Registry, readings: &[Reading<'_>], imbalances: &[Imbalance]) {
        let mut gone = std::mem::take(&mut self.instances);
        for reading in readings {
            let of_cms = reading.cms.map(|cms| (Key::of(reading, true), cms.values().to_vec()));
            let of_lrs = reading.lrs.map(|lrs| (Key::of(reading, false), lrs.values().to_vec()));
            for (key, values) in of_cms.into_iter().chain(of_lrs) {
                let mut gauges = gone.remove(&key).unwrap_or_else(|| vec![None; values.len()]);
                for ((metric, gauge), value) in key.metrics().zip(&mut gauges).zip(values) {
                    key.set(registry, metric, gauge, value);
                }
                self.instances.insert(key, gauges);
            }
        }
        for (key, gauges) in &gone {
            for (metric, _) in key.metrics().zip(gauges).filter(|(_, gauge)| gauge.is_some()) {
                registry.gauge(metric).remove(key.labels());
            }
            // Its count goes with the instance, not with a model that it serves under another name now.
            if !self.instances.keys().any(|stays| stays.is_of(key)) {
                registry.counter::<2>(&catalogue::DISPATCH_TOTAL).remove([&key.instance, key.infer_type]);
            }
        }
        self.show_imbalances(registry, imbalances);
    }

    fn show_imbalances(&mut self, registry: &Registry, imbalances: &[Imbalance]) {
        let family = registry.gauge(&catalogue::IMBALANCE);
        let before = std::mem::take(&mut self.imbalances);
        for imbalance in imbalances {
            let labels = (imbalance.infer_type, imbalance.metric);
            family.with([labels.0, labels.1]).set(imbalance.ratio);
            self.imbalances.insert(labels);
        }
        for gone in before.difference(&self.imbalances) {
            family.remove([gone.0, gone.1]);
        }
    }
}

impl Key {
    fn of(reading: &Reading<'_>, is_cms: bool) -> Self {
        let Reading { instance, infer_type, model, .. } = *reading;
        Self { instance: instance.into(), infer_type, model: model.into(), is_cms }
    }

    fn is_of(&self, other: &Self) -> bool {
        (&self.instance, self.infer_type) == (&other.instance, other.infer_type)
    }

    fn metrics(&self) -> Box<dyn Iterator<Item = &'static Metric>> {
        if self.is_cms { Box::new(Cms::metrics()) } else { Box::new(catalogue::LRS.iter()) }
    }

    /// In the order of the catalogue, which is not the same for both.
    fn labels(&self) -> [&str; 3] {
        if self.is_cms {
            [&self.instance, self.infer_type, &self.model]
        } else {
            [&self.model, &self.instance, self.infer_type]
        }
    }

    /// What is not known is absent, not zero.
    fn set(&self, registry: &Registry, metric: &'static Metric, gauge: &mut Option<Gauge>, value: Option<f64>) {
        match value {
            Some(value) => gauge.get_or_insert_with(|| registry.gauge(metric).with(self.labels())).set(value),
            None if gauge.take().is_some() => {
                registry.gauge(metric).remove(self.labels());
            }
            None => {}
        }
    }
}
