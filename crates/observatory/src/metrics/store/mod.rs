//! The store of samples: in memory, compressed, bounded in time and in bytes, oldest first out.
//!
//! Nothing is refused or dropped silently: [`Stats`] counts every fate, and each cause is logged when it begins.

mod bits;
mod chunk;
mod evict;
mod exemplars;
mod index;
mod series;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{RwLock, RwLockWriteGuard};
use promql_parser::label::Matcher;

pub use chunk::Sample;
pub use exemplars::{Exemplar, ExemplarSeries};

use super::Labels;
use exemplars::Exemplars;
use index::Index;
use series::{Pushed, Series};

/// The value that says "this series ends here": a NaN that no arithmetic makes.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Whether a value is [`STALE`]; no other NaN is.
#[must_use]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

/// How far ahead of this clock a sample may be. A sender whose clock has jumped would otherwise lock its series until the
/// real time catches up.
const AHEAD: Duration = Duration::from_secs(600);
/// Families whose metadata is kept at most.
const MAX_FAMILIES: usize = 20_000;

/// What a store may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long samples are kept.
    pub retention: Duration,
    /// Memory for samples, labels and indexes, in bytes.
    pub max_bytes: usize,
    /// Series at once.
    pub max_series: usize,
}

/// What has become of samples, and what there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Series now.
    pub series: u64,
    /// Bytes held now.
    pub bytes: u64,
    /// Samples held now.
    pub samples: u64,
    /// Samples taken.
    pub stored: u64,
    /// Refused: not later than the last one of their series.
    pub out_of_order: u64,
    /// Refused: older than the retention.
    pub too_old: u64,
    /// Refused: too far ahead of this clock.
    pub too_new: u64,
    /// Refused: their series would be one too many.
    pub over_limit: u64,
    /// Dropped because of their age.
    pub expired: u64,
    /// Dropped to stay within the bytes.
    pub evicted: u64,
}

/// Why a sample was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its time is not after the last one of its series.
    #[error("not later than the last sample of its series")]
    OutOfOrder,
    /// It would be dropped at once.
    #[error("older than the retention")]
    TooOld,
    /// It is ahead of this clock by more than ten minutes.
    #[error("too far ahead of this clock")]
    TooNew,
    /// The store has as many series, or bytes, as it may.
    #[error("too many series")]
    OverLimit,
}

/// What a family is.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Metadata {
    /// Its type, as `# TYPE` says.
    #[serde(rename = "type")]
    pub kind: String,
    /// `# HELP`.
    pub help: String,
    /// `# UNIT`.
    pub unit: String,
}

/// A series of a selection, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// Who it is.
    pub labels: Labels,
    /// Its samples in order, staleness markers among them.
    pub samples: Vec<Sample>,
}

/// The store.
pub struct Store {
    limits: Limits,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    series: Vec<Option<Series>>,
    free: Vec<u32>,
    index: Index,
    exemplars: Exemplars,
    metadata: BTreeMap<Arc<str>, Metadata>,
    stats: Stats,
}

