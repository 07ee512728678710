//! The store of samples: in memory, compressed, bounded in time and in bytes, oldest first out.
//!
//! Nothing is refused or dropped silently: [`Stats`] counts every fate, and each cause is logged when it begins.

mod appender;
mod bits;
mod chunk;
mod evict;
mod exemplars;
mod index;
mod inner;
mod journal;
mod named;
mod series;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use promql_parser::label::Matcher;

pub use appender::Appender;
pub use chunk::Sample;
pub use exemplars::{Exemplar, ExemplarSeries};
pub use types::{Limits, Metadata, Refused, STALE, Stats, is_stale};

use super::Labels;
use crate::disk::{self, DiskError, Health, Replayed};
use inner::Inner;
use journal::Journal;
use types::millis;

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

#[cfg(test)]
mod tests;
