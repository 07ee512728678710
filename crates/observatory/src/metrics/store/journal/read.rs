//! From the files back into the store.

use std::sync::Arc;

use super::codec::{Entries, Entry};
use super::mark::mark;
use crate::metrics::Labels;
use crate::metrics::store::chunk::Sample;
use crate::metrics::store::exemplars::Exemplar;
use crate::metrics::store::inner::Inner;
use crate::metrics::store::types::{AHEAD, Limits, millis};

/// A series of a file, by its number there.
#[derive(Clone, Debug)]
enum Known {
    /// Not in the store: a series of which every sample is too old need not come back.
    Named(Labels),
    /// In the store.
    Stored(u32, Labels),
    /// Not there, and not to be: there are too many.
    Refused,
}

/// Fills a store.
pub(super) struct Reader<'a> {
    inner: &'a mut Inner,
    limits: Limits,
    /// The times between which a sample is taken.
    times: (i64, i64),
    file: u64,
    known: Vec<Option<Known>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(inner: &'a mut Inner, limits: Limits, now: i64) -> Self {
        let times = (now.saturating_sub(millis(limits.retention)), now.saturating_add(millis(AHEAD)));
        Self { inner, limits, times, file: u64::MAX, known: Vec::new() }
    }

    /// Takes a record of a file, and says of when its latest sample is; `None` where it makes no sense to its end.
    pub(super) fn record(&mut self, file: u64, record: &[u8]) -> Option<u64> {
        if file != self.file {
            // A file names its own series. What is before it stays within the limits.
            self.file = file;
            self.known.clear();
            self.inner.shrink(self.limits.max_bytes);
        }
        let mut latest = i64::MIN;
        let mut entries = Entries::of(record);
        while !entries.is_done() {
            match entries.entry()? {
                Entry::Sample { id, sample } => {
                    latest = latest.max(sample.at);
                    self.sample(id, sample);
                }
                Entry::Series { id, labels } => self.named(id, labels),
                Entry::Family { name, metadata } => drop(self.inner.describe(&Arc::from(name), metadata)),
                Entry::Exemplar { id, exemplar } => {
                    latest = latest.max(exemplar.at);
                    self.exemplar(id, exemplar);
                }
            }
        }
        Some(mark(latest))
    }

    fn named(&mut self, id: u32, labels: Labels) {
        /// More series than any store may hold at once would be damage that looks sound.
        const MOST: usize = 1 << 24;
        let place = id as usize;
        if place < MOST {
            self.known.resize(self.known.len().max(place + 1), None);
            self.known[place] = Some(Known::Named(labels));
        }
    }

    fn sample(&mut self, id: u32, sample: Sample) {
        if !(self.times.0..=self.times.1).contains(&sample.at) {
            return;
        }
        // A sample of a series whose name was lost is lost with it.
        let Some(Some(known)) = self.known.get_mut(id as usize) else { return };
        if let Known::Named(labels) = known {
            let pairs: Vec<(&str, &str)> = labels.iter().collect();
            *known = match self.inner.find_or_create(&pairs, self.limits) {
                Ok(stored) => Known::Stored(stored, labels.clone()),
                Err(_) => Known::Refused,
            };
        }
        if let Known::Stored(stored, _) = known {
            // Refused is what is there already.
            let _ = self.inner.push(*stored, sample);
        }
    }

    fn exemplar(&mut self, id: u32, exemplar: Exemplar) {
        if let Some(Some(Known::Stored(_, labels))) = self.known.get(id as usize)
            && exemplar.at >= self.times.0
        {
            self.inner.exemplars.push(labels.clone(), exemplar);
        }
    }
}
