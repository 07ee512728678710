//! Whose cache a client paid for.
//!
//! In a disaggregated request the decoder counts every token that it pulled from the prefill as cached: nearly the whole
//! prompt, always. What the client wants to know is what the *prefill* found in its cache, so the decoder's number in
//! `usage.prompt_tokens_details.cached_tokens` is replaced by the prefill's.

use bytes::Bytes;
use memchr::memmem;
use openai::usage::with_cached_tokens;

use crate::Handover;

/// Replaces the decoder's count of cached tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedTokens {
    prefill: Option<u64>,
}

impl CachedTokens {
    /// Takes the prefill's count from what it handed over.
    #[must_use]
    pub fn of(handover: &Handover) -> Self {
        Self { prefill: handover.cached_tokens() }
    }

    /// The corrected bytes of `json`, a response or the data of one event; `None` where nothing is to be corrected.
    ///
    /// A prefill that said nothing about its cache counts as 0 where the decoder does report a number, and adds none
    /// where it does not. Costs one search of the bytes where no usage is in them, as in all events but the last.
    #[must_use]
    pub fn correct(self, json: &Bytes) -> Option<Bytes> {
        memmem::find(json, b"\"usage\"")?;
        if self.prefill.is_none() {
            memmem::find(json, b"\"cached_tokens\"")?;
        }
        with_cached_tokens(json, self.prefill.unwrap_or(0))
    }
}
