//! The KV block pool: who holds which block, which blocks may be reused, and which still remember a prefix.
//!
//! As in vLLM, freeing a block does not forget it. A block with a known hash goes to the end of the free list and can be
//! taken back by a later request with the same prefix until somebody else needs its memory; the free list is therefore
//! also the eviction order, least recently used first. A sequence gives its blocks back last one first, so that the tail
//! of a prefix, which fewer requests share, is evicted before its head.
//!
//! Invariants (`check`, used by the property tests): every block is either free or referenced, never both; the free
//! list's length is the number of unreferenced blocks; every entry of the prefix table names a block with that hash.

use super::hash::BlockHash;
use std::collections::HashMap;

/// Index of a block. Block 0 is the null block, as in vLLM: it is never handed out.
pub type BlockId = u32;

/// End of the free list, and "not linked".
const NIL: BlockId = 0;

#[derive(Clone, Copy, Debug, Default)]
struct Block {
    references: u32,
    hash: Option<BlockHash>,
    previous: BlockId,
    next: BlockId,
}

/// All KV blocks of an instance.
#[derive(Debug)]
pub struct BlockPool {
    /// Block 0 doubles as the sentinel of the circular free list.
    blocks: Vec<Block>,
    free: u32,
    cached: HashMap<BlockHash, BlockId>,
    caching: bool,
}

impl BlockPool {
    /// A pool of `blocks` blocks, the null block included (so `blocks - 1` can be used). Without `caching` nothing is
    /// remembered about freed blocks.
    #[must_use]
    pub fn new(blocks: u32, caching: bool) -> Self {
        let mut pool =
            Self { blocks: vec![Block::default(); blocks.max(1) as usize], free: 0, cached: HashMap::new(), caching };
        for id in 1..blocks {
            pool.push_free(id);
        }
        pool
    }

    /// Blocks that can hold KV at all.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.blocks.len() as u32 - 1
    }

    /// Blocks that nobody references (they may still remember a prefix).
    #[must_use]
    pub const fn free(&self) -> u32 {
        self.free
    }

    /// Blocks referenced by at least one sequence.
    #[must_use]
    pub fn used(&self) -> u32 {
        self.capacity() - self.free
    }

    /// How many of `hashes`, counted from block 0 without a gap, are in the pool.
    #[must_use]
    pub fn hits(&self, hashes: &[BlockHash]) -> usize {
        hashes.iter().take_while(|hash| self.cached.contains_key(hash)).count()
    }

    /// Free blocks that would be left if the blocks behind `hashes` were taken from the cache.
    #[must_use]
    pub fn free_after_reuse(&self, hashes: &[BlockHash]) -> u32 {
        let reused = hashes
            .iter()
            .filter_map(|hash| self.cached.get(hash))
            .filter(|id| self.block(**id).references == 0)
            .count();
        self.free - reused as u32
    }

    /// References the cached blocks behind `hashes`, which must all be hits, and appends them to `into`.
    pub fn reuse(&mut self, hashes: &[BlockHash], into: &mut Vec<BlockId>) {
        for hash in hashes {
            let Some(&id) = self.cached.get(hash) else {
                debug_assert!(false, "reuse of a block that is not cached");
                return;
            };
            if self.block(id).references == 0 {
                self.unlink(id);
            }
            self.block_mut(id).references += 1;
            into.push(id);
        }
    }

    /// Takes `count` free blocks, least recently used first, and appends them to `into`. Takes none and returns false
    /// when there are fewer.
    #[must_use]
    pub fn allocate(&mut self, count: u32, into: &mut Vec<BlockId>) -> bool {
        if count > self.free {
            return false;
        }
        for _ in 0..count {
            let id = self.block(NIL).next;
            self.unlink(id);
            self.forget(id);
            self.block_mut(id).references = 1;
            into.push(id);
        }
        true
    }

    /// Says that `id`, which the caller holds, now contains the full block `hash`. The first block with a hash keeps it.
    pub fn remember(&mut self, id: BlockId, hash: BlockHash) {
        if !self.caching || self.block(id).hash.is_some() || self.cached.contains_key(&hash) {
            return;
        }
        self.block_mut(id).hash = Some(hash);
        self.cached.insert(hash, id);
    }

    /// Drops one reference to each block, last one first.
    pub fn release(&mut self, ids: &[BlockId]) {
        for &id in ids.iter().rev() {
            let block = self.block_mut(id);
            debug_assert!(block.references > 0, "block {id} released twice");
            block.references = block.references.saturating_sub(1);
            if block.references == 0 {
                self.push_free(id);
            }
        }
    }

    /// Forgets every remembered prefix (blocks in use stay in use).
    pub fn reset_cache(&mut self) {
        for (_, id) in self.cached.drain() {
            self.blocks[id as usize].hash = None;
        }
    }

    /// Verifies the invariants of the module's documentation.
    ///
    /// # Errors
    /// The first violation, in words.
    pub fn check(&self) -> Result<(), String> {
        let mut listed = 0;
        let mut id = self.block(NIL).next;
        while id != NIL {
            if self.block(id).references != 0 {
                return Err(format!("block {id} is free and referenced"));
            }
            listed += 1;
            if listed > self.capacity() {
                return Err("the free list is a loop".to_owned());
            }
            id = self.block(id).next;
        }
        let idle = self.blocks[1..].iter().filter(|b| b.references == 0).count() as u32;
        if listed != self.free || idle != self.free {
            return Err(format!("free {} but {listed} listed, {idle} idle", self.free));
        }
        match self.cached.iter().find(|(hash, id)| self.block(**id).hash != Some(**hash)) {
            Some((_, id)) => Err(format!("block {id} does not have the hash it is cached under")),
            None => Ok(()),
        }
    }

    fn block(&self, id: BlockId) -> &Block {
        &self.blocks[id as usize]
    }

    fn block_mut(&mut self, id: BlockId) -> &mut Block {
        &mut self.blocks[id as usize]
    }

    fn forget(&mut self, id: BlockId) {
        if let Some(hash) = self.block_mut(id).hash.take() {
            self.cached.remove(&hash);
        }
    }

    fn push_free(&mut self, id: BlockId) {
        let last = self.block(NIL).previous;
        self.block_mut(last).next = id;
        *self.block_mut(id) = Block { previous: last, next: NIL, ..*self.block(id) };
        self.block_mut(NIL).previous = id;
        self.free += 1;
    }

    fn unlink(&mut self, id: BlockId) {
        let Block { previous, next, .. } = *self.block(id);
        self.block_mut(previous).next = next;
        self.block_mut(next).previous = previous;
        self.free -= 1;
    }
}
