//! Which chunks of a stream carry generated tokens, and how many.
//!
//! Every latency that Candor reports hangs on this predicate, so it lives here and nowhere else. A chunk bears tokens
//! when a choice in it carries generated output:
//!
//! 1. The engine says so, exactly: `token_ids` with at least one id, or a `usage.completion_tokens` on every chunk
//!    (`continuous_usage_stats`) that grew. vLLM and SGLang count it per choice, so growth is kept per choice index.
//! 2. Else, non-empty `content`, `text`, `reasoning_content`, `reasoning` or `tool_calls`: at least one token.
//! 3. Else, an output member that is present but empty, in a delta without `role` and a choice without `finish_reason`:
//!    vLLM sends one such chunk per token while a character is incomplete. Where the engine counts exactly and says that
//!    nothing came, this rule does not apply.
//!
//! A role-only opening chunk, a usage chunk, a comment and `[DONE]` bear none. Usage on a late chunk of a stream whose
//! earlier chunks had none is a summary, not a per-chunk count, and says nothing about that chunk.
//!
//! Events of the Anthropic and the Responses API are read too, by their `type`: a delta with text, reasoning or call
//! arguments in it is at least one token.

use crate::Usage;

mod found;
#[cfg(test)]
mod tests;

use found::{Found, Opening};

/// What one event carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Generated tokens in it; 0 where it bears none.
    pub tokens: u32,
    /// Whether `tokens` is the engine's own count; else it is the least that the chunk can carry.
    pub exact: bool,
    /// Choices in it.
    pub choices: u32,
    /// The usage it reports, on whatever kind of chunk.
    pub usage: Option<Usage>,
    /// It has usage and an empty list of choices: the chunk that `include_usage` asks for.
    pub usage_only: bool,
    /// Why a choice in it ended.
    pub finish: Option<FinishReason>,
    /// It reports an error.
    pub error: bool,
    /// It is the last event of the stream (`[DONE]`, or the API's closing event).
    pub done: bool,
    /// It is neither JSON nor `[DONE]`.
    pub malformed: bool,
}

impl Chunk {
    /// Whether it carries generated output.
    pub fn is_token_bearing(&self) -> bool {
        self.tokens > 0
    }
}

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model was done, or a stop string came.
    Stop,
    /// A token limit was reached.
    Length,
    /// The model calls tools.
    ToolCalls,
    /// A filter cut it off.
    ContentFilter,
    /// The engine aborted it.
    Abort,
    /// The engine's cache holds less of the prompt than `cache_hit_threshold` asks for: prefill first.
    CacheThreshold,
    /// The engine failed.
    Error,
    /// A reason that Candor does not know.
    Other,
}

impl FinishReason {
    /// The reason that an engine's word stands for, in any of the APIs.
    fn from_word(word: &[u8]) -> Self {
        match word {
            b"stop" | b"end_turn" | b"stop_sequence" | b"completed" => Self::Stop,
            b"length" | b"max_tokens" | b"max_output_tokens" => Self::Length,
            b"tool_calls" | b"tool_use" | b"function_call" => Self::ToolCalls,
            b"content_filter" | b"refusal" => Self::ContentFilter,
            b"abort" => Self::Abort,
            b"cache_threshold" => Self::CacheThreshold,
            b"error" | b"failed" => Self::Error,
            _ => Self::Other,
        }
    }

    /// OpenAI's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Abort => "abort",
            Self::CacheThreshold => "cache_threshold",
            Self::Error => "error",
            Self::Other => "other",
        }
    }
}

/// Choice indices above this are not counted by growth of usage: the meter's memory is bounded.
const MAX_CHOICES: usize = 256;

/// Counts the tokens of one stream. Feed it the data of every event, in order.
#[derive(Debug, Default)]
pub struct TokenMeter {
    /// `usage.completion_tokens` last seen, by choice index.
    counted: Vec<u64>,
    /// A chunk with choices came without usage, so usage on later ones is a summary.
    silent: bool,
    /// Usage that an earlier event of a typed stream reported.
    earlier: Usage,
    opening: Opening,
}

impl TokenMeter {
    /// A meter at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the event with this `data` carries.
    pub fn feed(&mut self, data: &[u8]) -> Chunk {
        if data == b"[DONE]" {
            return Chunk { done: true, ..Chunk::default() };
        }
        match Found::read(data, &mut self.opening) {
            Ok(found) => self.judge(&found),
            Err(_) => Chunk { malformed: true, ..Chunk::default() },
        }
    }

    fn judge(&mut self, found: &Found) -> Chunk {
        let growth = self.growth(found);
        let (tokens, exact) = match growth {
            _ if found.ids > 0 => (found.ids + found.shown, found.shown == 0),
            Some(grown @ 1..) => (grown, true),
            _ if found.shown > 0 => (found.shown, false),
            None => (found.blank + u32::from(found.typed.bearing), false),
            Some(0) => (0, false),
        };
        Chunk {
            tokens,
            exact,
            choices: found.choices,
            usage: self.usage(found),
            usage_only: found.usage.is_some() && found.has_choices && found.choices == 0,
            finish: found.finish.or(found.typed.finish),
            error: found.error || found.typed.error,
            done: found.typed.done,
            malformed: false,
        }
    }

    /// By how much the engine's own count of the chunk's choice grew; `None` where this stream has no such count.
    fn growth(&mut self, found: &Found) -> Option<u32> {
        self.silent |= found.choices > 0 && found.usage.is_none();
        let usage = found.usage.filter(|_| found.choices == 1 && !self.silent && found.index < MAX_CHOICES)?;
        if self.counted.len() <= found.index {
            self.counted.resize(found.index + 1, 0);
        }
        let counted = &mut self.counted[found.index];
        let grown = usage.completion_tokens.saturating_sub(*counted);
        *counted = usage.completion_tokens.max(*counted);
        Some(u32::try_from(grown).unwrap_or(u32::MAX))
    }

    /// The usage of the chunk. Anthropic's stream reports the prompt at its start and the output at its end, so what an
    /// earlier event said of the prompt is kept.
    fn usage(&mut self, found: &Found) -> Option<Usage> {
        if let Some(usage) = found.typed.usage.or_else(|| found.usage.filter(|_| found.typed.named)) {
            self.earlier.completion_tokens = usage.completion_tokens;
            if usage.prompt_tokens > 0 {
                self.earlier.prompt_tokens = usage.prompt_tokens;
            }
            self.earlier.cached_tokens = usage.cached_tokens.or(self.earlier.cached_tokens);
            return Some(self.earlier);
        }
        found.usage
    }
}
