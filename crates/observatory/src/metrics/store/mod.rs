//! The store of samples: in memory, compressed, bounded in time and in bytes, oldest first out.
//!
//! Nothing is refused or dropped silently: [`Stats`] counts every fate, and each cause is logged when it begins.

mod appender;
mod bits;
mod chunk;
mod evict;
mod exemplars;
mod index;
mod journal;
mod series;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use promql_parser::label::Matcher;

pub use appender::Appender;
pub use chunk::Sample;
pub use exemplars::{Exemplar, ExemplarSeries};

use super::Labels;
use crate::disk::{self, DiskError, Health, Replayed};
use exemplars::Exemplars;
use index::Index;
use journal::Journal;
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
    /// What is kept on the disk. Whoever holds both locks took this one first.
    journal: Option<Mutex<Journal>>,
}

#[derive(Default)]
struct Inner {
    series: Vec<Option<Series>>,
    free: Vec<u32>,
    index: Index,
    exemplars: Exemplars,
    metadata: BTreeMap<Arc<str>, Metadata>,
    stats: Stats,
    /// What is before was dropped, and is not wanted back.
    cutoff: i64,
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, inner: RwLock::default(), journal: None }
    }

    /// A store that keeps what it takes in a folder as well, filled with what is there already. `now` is the current time
    /// in Unix milliseconds.
    pub(crate) fn kept(limits: Limits, folder: &Path, now: i64) -> Result<(Self, Replayed), DiskError> {
        let mut inner = Inner::default();
        let (journal, replayed) = Journal::open(folder, &mut inner, limits, now)?;
        // What has been taken is counted from here on.
        inner.stats = Stats {
            series: inner.stats.series,
            bytes: inner.stats.bytes,
            samples: inner.stats.samples,
            ..Stats::default()
        };
        let store = Self { limits, inner: RwLock::new(inner), journal: Some(Mutex::new(journal)) };
        store.maintain(now);
        Ok((store, replayed))
    }

    /// How what is on the disk fares, where anything is.
    pub(crate) fn health(&self) -> Option<Arc<Health>> {
        self.journal.as_ref().map(|journal| Arc::clone(journal.lock().health()))
    }

    /// Waits until what was taken so far is on the disk, so that a power cut leaves it there.
    pub(crate) fn sync(&self) {
        let file = self.journal.as_ref().and_then(|journal| journal.lock().current());
        disk::sync(file, "samples");
    }

    /// What the store may hold.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Begins to append; readers wait until the appender is dropped. `now` is the current time in Unix milliseconds.
    pub fn appender(&self, now: i64) -> Appender<'_> {
        Appender::new(self.journal.as_ref(), &self.inner, self.limits, now)
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
        let mut inner = self.inner.write();
        inner.expire(now.saturating_sub(millis(self.limits.retention)));
        inner.shrink(self.limits.max_bytes);
        let cutoff = inner.cutoff;
        drop(inner);
        if let Some(journal) = &self.journal {
            journal.lock().forget(cutoff);
        }
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

    fn push(&mut self, id: u32, sample: Sample) -> Result<Pushed, Refused> {
        let Some(series) = self.series.get_mut(id as usize).and_then(Option::as_mut) else {
            return Ok(Pushed::Known);
        };
        let before = series.bytes();
        let pushed = series.push(sample)?;
        self.stats.bytes = (self.stats.bytes + series.bytes() as u64).saturating_sub(before as u64);
        if pushed == Pushed::New {
            self.stats.samples += 1;
            self.stats.stored += 1;
        }
        Ok(pushed)
    }

    /// Says what the family `name` is; the last word counts. `None` where that was known, or there are too many.
    fn describe(&mut self, name: &Arc<str>, metadata: Metadata) -> Option<()> {
        let full = self.metadata.len() >= MAX_FAMILIES;
        match self.metadata.get_mut(name) {
            Some(known) if *known == metadata => None,
            Some(known) => {
                *known = metadata;
                Some(())
            }
            None if full => None,
            None => {
                self.metadata.insert(Arc::clone(name), metadata);
                Some(())
            }
        }
    }
}

/// A duration in milliseconds.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Whether a label set satisfies all matchers.
pub(super) fn matches(labels: &Labels, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|matcher| matcher.is_match(labels.get(&matcher.name)))
}

#[cfg(test)]
mod tests;
