//! Histograms in integer ticks, consistent at every scrape.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::catalogue::Metric;
use crate::clock::{Moment, nanos};
use crate::trace::TraceId;

/// An example of what fell into a bucket: where to look it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exemplar {
    /// The trace of the request.
    pub trace_id: TraceId,
    /// When it was observed.
    pub at: Moment,
}

/// A distribution in classic buckets. Cheap to clone: clones share the observations.
///
/// A tick is a nanosecond for metrics in seconds and milliseconds, and one for any other unit. Sum, count and buckets
/// change under one lock, so that a scrape never sees an observation half.
#[derive(Clone, Debug)]
pub struct Histogram {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Upper bounds in ticks, ascending, without infinity.
    bounds: Arc<[u64]>,
    state: Mutex<State>,
}

/// A bucket's latest exemplar and its value in ticks.
type Slot = Option<(u64, Exemplar)>;

/// What a scrape sees. The last bucket is the one without a bound.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) counts: Box<[u64]>,
    pub(super) sum: u128,
    /// By bucket; allocated with the first exemplar.
    pub(super) exemplars: Option<Box<[Slot]>>,
}

impl Histogram {
    /// An empty histogram with the bounds of `metric`.
    pub(super) fn new(bounds: Arc<[u64]>) -> Self {
        let counts = vec![0; bounds.len() + 1].into();
        let state = Mutex::new(State { counts, ..State::default() });
        Self { shared: Arc::new(Shared { bounds, state }) }
    }

    /// Records one value in ticks.
    pub fn observe(&self, ticks: u64) {
        self.observe_n(ticks, 1);
    }

    /// Records the same value `n` times.
    pub fn observe_n(&self, ticks: u64, n: u64) {
        self.observe_all([(ticks, n)]);
    }

    /// Records `(ticks, times)` pairs under one lock.
    pub fn observe_all(&self, values: impl IntoIterator<Item = (u64, u64)>) {
        let bounds = &self.shared.bounds;
        let mut state = self.shared.state.lock();
        for (ticks, n) in values {
            state.counts[bucket(bounds, ticks)] += n;
            state.sum += u128::from(ticks) * u128::from(n);
        }
    }

    /// Records one value and remembers where it can be looked up, if there is such a place.
    pub fn observe_with(&self, ticks: u64, exemplar: Option<Exemplar>) {
        let bounds = &self.shared.bounds;
        let at = bucket(bounds, ticks);
        let mut state = self.shared.state.lock();
        state.counts[at] += 1;
        state.sum += u128::from(ticks);
        if let Some(exemplar) = exemplar {
            let slots = state.exemplars.get_or_insert_with(|| vec![None; bounds.len() + 1].into());
            slots[at] = Some((ticks, exemplar));
        }
    }

    /// Records a duration; for metrics in seconds or milliseconds.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(nanos(duration));
    }

    /// How many values have been recorded.
    pub fn count(&self) -> u64 {
        self.shared.state.lock().counts.iter().sum()
    }

    /// The sum of all values, in ticks.
    pub fn sum_ticks(&self) -> u128 {
        self.shared.state.lock().sum
    }

    pub(super) fn snapshot(&self) -> State {
        self.shared.state.lock().clone()
    }
}

/// The bucket of a value: the first whose bound is not below it.
fn bucket(bounds: &[u64], ticks: u64) -> usize {
    bounds.partition_point(|&bound| bound < ticks)
}

/// The bounds of a metric in ticks.
pub(super) fn bounds(metric: &Metric) -> Arc<[u64]> {
    let scale = metric.unit.scale() as f64;
    metric.buckets.iter().map(|bound| (bound * scale).round() as u64).collect()
}
