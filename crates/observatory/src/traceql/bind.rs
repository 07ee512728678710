//! A query bound to the store: the names of its attributes looked up once per block, so that a span is asked by symbol.

use super::ast::Query;
use crate::traces::model::{Attr, Span, Sym};
use crate::traces::{Block, Stored};

/// The store as one query sees it.
pub(super) struct Bound<'a> {
    stored: &'a Stored,
    blocks: Vec<BoundBlock<'a>>,
}

/// A block and the query's names in it.
pub(super) struct BoundBlock<'a> {
    pub(super) block: &'a Block,
    /// The number of its first span.
    first: u64,
    names: Box<[Option<Sym>]>,
}

/// A span with what is needed to read it.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) block: &'a Block,
    pub(super) span: &'a Span,
    names: &'a [Option<Sym>],
}

impl<'a> Bound<'a> {
    pub(super) fn new(stored: &'a Stored, query: &Query) -> Self {
        let blocks = stored.blocks().map(|(first, block)| {
            let names = query.names.iter().map(|name| block.strings().find(name)).collect();
            BoundBlock { block, first, names }
        });
        Self { stored, blocks: blocks.collect() }
    }

    pub(super) fn stored(&self) -> &'a Stored {
        self.stored
    }

    /// Newest last.
    pub(super) fn blocks(&self) -> &[BoundBlock<'a>] {
        &self.blocks
    }

    /// The span of this number.
    pub(super) fn at(&self, number: u64) -> Option<At<'_>> {
        let place = self.blocks.partition_point(|block| block.first <= number).checked_sub(1)?;
        let block = self.blocks.get(place)?;
        block.at(usize::try_from(number - block.first).ok()?)
    }
}

impl BoundBlock<'_> {
    pub(super) fn at(&self, place: usize) -> Option<At<'_>> {
        Some(At { block: self.block, span: self.block.spans().get(place)?, names: &self.names })
    }
}

impl<'a> At<'a> {
    /// The attribute of this name among `attrs`.
    pub(super) fn find(&self, slot: usize, attrs: &'a [Attr]) -> Option<&'a Attr> {
        let name = (*self.names.get(slot)?)?;
        attrs.iter().find(|attr| attr.key == name)
    }
}
