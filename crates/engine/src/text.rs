//! The simulated language: prompts become token ids, token indices become text.
//!
//! There is no model and no trained tokenizer. A prompt is cut into words of at most [`WORD`] bytes, each with its
//! leading white space; a generated token is a word drawn by its id. Both directions are fixed, so equal prompts give
//! equal ids in every process (prefix caching works across instances) and a request's text follows from its seed.
//!
//! Now and then a token is only part of a character, as with byte-level vocabularies: it brings no text, and the
//! character appears with the token that completes it.

use crate::core::generated;
use crate::core::hash::{self, TokenId};

/// Longest token in bytes.
const WORD: usize = 8;

/// One generated token in this many is an unfinished character.
const PARTIAL: TokenId = 41;

/// The character that unfinished tokens complete.
const CHARACTER: &str = " é";

/// What an unfinished character at the very end is shown as.
const REPLACEMENT: &str = "\u{fffd}";

/// Words that generated text is made of. None needs escaping in JSON.
const WORDS: &[&str] = &[
    " the", " of", " and", " a", " to", " in", " is", " that", " it", " as", " for", " was", " with", " on", " be",
    " at", " by", " this", " had", " not", " are", " but", " from", " or", " have", " an", " they", " which", " one",
    " you", " were", " her", " all", " she", " there", " would", " their", " we", " him", " been", " has", " when",
    " who", " will", " more", " no", " if", " out", " so", " said", " what", " up", " its", " about", " into", " than",
    " them", " can", " only", " other", " new", " some", " could", " time",
];

/// Cuts `text` into tokens and appends their ids.
pub(crate) fn tokenize(text: &str, into: &mut Vec<TokenId>) {
    let bytes = text.as_bytes();
    let mut start = 0;
    for index in 1..=bytes.len() {
        let length = index - start;
        let word_ends =
            index == bytes.len() || (bytes[index].is_ascii_whitespace() && !bytes[index - 1].is_ascii_whitespace());
        if word_ends || length == WORD {
            into.push(id(&bytes[start..index]));
            start = index;
        }
    }
}

/// The id of a word, or of anything else that counts as one token.
pub(crate) fn id(word: &[u8]) -> TokenId {
    hash::bytes(0, word) as TokenId
}

/// Text of the `index`th token after a prompt with `seed`; `last` says that no token follows.
pub(crate) fn token(seed: u64, index: u32, last: bool) -> (&'static str, &'static str) {
    let partial = |index| generated(seed, index).is_multiple_of(PARTIAL);
    let carried = if index > 0 && partial(index - 1) { CHARACTER } else { "" };
    match (partial(index), last) {
        // The character before is completed here even when another one begins.
        (true, false) => (carried, ""),
        (true, true) => (carried, REPLACEMENT),
        (false, _) => (carried, WORDS[generated(seed, index) as usize % WORDS.len()]),
    }
}

/// Text of the first `tokens` tokens.
pub(crate) fn text(seed: u64, tokens: u32) -> String {
    let mut text = String::with_capacity(tokens as usize * 5);
    for index in 0..tokens {
        let (carried, own) = token(seed, index, index + 1 == tokens);
        text.push_str(carried);
        text.push_str(own);
    }
    text
}

/// Where generation stops because of `stops`: after how many tokens, which string did it, and how much text comes
/// before it.
pub(crate) fn find_stop(seed: u64, max_tokens: u32, stops: &[String]) -> Option<Stop> {
    let longest = stops.iter().map(String::len).max().unwrap_or(0);
    if longest == 0 {
        return None;
    }
    let mut text = String::new();
    for index in 0..max_tokens {
        let known = text.len();
        let (carried, own) = token(seed, index, false);
        text.push_str(carried);
        text.push_str(own);
        let mut from = known.saturating_sub(longest);
        while !text.is_char_boundary(from) {
            from -= 1;
        }
        let hits = stops.iter().filter(|stop| !stop.is_empty());
        let hits = hits.filter_map(|stop| Some((from + text[from..].find(stop.as_str())?, stop)));
        if let Some((at, stop)) = hits.min_by_key(|(at, _)| *at) {
            return Some(Stop { tokens: index + 1, string: stop.clone(), text_len: at });
        }
    }
    None
}

/// A stop string met in generated text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// Tokens generated up to and including the one that completes the string.
    pub(crate) tokens: u32,
    /// The string.
    pub(crate) string: String,
    /// Bytes of text before it.
    pub(crate) text_len: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(text: &str) -> Vec<TokenId> {
        let mut ids = Vec::new();
        tokenize(text, &mut ids);
        ids
    }

    #[test]
    fn words_are_tokens_and_long_words_are_several() {
        assert_eq!(ids("one two three").len(), 3);
        assert_eq!(ids("incomprehensibilities").len(), 3);
        assert_eq!(ids(""), [] as [TokenId; 0]);
    }

    #[test]
    fn a_prefix_keeps_its_tokens() {
        assert_eq!(ids("one two three")[..2], ids("one two")[..]);
    }

    #[test]
    fn some_tokens_bring_no_text_and_the_last_one_always_does() {
        let silent = (0..1000).filter(|i| token(3, *i, false) == ("", "")).count();
        assert!((5..60).contains(&silent), "{silent} silent tokens");
        assert!((0..1000).all(|i| token(3, i, true) != ("", "")));
    }

    #[test]
    fn a_stop_string_is_found_across_tokens() {
        let whole = text(5, 50);
        let needle = whole[20..27].to_owned();
        let stop = find_stop(5, 50, std::slice::from_ref(&needle)).unwrap();
        assert_eq!(stop.text_len, whole.find(&needle).unwrap());
        assert!(text(5, stop.tokens).contains(&needle));
        assert_eq!(find_stop(5, 50, &["no such text".to_owned()]), None);
    }

    proptest! {
        #[test]
        fn tokens_are_short_and_cover_the_text(text in "\\PC{0,60}") {
            let count = ids(&text).len();
            prop_assert!(count >= text.len().div_ceil(WORD));
            prop_assert!(count <= text.len());
        }
    }
}
