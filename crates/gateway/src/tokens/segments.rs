//! Cutting text piece by piece, and remembering the pieces.
//!
//! A special token ends whatever came before it: no token reaches across it. So a rendered chat is cut into segments that end
//! with one, and each is encoded, and remembered, by itself. The prompts of a conversation begin alike; of the next one only
//! the last segments are new. Whether a tokenizer really works so is tried when it is loaded; text that it does not hold for
//! is one segment.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use parking_lot::Mutex;
use tokenizers::Tokenizer;

use super::CutError;

/// Tokens that one generation of the memory holds: 4 bytes each.
const REMEMBERED: usize = 4 << 20;

/// What a piece costs beside its tokens, in tokens.
const OVERHEAD: usize = 32;

/// A tokenizer that remembers.
#[derive(Debug)]
pub(super) struct Segments {
    tokenizer: Tokenizer,
    /// Finds the special tokens, where text may be cut behind them.
    ends: Option<AhoCorasick>,
    memory: Mutex<Memory>,
    /// Two hashes with keys of their own make one that no client can foresee.
    hashes: [RandomState; 2],
}

impl Segments {
    /// Takes a tokenizer into use.
    ///
    /// # Errors
    /// Where its special tokens cannot be searched for.
    pub(super) fn new(mut tokenizer: Tokenizer) -> Result<Self, String> {
        // Settings of training and batches: here a prompt is cut as it is.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
        let ends = ends(&tokenizer).map_err(|error| error.to_string())?;
        Ok(Self { tokenizer, ends, memory: Mutex::default(), hashes: Default::default() })
    }

    /// The ids of a rendered chat, which has its special tokens already.
    pub(super) fn cut(&self, text: &str) -> Result<Vec<u32>, CutError> {
        let mut ids = Vec::with_capacity(text.len() / 4);
        for range in self.segments(text) {
            ids.extend_from_slice(&self.piece(&text[range], false)?);
        }
        Ok(ids)
    }

    /// The ids of a plain text, with the special tokens around it that the tokenizer adds, if they are wanted.
    pub(super) fn whole(&self, text: &str, special: bool) -> Result<Vec<u32>, CutError> {
        self.piece(text, special).map(|ids| ids.to_vec())
    }

    /// Where the segments lie.
    fn segments(&self, text: &str) -> Vec<Range<usize>> {
        let (mut segments, mut start) = (Vec::new(), 0);
        for found in self.ends.iter().flat_map(|ends| ends.find_iter(text)) {
            segments.push(start..found.end());
            start = found.end();
        }
        if start < text.len() {
            segments.push(start..text.len());
        }
        segments
    }

    fn piece(&self, text: &str, special: bool) -> Result<Arc<[u32]>, CutError> {
        let key = self.hashes.each_ref().map(|hash| hash.hash_one((text, special)));
        if let Some(ids) = self.memory.lock().recall(&key) {
            return Ok(ids);
        }
        let encoded = self.tokenizer.encode_fast(text, special);
        let ids: Arc<[u32]> = encoded.map_err(|error| CutError::Tokenizer(error.to_string()))?.get_ids().into();
        self.memory.lock().remember(key, Arc::clone(&ids));
        Ok(ids)
    }
}

/// Finds special tokens that text may be cut behind; `None` where there are none, or the tokenizer looks across them.
fn ends(tokenizer: &Tokenizer) -> Result<Option<AhoCorasick>, aho_corasick::BuildError> {
    let added = tokenizer.get_added_tokens_decoder();
    let plain = added
        .values()
        .filter(|token| token.special && !token.lstrip && !token.rstrip && !token.single_word && !token.normalized);
    let tokens: Vec<&str> = plain.map(|token| token.content.as_str()).filter(|content| !content.is_empty()).collect();
    if tokens.is_empty() || !tokens.iter().take(8).all(|token| separates(tokenizer, token)) {
        return Ok(None);
    }
    AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&tokens).map(Some)
}

/// Whether text on both sides of a special token is cut as if the other side were not there.
fn separates(tokenizer: &Tokenizer, token: &str) -> bool {
    let ids = |text: String| tokenizer.encode_fast(text, false).map(|encoded| encoded.get_ids().to_vec()).ok();
    ["b", " b c", "\nB", "\n\n 12", "é", "  "].iter().all(|behind| {
        let whole = ids(format!("a B{token}{behind}"));
        let parts = ids(format!("a B{token}")).zip(ids((*behind).to_owned()));
        whole == parts.map(|(before, behind)| [before, behind].concat())
    })
}

type Key = [u64; 2];

/// Pieces by their hash, in two generations: when the young one is full, the old one is forgotten, and whatever of it was
/// asked for meanwhile lives on.
#[derive(Debug, Default)]
struct Memory {
    young: HashMap<Key, Arc<[u32]>>,
    old: HashMap<Key, Arc<[u32]>>,
    /// Of the young ones.
    weight: usize,
}

impl Memory {
    fn recall(&mut self, key: &Key) -> Option<Arc<[u32]>> {
        if let Some(ids) = self.young.get(key) {
            return Some(Arc::clone(ids));
        }
        let ids = self.old.remove(key)?;
        self.remember(*key, Arc::clone(&ids));
        Some(ids)
    }

    fn remember(&mut self, key: Key, ids: Arc<[u32]>) {
        let weight = ids.len() + OVERHEAD;
        if self.weight + weight > REMEMBERED {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        if self.young.insert(key, ids).is_none() {
            self.weight += weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_lives_and_the_rest_is_forgotten() {
        let mut memory = Memory::default();
        let piece: Arc<[u32]> = vec![7; REMEMBERED / 4].into();
        for round in 0..40 {
            memory.remember([round, 0], Arc::clone(&piece));
            assert!(memory.recall(&[0, 0]).is_some(), "asked for in every round");
            assert!(memory.young.len() + memory.old.len() <= 8);
        }
        assert!(memory.recall(&[1, 0]).is_none());
    }
}
