//! Decode first: reading from the decoder's first bytes whether it wants a prefill.
//!
//! With a shared store a request may carry `cache_hit_threshold`. The decoder then gets the original body first; when too
//! little of the prompt is in its cache it gives up at once with the finish reason `cache_threshold`, and only then is
//! prefill worth a leg. The answer must be known before anything is relayed, so what arrives is held back until it is.

use bytes::Bytes;
use openai::sse::Scanner;
use openai::{FinishReason, TokenMeter};

/// Events of a stream to look at: the opening chunk with the role, and the one that finishes or carries a token.
const EVENTS: usize = 2;
/// Held back at most (of a stream); beyond it the decoder is clearly generating.
const LIMIT: usize = 64 * 1024;

/// What the decoder's first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not known yet: hold back what was fed so far.
    Undecided,
    /// The decoder serves the request itself: relay what was held back, and all that follows.
    Serve,
    /// The decoder wants a prefill: drop this response and disaggregate.
    Disaggregate,
}

/// Watches the opening of a decode-first response.
#[derive(Debug)]
pub struct Probe {
    /// `None` for a response that is one JSON document.
    scanner: Option<Scanner>,
    meter: TokenMeter,
    events: usize,
    held: Vec<Bytes>,
    size: usize,
}

impl Probe {
    /// A probe of a response that streams events, or of one JSON document.
    #[must_use]
    pub fn new(streaming: bool) -> Self {
        let scanner = streaming.then(Scanner::default);
        Self { scanner, meter: TokenMeter::new(), events: 0, held: Vec::new(), size: 0 }
    }

    /// Takes the next chunk of the response; `last` says that nothing follows it.
    pub fn feed(&mut self, chunk: Bytes, last: bool) -> Verdict {
        self.size += chunk.len();
        let asks = match &mut self.scanner {
            Some(scanner) => scan(scanner, &mut self.meter, &mut self.events, &chunk),
            None => false,
        };
        self.held.push(chunk);
        let asks = asks || (last && self.scanner.is_none() && asks_for_prefill(&mut self.meter, &self.held.concat()));
        let seen_enough = self.scanner.is_some() && (self.events >= EVENTS || self.size > LIMIT);
        match asks {
            true => Verdict::Disaggregate,
            false if last || seen_enough => Verdict::Serve,
            false => Verdict::Undecided,
        }
    }

    /// The chunks held back, in order, as they arrived.
    #[must_use]
    pub fn into_held(self) -> Vec<Bytes> {
        self.held
    }
}

/// Whether one of the events that end in `chunk` asks for a prefill.
fn scan(scanner: &mut Scanner, meter: &mut TokenMeter, events: &mut usize, chunk: &[u8]) -> bool {
    let mut asks = false;
    scanner.push(chunk, |event| {
        *events += 1;
        asks |= asks_for_prefill(meter, event.data);
    });
    asks
}

fn asks_for_prefill(meter: &mut TokenMeter, json: &[u8]) -> bool {
    meter.feed(json).finish == Some(FinishReason::CacheThreshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed_all(streaming: bool, text: &str, step: usize) -> (Verdict, usize) {
        let mut probe = Probe::new(streaming);
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(step).collect();
        for (at, chunk) in chunks.iter().enumerate() {
            let verdict = probe.feed(Bytes::copy_from_slice(chunk), at + 1 == chunks.len());
            if verdict != Verdict::Undecided {
                return (verdict, probe.into_held().iter().map(Bytes::len).sum());
            }
        }
        (Verdict::Undecided, 0)
    }

    #[test]
    fn a_document_is_read_to_its_end() {
        let asks = r#"{"choices":[{"text":"","finish_reason" : "cache_threshold"}]}"#;
        let serves = r#"{"choices":[{"text":"say \"finish_reason\":\"cache_threshold\"","finish_reason":"stop"}]}"#;
        for step in [1, 7, 1000] {
            assert_eq!(feed_all(false, asks, step).0, Verdict::Disaggregate);
            assert_eq!(feed_all(false, serves, step), (Verdict::Serve, serves.len()));
        }
    }

    #[test]
    fn a_stream_is_decided_by_its_second_event() {
        let role = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}]}\n\n";
        let asks = format!("{role}data: {{\"choices\":[{{\"finish_reason\":\"cache_threshold\"}}]}}\n\n");
        let serves = format!("{role}data: {{\"choices\":[{{\"delta\":{{\"content\":\"a\"}}}}]}}\n\ndata: [DONE]\n\n");
        for step in [1, 13, 1000] {
            assert_eq!(feed_all(true, &asks, step).0, Verdict::Disaggregate);
            assert_eq!(feed_all(true, &serves, step).0, Verdict::Serve);
        }
        let (_, held) = feed_all(true, &serves, 1);
        assert!(held < serves.len(), "relayed before the end of the stream");
    }

    #[test]
    fn a_stream_without_events_is_not_held_for_ever() {
        let mut probe = Probe::new(true);
        assert_eq!(probe.feed(Bytes::from(vec![b'x'; LIMIT + 1]), false), Verdict::Serve);
    }
}