/// Appends many samples under one lock.
pub struct Appender<'a> {
    limits: Limits,
    inner: RwLockWriteGuard<'a, Inner>,
    now: i64,
    refused: Option<Refused>,
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, inner: RwLock::default() }
    }

    /// What the store may hold.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Begins to append; readers wait until the appender is dropped. `now` is the current time in Unix milliseconds.
    pub fn appender(&self, now: i64) -> Appender<'_> {
        Appender { limits: self.limits, inner: self.inner.write(), now, refused: None }
    }

    /// Decodes the samples from `from` to `to` (milliseconds, both included) of every series that matches, until there are
    /// more than `most`; then there is no answer. A series without a sample in the range is left out.
    #[must_use]
    pub fn select(&self, matchers: &[Matcher], from: i64, to: i64, most: usize) -> Option<Vec<Selected>> {
        let inner = self.inner.read();
        let mut selected = Vec::new();
        let mut total = 0;
        for series in inner.matching(matchers) {
            let samples = series.samples(from, to);
            total += samples.len();
            if total > most {
                return None;
            }
            if !samples.is_empty() {
                selected.push(Selected { labels: series.labels().clone(), samples });
            }
        }
        Some(selected)
    }

    /// The label sets of the series that match and have a sample from `from` to `to`, in order.
    #[must_use]
    pub fn series(&self, matchers: &[Matcher], from: i64, to: i64) -> Vec<Labels> {
        let inner = self.inner.read();
        let alive = inner.matching(matchers).filter(|series| series.overlaps(from, to));
        let mut found: Vec<_> = alive.map(|series| series.labels().clone()).collect();
        found.sort_unstable();
        found
    }

    /// Names of labels over all series, in order.
    #[must_use]
    pub fn label_names(&self) -> BTreeSet<Arc<str>> {
        self.inner.read().index.names()
    }

    /// Values of a label over all series, in order.
    #[must_use]
    pub fn label_values(&self, name: &str) -> BTreeSet<Arc<str>> {
        self.inner.read().index.values(name)
    }

    /// Metadata of families, by name.
    #[must_use]
    pub fn metadata(&self) -> BTreeMap<Arc<str>, Metadata> {
        self.inner.read().metadata.clone()
    }

    /// Exemplars of the series that match, from `from` to `to`, series by series.
    #[must_use]
    pub fn exemplars(&self, matchers: &[Matcher], from: i64, to: i64) -> Vec<ExemplarSeries> {
        self.inner.read().exemplars.select(matchers, from, to)
    }

    /// What has become of samples so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let inner = self.inner.read();
        Stats { bytes: inner.bytes() as u64, ..inner.stats }
    }

    /// Drops what is older than the retention at `now`, and the oldest where the bytes are exceeded.
    pub fn maintain(&self, now: i64) {
        let retention = i64::try_from(self.limits.retention.as_millis()).unwrap_or(i64::MAX);
        let mut inner = self.inner.write();
        inner.expire(now.saturating_sub(retention));
        inner.shrink(self.limits.max_bytes);
    }
}

impl Inner {
    fn bytes(&self) -> usize {
        usize::try_from(self.stats.bytes).unwrap_or(usize::MAX) + self.index.bytes() + self.exemplars.bytes()
    }

    fn matching<'a>(&'a self, matchers: &'a [Matcher]) -> impl Iterator<Item = &'a Series> {
        let candidates = self.index.candidates(matchers);
        let all = candidates.is_none().then(|| self.series.iter().flatten()).into_iter().flatten();
        let listed = candidates.unwrap_or_default().into_iter();
        let listed = listed.filter_map(|id| self.series.get(id as usize)?.as_ref());
        listed.chain(all).filter(|series| matches(series.labels(), matchers))
    }

    fn find_or_create(&mut self, pairs: &[(&str, &str)], limits: Limits) -> Result<u32, Refused> {
        let hash = self.index.hash(pairs);
        let is = |id: u32| self.series.get(id as usize).and_then(Option::as_ref).is_some_and(|s| s.labels().is(pairs));
        if let Some(id) = self.index.with_hash(hash).iter().copied().find(|id| is(*id)) {
            return Ok(id);
        }
        let count = usize::try_from(self.stats.series).unwrap_or(usize::MAX);
        if count >= limits.max_series || self.bytes() > limits.max_bytes {
            return Err(Refused::OverLimit);
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.series.push(None);
            u32::try_from(self.series.len() - 1).unwrap_or(u32::MAX)
        });
        let labels = self.index.insert(hash, id, pairs);
        let series = Series::new(labels, hash);
        self.stats.bytes += series.bytes() as u64;
        self.stats.series += 1;
        self.series[id as usize] = Some(series);
        Ok(id)
    }

    fn push(&mut self, id: u32, sample: Sample) -> Result<(), Refused> {
        let Some(series) = self.series.get_mut(id as usize).and_then(Option::as_mut) else {
            return Ok(());
        };
        let before = series.bytes();
        let pushed = series.push(sample)?;
        self.stats.bytes = (self.stats.bytes + series.bytes() as u64).saturating_sub(before as u64);
        if pushed == Pushed::New {
            self.stats.samples += 1;
            self.stats.stored += 1;
        }
        Ok(())
    }
}

