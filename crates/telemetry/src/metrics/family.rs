//! A metric and its label sets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::RwLock;

use super::{Counter, Gauge, Histogram, MAX_LABEL_SETS, OVERFLOW, histogram};
use crate::catalogue::Metric;
use crate::exposition::escape_label;

/// All series of one metric with `N` labels. Cheap to clone. Resolve a handle with [`Family::with`] once, then use the
/// handle: resolution takes a lock and allocates, a handle does neither.
#[derive(Debug)]
pub struct Family<T, const N: usize> {
    series: Arc<Series<T>>,
}

impl<T, const N: usize> Clone for Family<T, N> {
    fn clone(&self) -> Self {
        Self { series: Arc::clone(&self.series) }
    }
}

/// What a family can consist of.
pub(super) trait Value: Clone {
    fn new(bounds: &Arc<[u64]>) -> Self;
}

impl Value for Counter {
    fn new(_: &Arc<[u64]>) -> Self {
        Self::default()
    }
}

impl Value for Gauge {
    fn new(_: &Arc<[u64]>) -> Self {
        Self::default()
    }
}

impl Value for Histogram {
    fn new(bounds: &Arc<[u64]>) -> Self {
        Self::new(Arc::clone(bounds))
    }
}

/// The series of a metric, by their label text as it is exposed (`model="m",status_code="200"`): the key is the very
/// text a scrape writes, and its escaping makes it unique.
#[derive(Debug)]
pub(super) struct Series<T> {
    pub(super) metric: &'static Metric,
    pub(super) bounds: Arc<[u64]>,
    pub(super) map: RwLock<BTreeMap<Box<str>, T>>,
    /// `telemetry_overflow_total`, to be resolved for this metric; `None` in that metric itself.
    overflow: Option<Family<Counter, 1>>,
}

impl<T: Value> Series<T> {
    pub(super) fn new(metric: &'static Metric, overflow: Option<Family<Counter, 1>>) -> Self {
        Self { metric, bounds: histogram::bounds(metric), map: RwLock::default(), overflow }
    }

    fn resolve(&self, key: String) -> T {
        if let Some(found) = self.map.read().get(key.as_str()) {
            return found.clone();
        }
        let mut map = self.map.write();
        let full = map.len() >= MAX_LABEL_SETS && !map.contains_key(key.as_str());
        let key = if full { self.overflow_key() } else { key };
        let value = map.entry(key.into()).or_insert_with(|| T::new(&self.bounds)).clone();
        drop(map);
        if let Some(overflow) = self.overflow.as_ref().filter(|_| full) {
            overflow.with([self.metric.name]).inc();
        }
        value
    }

    fn overflow_key(&self) -> String {
        key(self.metric, self.metric.labels.iter().map(|_| OVERFLOW))
    }
}

#[expect(private_bounds, reason = "only our three kinds can be in a family")]
impl<T: Value, const N: usize> Family<T, N> {
    pub(super) fn new(series: Arc<Series<T>>) -> Self {
        debug_assert_eq!(series.metric.labels.len(), N, "{} has other labels", series.metric.name);
        Self { series }
    }

    /// The handle of one label set, in the order of the catalogue; created at zero where it is new.
    pub fn with(&self, labels: [&str; N]) -> T {
        self.series.resolve(key(self.series.metric, labels))
    }

    /// Removes a series: its instance is gone. Handles still held go on counting unseen.
    pub fn remove(&self, labels: [&str; N]) -> bool {
        self.series.map.write().remove(key(self.series.metric, labels).as_str()).is_some()
    }

    /// Removes every series whose label `name` is `value`; says how many.
    pub fn remove_where(&self, name: &str, value: &str) -> usize {
        let mut pair = String::new();
        push_pair(&mut pair, name, value);
        let mut map = self.series.map.write();
        let before = map.len();
        map.retain(|key, _| !has_pair(key, &pair));
        before - map.len()
    }
}

/// The exposed text of a label set.
pub(super) fn key<'a>(metric: &Metric, values: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::with_capacity(metric.labels.len() * 24);
    for (label, value) in metric.labels.iter().zip(values) {
        push_pair(&mut text, label.name, value);
    }
    text
}

fn push_pair(text: &mut String, name: &str, value: &str) {
    if !text.is_empty() {
        text.push(',');
    }
    let _ = write!(text, "{name}=\"{}\"", escape_label(value));
}

/// Whether `pair` stands in `key` as a whole. It cannot match inside a value: there its quotes would be escaped.
fn has_pair(key: &str, pair: &str) -> bool {
    key.match_indices(pair).any(|(at, _)| {
        let end = at + pair.len();
        (at == 0 || key.as_bytes()[at - 1] == b',') && (end == key.len() || key.as_bytes()[end] == b',')
    })
}
