//! The blocks, the index from traces to their spans, and what leaves when there is no more room.

use std::collections::{HashMap, VecDeque};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use telemetry::clock::Moment;

use super::block::{BLOCK_SPANS, Block};
use super::limits::Limits;
use super::model::{Span, TraceId};

/// What the store holds, and what it has let go since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Spans held.
    pub spans: usize,
    /// Traces held.
    pub traces: usize,
    /// Bytes held.
    pub bytes: usize,
    /// Spans dropped because they had been held for the retention time.
    pub expired: u64,
    /// Spans dropped, oldest first, because there was no more room.
    pub evicted: u64,
}

/// All spans. Clones of an `Arc` of it are shared by the receivers and the query API.
#[derive(Debug)]
pub struct SpanStore {
    limits: Limits,
    stored: RwLock<Stored>,
}

/// What is stored, as a query sees it.
#[derive(Debug, Default)]
pub struct Stored {
    blocks: VecDeque<Held>,
    /// The number of the first block: how many were dropped before it.
    first: u64,
    traces: HashMap<TraceId, Vec<u64>>,
    sealed_bytes: usize,
    spans: usize,
    expired: u64,
    evicted: u64,
}

/// A block and when its last span arrived.
#[derive(Debug)]
struct Held {
    block: Block,
    latest: Moment,
}

impl SpanStore {
    /// An empty store.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, stored: RwLock::new(Stored::default()) }
    }

    /// Drops what has been held long enough.
    pub fn prune(&self, now: Moment) {
        self.stored.write().prune(&self.limits, now);
    }

    /// Everything, for as long as the guard lives; nothing can be added meanwhile.
    pub fn read(&self) -> RwLockReadGuard<'_, Stored> {
        self.stored.read()
    }

    /// Everything, to be added to.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Stored> {
        self.stored.write()
    }

    /// What it may hold.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How much is held.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.read().stats()
    }

    /// The number of the next span to arrive, and of the oldest one held; for whoever keeps a copy elsewhere.
    #[must_use]
    pub fn range(&self) -> (u64, u64) {
        let stored = self.read();
        (stored.oldest(), stored.next())
    }
}

impl Stored {
    /// The blocks, oldest first, each with the number of its first span.
    pub fn blocks(&self) -> impl DoubleEndedIterator<Item = (u64, &Block)> {
        let first = self.first;
        self.blocks.iter().enumerate().map(move |(place, held)| (number(first, place, 0), &held.block))
    }

    /// The span of this number, and its block.
    #[must_use]
    pub fn span(&self, number: u64) -> Option<(&Block, &Span)> {
        let place = (number / BLOCK_SPANS as u64).checked_sub(self.first)?;
        let block = &self.blocks.get(usize::try_from(place).ok()?)?.block;
        let span = block.spans().get(usize::try_from(number % BLOCK_SPANS as u64).ok()?)?;
        Some((block, span))
    }

    /// The numbers of a trace's spans, in the order of their arrival; none where the trace is unknown.
    #[must_use]
    pub fn trace(&self, id: TraceId) -> &[u64] {
        self.traces.get(&id).map_or(&[], Vec::as_slice)
    }

    /// How much is held.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            spans: self.spans,
            traces: self.traces.len(),
            bytes: self.bytes(),
            expired: self.expired,
            evicted: self.evicted,
        }
    }

    /// The block to write to, with room for at least one span. `true` says that it has just been begun.
    pub(super) fn open(&mut self, now: Moment) -> (&mut Block, bool) {
        let fresh = self.blocks.back().is_none_or(|held| held.block.is_full());
        if fresh {
            self.sealed_bytes += self.blocks.back().map_or(0, |held| held.block.bytes());
            self.blocks.push_back(Held { block: Block::default(), latest: now });
        }
        let last = self.blocks.len() - 1;
        let held = &mut self.blocks[last];
        held.latest = now;
        (&mut held.block, fresh)
    }

    /// Whether the very same span is here already: an exporter that lost our answer sends again.
    pub(super) fn knows(&self, span: &Span) -> bool {
        /// A trace longer than this is not searched, so that a huge one costs no more than others.
        const SEARCHED: usize = 512;
        let held = self.trace(span.trace);
        let from = held.len().saturating_sub(SEARCHED);
        held[from..]
            .iter()
            .filter_map(|&number| self.span(number))
            .any(|(_, known)| known.id == span.id && known.start == span.start && known.kind == span.kind)
    }

    /// Adds a span to the open block, to which its symbols belong.
    pub(super) fn push(&mut self, span: Span) {
        let place = self.blocks.len().saturating_sub(1);
        let first = self.first;
        let Some(held) = self.blocks.back_mut() else { return };
        let number = number(first, place, held.block.spans().len());
        self.traces.entry(span.trace).or_default().push(number);
        held.block.push(span);
        self.spans += 1;
    }

    fn oldest(&self) -> u64 {
        number(self.first, 0, 0)
    }

    fn next(&self) -> u64 {
        match self.blocks.back() {
            Some(held) => number(self.first, self.blocks.len() - 1, held.block.spans().len()),
            None => self.oldest(),
        }
    }

    /// What the blocks take, and the index beside them.
    fn bytes(&self) -> usize {
        /// A trace's key, its list, the list's own room, and the table's slack.
        const PER_TRACE: usize = 96;
        let open = self.blocks.back().map_or(0, |held| held.block.bytes());
        self.sealed_bytes + open + self.traces.len() * PER_TRACE + self.spans * size_of::<u64>()
    }

    pub(super) fn prune(&mut self, limits: &Limits, now: Moment) {
        let retention = u64::try_from(limits.retention.as_nanos()).unwrap_or(u64::MAX);
        let (mut expired, mut evicted) = (0, 0);
        while self.blocks.front().is_some_and(|held| now.nanos_since(held.latest) > retention) {
            expired += self.drop_oldest();
        }
        while self.bytes() > limits.max_bytes && !self.blocks.is_empty() {
            evicted += self.drop_oldest();
        }
        self.expired += expired;
        self.evicted += evicted;
        if evicted > 0 {
            tracing::info!(
                spans = evicted,
                max_bytes = limits.max_bytes,
                "oldest spans dropped to stay within --max-bytes"
            );
        }
    }

    /// Drops the oldest block and returns how many spans went with it.
    fn drop_oldest(&mut self) -> u64 {
        let Some(Held { block, .. }) = self.blocks.pop_front() else { return 0 };
        self.first += 1;
        // The last block of all was never counted as sealed.
        if !self.blocks.is_empty() {
            self.sealed_bytes = self.sealed_bytes.saturating_sub(block.bytes());
        }
        let oldest = self.oldest();
        for span in block.spans() {
            if let Some(numbers) = self.traces.get_mut(&span.trace) {
                numbers.retain(|&number| number >= oldest);
                if numbers.is_empty() {
                    self.traces.remove(&span.trace);
                }
            }
        }
        self.spans -= block.spans().len();
        block.spans().len() as u64
    }
}

/// The number of a span: unique, and greater the later it came.
fn number(first: u64, place: usize, within: usize) -> u64 {
    (first + place as u64) * BLOCK_SPANS as u64 + within as u64
}