impl Appender<'_> {
    /// Appends a sample to the series of these labels, which are sorted by name, each there once and none empty. A sample
    /// that is there already, with the same value, is no fault.
    ///
    /// # Errors
    /// Says why a sample was not taken. It is counted here; the next one may be taken all the same.
    pub fn append(&mut self, labels: &[(&str, &str)], sample: Sample) -> Result<(), Refused> {
        self.append_to(labels, sample).map(drop)
    }

    /// Appends as [`Appender::append`] does, to a series that there may be beyond the limit: for the few that say how the
    /// others fare.
    ///
    /// # Errors
    /// As above.
    pub fn append_always(&mut self, labels: &[(&str, &str)], sample: Sample) -> Result<(), Refused> {
        let limits = self.limits;
        self.limits = Limits { max_series: usize::MAX, max_bytes: usize::MAX, ..limits };
        let appended = self.append(labels, sample);
        self.limits = limits;
        appended
    }

    /// Appends as [`Appender::append`] does, and says which series that was.
    ///
    /// # Errors
    /// As above.
    pub fn append_to(&mut self, labels: &[(&str, &str)], sample: Sample) -> Result<Labels, Refused> {
        let appended = self.try_append(labels, sample);
        if let Err(refused) = appended {
            self.count(refused);
        }
        let series = |id: u32| self.inner.series.get(id as usize)?.as_ref();
        appended.map(|id| series(id).map_or_else(Labels::empty, |series| series.labels().clone()))
    }

    fn try_append(&mut self, labels: &[(&str, &str)], sample: Sample) -> Result<u32, Refused> {
        debug_assert!(labels.windows(2).all(|pair| pair[0].0 < pair[1].0), "labels are sorted: {labels:?}");
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        if sample.at > self.now.saturating_add(millis(AHEAD)) {
            return Err(Refused::TooNew);
        }
        if sample.at < self.now.saturating_sub(millis(self.limits.retention)) {
            return Err(Refused::TooOld);
        }
        let id = self.inner.find_or_create(labels, self.limits)?;
        self.inner.push(id, sample)?;
        Ok(id)
    }

    /// Keeps an exemplar of a series.
    pub fn exemplar(&mut self, labels: &[(&str, &str)], exemplar: Exemplar) {
        let hash = self.inner.index.hash(labels);
        let inner = &mut *self.inner;
        let known = inner.index.with_hash(hash).iter().filter_map(|id| inner.series.get(*id as usize)?.as_ref());
        if let Some(series) = known.into_iter().find(|series| series.labels().is(labels)) {
            inner.exemplars.push(series.labels().clone(), exemplar);
        }
    }

    /// Says what the family `name` is; the last word counts.
    pub fn describe(&mut self, name: &str, metadata: Metadata) {
        let families = &mut self.inner.metadata;
        if let Some(known) = families.get_mut(name) {
            *known = metadata;
        } else if families.len() < MAX_FAMILIES {
            families.insert(Arc::from(name), metadata);
        }
    }

    fn count(&mut self, refused: Refused) {
        let stats = &mut self.inner.stats;
        match refused {
            Refused::OutOfOrder => stats.out_of_order += 1,
            Refused::TooOld => stats.too_old += 1,
            Refused::TooNew => stats.too_new += 1,
            Refused::OverLimit => stats.over_limit += 1,
        }
        self.refused = Some(refused);
    }
}

impl Drop for Appender<'_> {
    /// One line per batch, however many samples of it were refused.
    fn drop(&mut self) {
        if let Some(why) = self.refused {
            let stats = self.inner.stats;
            tracing::warn!(
                %why,
                series = stats.series,
                over_limit = stats.over_limit,
                out_of_order = stats.out_of_order,
                too_old = stats.too_old,
                too_new = stats.too_new,
                "samples refused; the counts are since the start"
            );
        }
    }
}

/// Whether a label set satisfies all matchers.
pub(super) fn matches(labels: &Labels, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|matcher| matcher.is_match(labels.get(&matcher.name)))
}

#[cfg(test)]
mod tests;
