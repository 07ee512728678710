//! What passes in a stream: which bytes go on, how many tokens they carry, and whether the stream came to its end.
//!
//! A state machine over bytes, without socket or clock, so that every way in which a network can cut a stream is a test.

use bytes::Bytes;
use openai::sse::{Event, Filter, Scanner, Verdict};
use openai::usage::HideUsage;
use openai::{TokenMeter, Usage};

/// Chunks on their way to the client, in order.
pub(super) type Outgoing = std::collections::VecDeque<Bytes>;

/// One stream of events.
#[derive(Debug)]
pub(super) struct Events {
    cutter: Cutter,
    reader: Reader,
    /// The stream ended inside an event.
    half: bool,
}

/// How a stream is passed on.
#[derive(Debug)]
enum Cutter {
    /// As it comes, chunk by chunk, while events are only looked at.
    Pass(Scanner),
    /// Event by event, since some are taken out.
    Edit(Filter),
}

/// Reads events, whoever cuts them.
#[derive(Debug)]
struct Reader {
    hide: HideUsage,
    meter: TokenMeter,
    tokens: Tokens,
    seen: Seen,
}

/// Tokens that came together, by the events that carried them: those of one event share the gap before it, and between
/// events that came at once there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    /// In the first token-bearing event.
    pub(super) first: u32,
    /// In all later ones.
    pub(super) rest: u32,
}

impl Tokens {
    fn add(&mut self, tokens: u32) {
        match self.first {
            0 => self.first = tokens,
            _ => self.rest += tokens,
        }
    }
}

/// What has been seen of a stream so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// The stream's last event (`[DONE]`).
    pub(super) done: bool,
    /// A choice gave the reason of its end.
    pub(super) finished: bool,
    /// The engine, or the coordinator before it, reported an error in the stream.
    pub(super) error: bool,
    /// The engine's own count.
    pub(super) usage: Option<Usage>,
}

impl Seen {
    /// Whether a stream that ends now is whole. Some engines forget `[DONE]`; none forgets the reason of the end.
    pub(super) fn is_whole(self) -> bool {
        self.done || self.finished || self.error
    }
}

impl Events {
    /// A stream at its start, in which `hide` is what the client did not ask for.
    pub(super) fn new(hide: HideUsage) -> Self {
        let cutter = if hide == HideUsage::default() {
            Cutter::Pass(Scanner::default())
        } else {
            Cutter::Edit(Filter::default())
        };
        let reader = Reader { hide, meter: TokenMeter::new(), tokens: Tokens::default(), seen: Seen::default() };
        Self { cutter, reader, half: false }
    }

    /// Takes the next chunk, appends to `out` what goes on of it, and says which tokens that carries.
    pub(super) fn push(&mut self, chunk: Bytes, out: &mut Outgoing) -> Tokens {
        let Self { cutter, reader, .. } = self;
        match cutter {
            Cutter::Pass(scanner) => {
                scanner.push(&chunk, |event| {
                    reader.read(&event);
                });
                out.push_back(chunk);
            }
            Cutter::Edit(filter) => filter.push(&chunk, |event| reader.read(event), out),
        }
        std::mem::take(&mut reader.tokens)
    }

    /// The engine ended the stream in good order. An event that lacks only its blank line is read and goes on if it makes the
    /// stream whole (engines forget the last line break), and is dropped as half an event if not. Returns its tokens.
    pub(super) fn finish(&mut self, out: &mut Outgoing) -> Tokens {
        self.half = !self.cutter.is_between_events();
        let mut held = Outgoing::new();
        let reader = &mut self.reader;
        match &mut self.cutter {
            Cutter::Pass(scanner) => {
                std::mem::take(scanner).finish(|event| {
                    reader.read(&event);
                });
            }
            Cutter::Edit(filter) => std::mem::take(filter).finish(|event| reader.read(event), &mut held),
        }
        if reader.seen.is_whole() {
            out.append(&mut held);
        }
        std::mem::take(&mut reader.tokens)
    }

    /// Ends the stream with an event of the gateway's own. Of an event that is unfinished some bytes may have gone out: a
    /// blank line ends it, so that the two do not run together.
    pub(super) fn abort(&mut self, event: Bytes, out: &mut Outgoing) {
        if self.half || !self.cutter.is_between_events() {
            out.push_back(Bytes::from_static(b"\n\n"));
        }
        out.push_back(event);
    }

    /// What has been seen so far.
    pub(super) fn seen(&self) -> Seen {
        self.reader.seen
    }
}

impl Cutter {
    fn is_between_events(&self) -> bool {
        match self {
            Self::Pass(scanner) => scanner.is_between_events(),
            Self::Edit(filter) => filter.is_between_events(),
        }
    }
}

impl Reader {
    fn read(&mut self, event: &Event<'_>) -> Verdict {
        let chunk = self.meter.feed(event.data);
        self.tokens.add(chunk.tokens);
        let seen = &mut self.seen;
        seen.done |= chunk.done;
        seen.finished |= chunk.finish.is_some();
        seen.error |= chunk.error || event.event == Some(b"error");
        seen.usage = chunk.usage.or(seen.usage);
        self.hide.verdict(&chunk, event.data)
    }
}

#[cfg(test)]
mod tests;
