//! How long a prompt is, in tokens, before any engine has seen it.
//!
//! The number is for choosing who serves a request and for limits; what is reported of a request is the engine's own count.

use cluster::blocks::TextBlocks;
use openai::Body;

/// How many bytes of a request's text a token stands for, where nothing better is known: English prose has about four, and
/// its JSON escapes weigh little.
const BYTES_PER_TOKEN: usize = 4;

/// The members that hold a prompt, by the APIs that have them.
const PROMPTS: [&str; 3] = ["messages", "prompt", "input"];

/// The members that engines put before the prompt.
const CONTEXT: [&str; 3] = ["tools", "system", "instructions"];

/// A prompt's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PromptTokens {
    /// Tokens.
    pub(crate) count: u64,
    /// How they were counted.
    pub(crate) source: CountedBy,
}

/// Who counted a prompt's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CountedBy {
    /// The client, who sent token ids.
    Ids,
    /// The model's tokenizer, here.
    Tokenizer,
    /// Nobody: it is an estimate from the bytes.
    Estimate,
}

impl CountedBy {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ids => "ids",
            Self::Tokenizer => "tokenizer",
            Self::Estimate => "estimate",
        }
    }
}

impl PromptTokens {
    /// Counts the ids of a prompt that consists of them, else estimates from the bytes of the text.
    pub(crate) fn of(body: &Body) -> Self {
        let Some(raw) = PROMPTS.iter().find_map(|name| body.get(name)) else {
            return Self::estimate(0);
        };
        match ids(raw) {
            Some(count) => Self { count, source: CountedBy::Ids },
            None => Self::estimate(raw.len()),
        }
    }

    fn estimate(bytes: usize) -> Self {
        Self { count: bytes.div_ceil(BYTES_PER_TOKEN) as u64, source: CountedBy::Estimate }
    }
}

/// The blocks of the prompt as it is written in the body, by which a scheduler finds out who has computed its beginning before;
/// `None` where it is shorter than one. Two spellings of the same prompt have nothing in common.
pub(crate) fn text_blocks(body: &Body) -> Option<TextBlocks> {
    let raw = PROMPTS.iter().find_map(|name| body.get(name))?;
    TextBlocks::of(CONTEXT.iter().filter_map(|name| body.get(name)), raw)
}

/// How many numbers a list holds that begins with one; it was proven to be JSON before.
fn ids(raw: &[u8]) -> Option<u64> {
    let first = raw.strip_prefix(b"[")?.trim_ascii_start().first()?;
    let numbers = first.is_ascii_digit();
    numbers.then(|| 1 + memchr::memchr_iter(b',', raw).count() as u64)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn of(text: &'static str) -> PromptTokens {
        PromptTokens::of(&Body::parse(Bytes::from_static(text.as_bytes())).unwrap())
    }

    #[test]
    fn ids_are_counted() {
        for (text, count) in [(r#"{"prompt":[7]}"#, 1), (r#"{"prompt":[ 1, 22,333 ]}"#, 3)] {
            assert_eq!(of(text), PromptTokens { count, source: CountedBy::Ids }, "{text}");
        }
    }

    #[test]
    fn a_conversation_that_goes_on_begins_with_the_same_blocks() {
        let first = format!(r#"{{"role":"user","content":"{}"}}"#, "word ".repeat(200));
        let blocks = |messages: &str, tools: &str| {
            let body = format!(r#"{{"messages":[{messages}],"tools":[{tools}]}}"#);
            text_blocks(&Body::parse(Bytes::from(body)).unwrap()).unwrap()
        };
        let (turn, next) = (blocks(&first, ""), blocks(&format!(r#"{first},{{"role":"user","content":"more"}}"#), ""));
        assert_eq!(turn.hashes.len(), 4);
        assert_eq!(next.hashes[..4], turn.hashes);
        assert_ne!(blocks(&first, r#"{"type":"function"}"#).hashes[0], turn.hashes[0], "tools come before the prompt");
        assert_eq!(text_blocks(&Body::parse(Bytes::from_static(br#"{"prompt":"short"}"#)).unwrap()), None);
    }

    #[test]
    fn text_is_estimated_and_said_to_be() {
        for (text, count) in [
            (r#"{"prompt":"123456"}"#, 2),
            (r#"{"messages":[{"role":"user","content":"hi"}]}"#, 8),
            (r#"{"prompt":["ab","cd"]}"#, 3),
            (r#"{"prompt":[]}"#, 1),
            (r#"{"model":"m"}"#, 0),
        ] {
            assert_eq!(of(text), PromptTokens { count, source: CountedBy::Estimate }, "{text}");
        }
    }
}
