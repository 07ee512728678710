//! Prompts cut into blocks, by which equal beginnings are found.
//!
//! A block's hash covers everything before it as well: two prompts whose n-th hashes are equal begin with the same n blocks.
//! Only full blocks are hashed. Tokens are cut where somebody knows them, since engines cache by token; else the text is,
//! which is as good for finding a beginning again, and says little about how many tokens it has.
//!
//! The hash is XXH3, 64 bits, the hash before being its seed. It is fast and keeps out nobody who looks for a collision: what
//! could be won is to be sent to another instance.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of a block of text: some 64 tokens of English prose.
pub const TEXT_BLOCK: usize = 256;

/// More blocks of a prompt than these are not hashed.
pub const MOST_BLOCKS: usize = 4096;

/// The full blocks of a prompt's text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextBlocks {
    /// Bytes of each.
    pub block_bytes: u64,
    /// Bytes of the text, those after the last block included.
    pub bytes: u64,
    /// Their hashes, each covering all before it.
    pub hashes: Vec<u64>,
}

impl TextBlocks {
    /// Cuts a text. `context` is what stands before it in the engine, in whatever form: prompts with another one have nothing
    /// in common. `None` where there is no full block.
    #[must_use]
    pub fn of<'a>(context: impl IntoIterator<Item = &'a [u8]>, text: &[u8]) -> Option<Self> {
        if text.len() < TEXT_BLOCK {
            return None;
        }
        let seed = context.into_iter().fold(0, |seed, part| xxh3_64_with_seed(part, seed));
        let hashes = chain(seed, text.chunks_exact(TEXT_BLOCK));
        Some(Self { block_bytes: TEXT_BLOCK as u64, bytes: text.len() as u64, hashes })
    }
}

/// Hashes of the full blocks of a prompt's tokens, `block` of them in each; none where `block` is 0.
#[must_use]
pub fn of_tokens(tokens: &[u32], block: usize) -> Vec<u64> {
    if block == 0 {
        return Vec::new();
    }
    let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
    chain(0, bytes.chunks_exact(block.saturating_mul(size_of::<u32>())))
}

fn chain<'a>(seed: u64, blocks: impl Iterator<Item = &'a [u8]>) -> Vec<u64> {
    let hash = |before: &mut u64, block: &[u8]| {
        *before = xxh3_64_with_seed(block, *before);
        Some(*before)
    };
    blocks.take(MOST_BLOCKS).scan(seed, hash).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn text(text: &[u8]) -> Vec<u64> {
        TextBlocks::of([], text).map_or_else(Vec::new, |blocks| blocks.hashes)
    }

    #[test]
    fn only_full_blocks_count() {
        assert_eq!(TextBlocks::of([], &[7; TEXT_BLOCK - 1]), None);
        let blocks = TextBlocks::of([], &[7; 2 * TEXT_BLOCK + 9]).unwrap();
        assert_eq!((blocks.block_bytes, blocks.bytes, blocks.hashes.len()), (256, 521, 2));
        assert_ne!(blocks.hashes[0], blocks.hashes[1], "the same bytes after others are another block");
        assert_eq!(of_tokens(&[1; 9], 4).len(), 2);
        assert!(of_tokens(&[1; 9], 0).is_empty());
        assert_eq!(text(&vec![0; TEXT_BLOCK * (MOST_BLOCKS + 1)]).len(), MOST_BLOCKS);
    }

    #[test]
    fn hashes_are_those_of_every_other_version() {
        // A gateway and a scheduler of different versions, or two gateways, must agree.
        assert_eq!(of_tokens(&[1, 2, 3, 4], 2), of_tokens(&[1, 2, 3, 4, 5], 2));
        assert_eq!(of_tokens(&[1, 2], 2)[0], xxh3_64_with_seed(&[1, 0, 0, 0, 2, 0, 0, 0], 0));
    }

    #[test]
    fn what_stands_before_the_prompt_is_part_of_it() {
        let with = |tools: &'static [u8]| TextBlocks::of([tools], &[7; TEXT_BLOCK]).unwrap().hashes;
        assert_eq!(with(b"tools"), with(b"tools"));
        assert_ne!(with(b"tools"), with(b"other tools"));
    }

    proptest! {
        /// As many hashes are equal as whole blocks are.
        #[test]
        fn equal_hashes_are_equal_beginnings(
            a in vec(0..3_u32, 0..40), b in vec(0..3_u32, 0..40), shared in 0..40_usize, block in 1..6_usize,
        ) {
            let b: Vec<u32> = a.iter().take(shared).chain(&b).copied().collect();
            let alike = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
            let (of_a, of_b) = (of_tokens(&a, block), of_tokens(&b, block));
            let equal = of_a.iter().zip(&of_b).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(equal, alike / block);
            prop_assert!(of_a.iter().skip(equal).all(|hash| !of_b.contains(hash)), "none is found again behind a gap");
        }
    }
}
