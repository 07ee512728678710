//! All families of one process (or of one component, where several run in a process).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::family::{Series, Value, key};
use super::{Counter, Family, Format, Gauge, Histogram, encode};
use crate::catalogue::{Kind, Metric, process};

/// A collection of families. Cheap to clone: clones share everything.
#[derive(Clone, Default)]
pub struct Registry {
    families: Arc<Mutex<BTreeMap<&'static str, Slot>>>,
}

/// One metric's storage. A metric is either counted here or read at scrape time, never both.
#[derive(Clone)]
pub(super) enum Slot {
    Counter(Arc<Series<Counter>>),
    Gauge(Arc<Series<Gauge>>),
    Histogram(Arc<Series<Histogram>>),
    Read(Arc<Readings>),
}

/// Values read at scrape time. A reading of `None` leaves the series out: absent, not zero.
pub(super) struct Readings {
    pub(super) metric: &'static Metric,
    pub(super) map: RwLock<BTreeMap<Box<str>, Reading>>,
}

pub(super) type Reading = Box<dyn Fn() -> Option<f64> + Send + Sync>;

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// The family of a counter, the same one every time.
    pub fn counter<const N: usize>(&self, metric: &'static Metric) -> Family<Counter, N> {
        debug_assert_eq!(metric.kind, Kind::Counter, "{}", metric.name);
        Family::new(self.series(metric, Slot::Counter, |slot| match slot {
            Slot::Counter(series) => Some(series),
            _ => None,
        }))
    }

    /// The family of a gauge that is set, the same one every time.
    pub fn gauge<const N: usize>(&self, metric: &'static Metric) -> Family<Gauge, N> {
        debug_assert_eq!(metric.kind, Kind::Gauge, "{}", metric.name);
        Family::new(self.series(metric, Slot::Gauge, |slot| match slot {
            Slot::Gauge(series) => Some(series),
            _ => None,
        }))
    }

    /// The family of a histogram, the same one every time.
    pub fn histogram<const N: usize>(&self, metric: &'static Metric) -> Family<Histogram, N> {
        debug_assert_eq!(metric.kind, Kind::Histogram, "{}", metric.name);
        Family::new(self.series(metric, Slot::Histogram, |slot| match slot {
            Slot::Histogram(series) => Some(series),
            _ => None,
        }))
    }

    /// A gauge or counter that is read when somebody scrapes, so that it is always current. A later reading of the same
    /// label set replaces the earlier one; `None` leaves the series out.
    pub fn read<const N: usize>(
        &self,
        metric: &'static Metric,
        labels: [&str; N],
        reading: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        debug_assert_eq!(metric.labels.len(), N, "{} has other labels", metric.name);
        let slot = self.families.lock().entry(metric.name).or_insert_with(|| Slot::reading(metric)).clone();
        let Slot::Read(readings) = slot else {
            debug_assert!(false, "{} is counted, not read", metric.name);
            return;
        };
        readings.map.write().insert(key(metric, labels).into(), Box::new(reading));
    }

    /// Stops reading a series: its instance is gone.
    pub fn forget<const N: usize>(&self, metric: &'static Metric, labels: [&str; N]) {
        if let Some(Slot::Read(readings)) = self.families.lock().get(metric.name) {
            readings.map.write().remove(key(metric, labels).as_str());
        }
    }

    /// The exposition of everything, in `format`.
    pub fn encode(&self, format: Format) -> Bytes {
        // The readings run outside the lock: one may touch the registry.
        let slots: Vec<_> = self.families.lock().values().cloned().collect();
        encode::encode(&slots, format)
    }

    fn series<T: Value>(
        &self,
        metric: &'static Metric,
        wrap: fn(Arc<Series<T>>) -> Slot,
        unwrap: fn(&Slot) -> Option<&Arc<Series<T>>>,
    ) -> Arc<Series<T>> {
        if let Some(series) = self.families.lock().get(metric.name).and_then(unwrap) {
            return Arc::clone(series);
        }
        // The overflow counter is the one metric that cannot count its own overflow. It has a label set per metric.
        let is_overflow = metric.name == process::OVERFLOW_TOTAL.name;
        let overflow = (!is_overflow).then(|| self.counter(&process::OVERFLOW_TOTAL));
        let series = Arc::new(Series::new(metric, overflow));
        let mut families = self.families.lock();
        let slot = families.entry(metric.name).or_insert_with(|| wrap(Arc::clone(&series)));
        debug_assert!(unwrap(slot).is_some(), "{} is read, not counted", metric.name);
        unwrap(slot).map_or(series, Arc::clone)
    }
}

impl Slot {
    fn reading(metric: &'static Metric) -> Self {
        Self::Read(Arc::new(Readings { metric, map: RwLock::default() }))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.families.lock().keys()).finish()
    }
}
