//! What a store holds, behind its lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use promql_parser::label::Matcher;

use super::chunk::Sample;
use super::exemplars::Exemplars;
use super::index::Index;
use super::series::{Pushed, Series};
use super::types::{Limits, Metadata, Refused, Stats, matches};

/// Families whose metadata is kept at most.
const MAX_FAMILIES: usize = 20_000;

#[derive(Default)]
pub(super) struct Inner {
    pub(super) series: Vec<Option<Series>>,
    pub(super) free: Vec<u32>,
    pub(super) index: Index,
    pub(super) exemplars: Exemplars,
    pub(super) metadata: BTreeMap<Arc<str>, Metadata>,
    pub(super) stats: Stats,
    /// What is before was dropped, and is not wanted back.
    pub(super) cutoff: i64,
}

impl Inner {
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.stats.bytes).unwrap_or(usize::MAX) + self.index.bytes() + self.exemplars.bytes()
    }

    pub(super) fn matching<'a>(&'a self, matchers: &'a [Matcher]) -> impl Iterator<Item = &'a Series> {
        let candidates = self.index.candidates(matchers);
        let all = candidates.is_none().then(|| self.series.iter().flatten()).into_iter().flatten();
        let listed = candidates.unwrap_or_default().into_iter();
        let listed = listed.filter_map(|id| self.series.get(id as usize)?.as_ref());
        listed.chain(all).filter(|series| matches(series.labels(), matchers))
    }

    pub(super) fn find_or_create(&mut self, pairs: &[(&str, &str)], limits: Limits) -> Result<u32, Refused> {
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

    pub(super) fn push(&mut self, id: u32, sample: Sample) -> Result<Pushed, Refused> {
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
    pub(super) fn describe(&mut self, name: &Arc<str>, metadata: Metadata) -> Option<()> {
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
