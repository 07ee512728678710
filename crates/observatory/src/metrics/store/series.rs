//! One series: its labels, its chunks.

use std::collections::VecDeque;

use super::chunk::{Chunk, Head, Sample};
use super::named::Named;
use super::types::Refused;
use crate::metrics::Labels;

/// What a series costs beside its chunks: itself, its pairs, its entries in the index.
const OVERHEAD: usize = size_of::<Series>() + 96;
/// What one label of a series costs: two pointers to shared text, and a posting.
const PER_LABEL: usize = 40;

/// A series.
pub(super) struct Series {
    labels: Labels,
    hash: u64,
    chunks: VecDeque<Chunk>,
    chunk_bytes: usize,
    head: Option<Head>,
    named: Named,
}

/// Whether a sample was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It was.
    New,
    /// It was there already.
    Known,
}

impl Series {
    pub(super) fn new(labels: Labels, hash: u64) -> Self {
        Self { labels, hash, chunks: VecDeque::new(), chunk_bytes: 0, head: None, named: Named::NOWHERE }
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Its labels, and where they are written down.
    pub(super) fn naming(&mut self) -> (&Labels, &mut Named) {
        (&self.labels, &mut self.named)
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn bytes(&self) -> usize {
        let head = self.head.as_ref().map_or(0, Head::bytes);
        OVERHEAD + PER_LABEL * self.labels.len() + self.chunk_bytes + head
    }

    pub(super) fn push(&mut self, sample: Sample) -> Result<Pushed, Refused> {
        let Some(head) = &mut self.head else {
            self.head = Some(Head::new(sample));
            return Ok(Pushed::New);
        };
        let last = head.last();
        if sample.at <= last.at {
            let same = sample.at == last.at && sample.value.to_bits() == last.value.to_bits();
            return if same { Ok(Pushed::Known) } else { Err(Refused::OutOfOrder) };
        }
        if head.is_full() {
            let chunk = std::mem::replace(head, Head::new(sample)).finish();
            self.chunk_bytes += chunk.bytes();
            self.chunks.push_back(chunk);
        } else {
            head.push(sample);
        }
        Ok(Pushed::New)
    }

    /// Whether there may be a sample from `from` to `to`.
    pub(super) fn overlaps(&self, from: i64, to: i64) -> bool {
        let head = self.head.iter().map(|head| (head.first(), head.last().at));
        let mut spans = self.chunks.iter().map(|chunk| (chunk.first, chunk.last)).chain(head);
        spans.any(|(first, last)| first <= to && last >= from)
    }

    /// The samples from `from` to `to`, both included.
    pub(super) fn samples(&self, from: i64, to: i64) -> Vec<Sample> {
        let start = self.chunks.partition_point(|chunk| chunk.last < from);
        let chunks = || self.chunks.range(start..).take_while(|chunk| chunk.first <= to);
        let head = self.head.as_ref().filter(|head| head.first() <= to && head.last().at >= from);
        let count = chunks().map(Chunk::count).sum::<u32>() + head.map_or(0, Head::count);
        let mut samples = Vec::with_capacity(count as usize);
        let within = |sample: &Sample| (from..=to).contains(&sample.at);
        for chunk in chunks() {
            samples.extend(chunk.samples().filter(within));
        }
        samples.extend(head.into_iter().flat_map(Head::samples).filter(within));
        samples
    }

    /// End and size of every chunk, the growing one with the series itself.
    pub(super) fn ends(&self) -> impl Iterator<Item = (i64, usize)> {
        let own = self.bytes() - self.chunk_bytes;
        let head = self.head.iter().map(move |head| (head.last().at, own));
        self.chunks.iter().map(|chunk| (chunk.last, chunk.bytes())).chain(head)
    }

    /// Drops chunks that ended before `cutoff`; says how many samples that were.
    pub(super) fn drop_before(&mut self, cutoff: i64) -> u64 {
        let mut dropped = 0;
        while self.chunks.front().is_some_and(|chunk| chunk.last < cutoff)
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.chunk_bytes -= chunk.bytes();
            dropped += u64::from(chunk.count());
        }
        if let Some(head) = self.head.take_if(|head| head.last().at < cutoff) {
            dropped += u64::from(head.count());
        }
        dropped
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_none() && self.chunks.is_empty()
    }
}
