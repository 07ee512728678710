//! How much of a prompt each instance has in its KV cache.
//!
//! A prompt is cut into blocks ([`Prompt`]); an [`Index`] says who is thought to have which block; and an instance's hit
//! ([`Hits`]) is as long as its blocks reach without a gap from the first one on, since an engine can use nothing that comes
//! after a gap.

mod hits;
mod index;
#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use cluster::api::SchedulingRequest;
use cluster::blocks::{MOST_BLOCKS, of_tokens};

pub use hits::Hits;
pub use index::{Holders, Index, IndexConfig};

/// A prompt in blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// A hash for each full block, which covers all before it.
    pub blocks: Vec<u64>,
    /// Units of each block: tokens, or bytes of text.
    block: u64,
    /// Units of the prompt.
    units: u64,
    /// Tokens of the prompt.
    tokens: u64,
}

impl Prompt {
    /// The prompt of a request with so many tokens: its token ids cut into blocks of `chunk`, or else the blocks of its text.
    /// `None` where it has neither, or is shorter than a block. What one model has computed is of no use to another.
    #[must_use]
    pub fn of(asked: &SchedulingRequest, tokens: u64, chunk: usize) -> Option<Self> {
        let ids = &asked.prompt_token_ids;
        let mut prompt = match &asked.prompt_text {
            Some(text) if ids.is_empty() => {
                let blocks = text.hashes.iter().take(MOST_BLOCKS).map(|hash| hash ^ TEXT).collect();
                Self { blocks, block: text.block_bytes, units: text.bytes, tokens }
            }
            _ => Self { blocks: of_tokens(ids, chunk), block: chunk as u64, units: ids.len() as u64, tokens },
        };
        let mut model = DefaultHasher::new();
        asked.model.hash(&mut model);
        let model = model.finish();
        prompt.blocks.iter_mut().for_each(|block| *block ^= model);
        (!prompt.blocks.is_empty()).then_some(prompt)
    }

    /// How many tokens the first so many blocks have.
    #[must_use]
    pub fn tokens_of(&self, blocks: u32) -> u64 {
        let units = u128::from(blocks) * u128::from(self.block);
        let tokens = units * u128::from(self.tokens) / u128::from(self.units.max(1));
        u64::try_from(tokens).unwrap_or(u64::MAX).min(self.tokens)
    }
}

/// Keeps hashes of text apart from hashes of tokens.
const TEXT: u64 = 0x9e37_79b9_7f4a_7c15;
