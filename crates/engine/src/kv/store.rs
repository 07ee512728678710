//! A shared store of KV blocks (LMCache, shared storage), as far as a simulation needs one: the set of block hashes.
//!
//! One instance serves it and all use it over loopback, in one process or in several. It is bounded; the blocks put
//! first are forgotten first.

use super::link::Link;
use crate::core::hash::BlockHash;
use parking_lot::Mutex;
use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;
use std::io;

/// The store itself, in the instance that serves it.
#[derive(Debug)]
pub(crate) struct Shelf {
    capacity: usize,
    blocks: Mutex<(HashSet<BlockHash>, VecDeque<BlockHash>)>,
}

impl Shelf {
    /// An empty store for `capacity` blocks.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, blocks: Mutex::default() }
    }

    /// Puts blocks in.
    pub(super) fn put(&self, hashes: impl Iterator<Item = BlockHash>) {
        let (known, order) = &mut *self.blocks.lock();
        for hash in hashes.filter(|hash| known.insert(*hash)).collect::<Vec<_>>() {
            order.push_back(hash);
            if order.len() > self.capacity
                && let Some(oldest) = order.pop_front()
            {
                known.remove(&oldest);
            }
        }
    }

    /// How many of the hashes, counted from the first without a gap, are in.
    pub(super) fn hits(&self, hashes: impl Iterator<Item = BlockHash>) -> usize {
        let blocks = self.blocks.lock();
        hashes.take_while(|hash| blocks.0.contains(hash)).count()
    }
}

/// A user of a store that is served at `address`.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    address: String,
}

impl Store {
    /// Uses the store at `address` (`host:port`).
    pub(crate) const fn new(address: String) -> Self {
        Self { address }
    }

    /// Puts the blocks in.
    ///
    /// # Errors
    /// When the store cannot be reached or does not take them.
    pub(crate) async fn put(&self, hashes: &[BlockHash]) -> io::Result<()> {
        if hashes.is_empty() {
            return Ok(());
        }
        let answer = self.ask("put", hashes).await?;
        if answer == "ok" { Ok(()) } else { Err(io::Error::other(answer)) }
    }

    /// How many of the blocks, from the first, are in.
    ///
    /// # Errors
    /// When the store cannot be reached or answers nonsense.
    pub(crate) async fn hits(&self, hashes: &[BlockHash]) -> io::Result<usize> {
        if hashes.is_empty() {
            return Ok(0);
        }
        let answer = self.ask("get", hashes).await?;
        let hits = answer.strip_prefix("hit ").and_then(|count| count.parse().ok());
        hits.ok_or_else(|| io::Error::other(answer))
    }

    async fn ask(&self, command: &str, hashes: &[BlockHash]) -> io::Result<String> {
        let mut line = String::with_capacity(command.len() + hashes.len() * 17);
        line.push_str(command);
        for BlockHash(hash) in hashes {
            // Writing to a string does not fail.
            let _ = write!(line, " {hash:016x}");
        }
        Ok(Link::connect(&self.address).await?.ask(&line).await?.to_owned())
    }
}

/// Reads the hashes of a `put` or `get`.
pub(super) fn parse_hashes(fields: &str) -> Option<Vec<BlockHash>> {
    let hash = |field| u64::from_str_radix(field, 16).ok().map(BlockHash);
    fields.split(' ').map(hash).collect()
}
