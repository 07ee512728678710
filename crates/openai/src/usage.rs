//! Token accounting as engines report it, and what a relay changes in it.

use bytes::Bytes;

use crate::body::Body;
use crate::json::{Cursor, Fault};
use crate::meter::Chunk;
use crate::sse::Verdict;

#[cfg(test)]
mod tests;

/// An engine's own count of tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt (`prompt_tokens`, in other APIs `input_tokens`).
    pub prompt_tokens: u64,
    /// Tokens generated so far (`completion_tokens`, in other APIs `output_tokens`).
    pub completion_tokens: u64,
    /// Prompt tokens that came from a cache; `None` where the engine does not say.
    pub cached_tokens: Option<u64>,
}

impl Usage {
    /// The usage of a complete JSON response or of one chunk; `None` where it reports none or is no JSON object.
    pub fn from_response(json: &[u8]) -> Option<Self> {
        let mut usage = None;
        let mut cursor = Cursor::new(json);
        cursor.skip_space();
        let walked = cursor.object(|key, cursor| match key.raw() {
            b"usage" => {
                usage = Self::read(cursor)?;
                Ok(())
            }
            _ => cursor.skip(),
        });
        walked.ok().and(usage)
    }

    /// Reads the value of a `usage` member that has been found already; `None` where it is no object.
    pub fn from_member(raw: &[u8]) -> Option<Self> {
        Self::read(&mut Cursor::new(raw)).ok().flatten()
    }

    /// Passes over a value of a `usage` member; `None` where it is no object.
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Option<Self>, Fault> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip().map(|()| None);
        }
        let mut usage = Self::default();
        cursor.object(|key, cursor| {
            match key.raw() {
                b"prompt_tokens" | b"input_tokens" => {
                    usage.prompt_tokens = count(cursor)?.unwrap_or(0);
                }
                b"completion_tokens" | b"output_tokens" => {
                    usage.completion_tokens = count(cursor)?.unwrap_or(0);
                }
                b"prompt_tokens_details" | b"input_tokens_details" => usage.read_details(cursor)?,
                b"cache_read_input_tokens" => usage.cached_tokens = count(cursor)?,
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(Some(usage))
    }

    fn read_details(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|key, cursor| match key.raw() {
            b"cached_tokens" => {
                self.cached_tokens = count(cursor)?;
                Ok(())
            }
            _ => cursor.skip(),
        })
    }
}

/// Passes over a value and reads it as a count; `None` where it is none.
fn count(cursor: &mut Cursor<'_>) -> Result<Option<u64>, Fault> {
    let raw = cursor.raw()?;
    Ok(std::str::from_utf8(raw).ok().and_then(|text| text.parse().ok()))
}

/// `json`, a response or a chunk, with `usage.prompt_tokens_details.cached_tokens` set to `cached`; every other byte as it
/// was. `None` where there is no `usage` object to correct.
///
/// A decode engine counts the blocks that it pulled from the prefill engine as cached. What the client wants to know is
/// what the prefill engine had cached, so the value is created where it is absent (llm-d does the same).
pub fn with_cached_tokens(json: &Bytes, cached: u64) -> Option<Bytes> {
    let body = Body::parse(json.clone()).ok()?;
    if body.get("usage")?.first() != Some(&b'{') {
        return None;
    }
    let path = ["usage", "prompt_tokens_details", "cached_tokens"];
    Some(body.edit().set_deep(&path, cached.to_string().into_bytes()).build())
}

/// `json`, a chunk, without its `usage` member; every other byte as it was. `None` where it has none.
pub fn without_usage(json: &Bytes) -> Option<Bytes> {
    let body = Body::parse(json.clone()).ok()?;
    body.get("usage")?;
    Some(body.edit().remove("usage").build())
}

/// Which usage reports a relay takes out of a stream again, having asked for more than its client did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HideUsage {
    /// Drop the last chunk that has usage and no choices: the client did not ask for `include_usage`.
    pub last: bool,
    /// Take usage out of chunks with choices: the client did not ask for `continuous_usage_stats`.
    pub continuous: bool,
}

impl HideUsage {
    /// What becomes of the event with `data`, in which the meter saw `chunk`.
    pub fn verdict(self, chunk: &Chunk, data: &[u8]) -> Verdict {
        if chunk.usage.is_none() {
            return Verdict::Keep;
        }
        if chunk.usage_only && self.last {
            Verdict::Drop
        } else if chunk.choices > 0 && self.continuous {
            without_usage(&Bytes::copy_from_slice(data)).map_or(Verdict::Keep, Verdict::ReplaceData)
        } else {
            Verdict::Keep
        }
    }
}
