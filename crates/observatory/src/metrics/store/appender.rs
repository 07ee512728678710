//! Taking samples in.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockWriteGuard};

use super::chunk::Sample;
use super::exemplars::Exemplar;
use super::inner::Inner;
use super::journal::Journal;
use super::series::Pushed;
use super::types::{AHEAD, Limits, Metadata, Refused, millis};
use crate::metrics::Labels;

/// Appends many samples under one lock.
pub struct Appender<'a> {
    limits: Limits,
    // Fields are dropped in this order: readers go on before the batch is written.
    inner: RwLockWriteGuard<'a, Inner>,
    batch: Option<Batch<'a>>,
    now: i64,
    refused: Option<Refused>,
}

/// What is to be written to the disk once the appender is dropped. Held from its beginning, so that what is taken first is
/// written first.
struct Batch<'a>(MutexGuard<'a, Journal>);

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.0.commit();
    }
}

impl<'a> Appender<'a> {
    pub(super) fn new(journal: Option<&'a Mutex<Journal>>, inner: &'a RwLock<Inner>, limits: Limits, now: i64) -> Self {
        let batch = journal.map(|journal| {
            let mut journal = journal.lock();
            journal.begin();
            Batch(journal)
        });
        Self { limits, inner: inner.write(), batch, now, refused: None }
    }

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
        if sample.at > self.now.saturating_add(millis(AHEAD)) {
            return Err(Refused::TooNew);
        }
        if sample.at < self.now.saturating_sub(millis(self.limits.retention)) {
            return Err(Refused::TooOld);
        }
        let id = self.inner.find_or_create(labels, self.limits)?;
        if self.inner.push(id, sample)? == Pushed::New
            && let Some(Batch(journal)) = &mut self.batch
            && let Some(series) = self.inner.series.get_mut(id as usize).and_then(Option::as_mut)
        {
            let (labels, named) = series.naming();
            journal.sample(named, labels, sample);
        }
        Ok(id)
    }

    /// Keeps an exemplar of a series.
    pub fn exemplar(&mut self, labels: &[(&str, &str)], exemplar: Exemplar) {
        let inner = &mut *self.inner;
        let hash = inner.index.hash(labels);
        let is =
            |id: &u32| inner.series.get(*id as usize).and_then(Option::as_ref).is_some_and(|s| s.labels().is(labels));
        let Some(id) = inner.index.with_hash(hash).iter().copied().find(is) else { return };
        let Some(series) = inner.series.get_mut(id as usize).and_then(Option::as_mut) else { return };
        let (labels, named) = series.naming();
        if let Some(kept) = inner.exemplars.push(labels.clone(), exemplar)
            && let Some(Batch(journal)) = &mut self.batch
        {
            journal.exemplar(named, labels, kept);
        }
    }

    /// Says what the family `name` is; the last word counts.
    pub fn describe(&mut self, name: &str, metadata: Metadata) {
        let name: Arc<str> = Arc::from(name);
        let changed = self.inner.describe(&name, metadata);
        if let Some(Batch(journal)) = &mut self.batch
            && let Some(metadata) = self.inner.metadata.get(&name)
        {
            journal.describe(&name, metadata, changed.is_some());
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
