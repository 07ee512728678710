//! Reading an answer with the stopwatch running.

use openai::sse::Scanner;
use openai::{TokenMeter, Usage};

use crate::record::End;
use crate::stopwatch::Stamp;

/// What has been read of one stream so far.
#[derive(Default)]
pub(super) struct Reading {
    scanner: Scanner,
    tally: Tally,
}

/// What the events of a stream add up to.
#[derive(Default)]
pub(super) struct Tally {
    meter: TokenMeter,
    pub(super) first: Option<Stamp>,
    pub(super) last: Option<Stamp>,
    pub(super) gaps_ns: Vec<u64>,
    pub(super) tokens: u64,
    pub(super) tokens_after_first: u64,
    pub(super) usage: Option<Usage>,
    error: Option<String>,
    done: bool,
}

impl Reading {
    /// Takes in bytes that were read at `read`. Stamping comes before parsing, so that parsing costs no accuracy.
    pub(super) fn bytes(&mut self, bytes: &[u8], read: Stamp) {
        let Self { scanner, tally } = self;
        scanner.push(bytes, |event| tally.event(event.data, read));
    }

    /// How many token-bearing chunks there have been.
    pub(super) fn chunks(&self) -> usize {
        self.tally.gaps_ns.len() + usize::from(self.tally.first.is_some())
    }

    /// How a stream that ended here has ended.
    pub(super) fn end(&mut self) -> End {
        self.tally.end()
    }

    /// What the stream came to, whole or not.
    pub(super) fn finish(self) -> Tally {
        self.tally
    }
}

impl Tally {
    fn event(&mut self, data: &[u8], read: Stamp) {
        let chunk = self.meter.feed(data);
        if chunk.error {
            self.error = Some(String::from_utf8_lossy(data).into_owned());
        }
        self.done |= chunk.done;
        if chunk.usage.is_some() {
            self.usage = chunk.usage;
        }
        if chunk.tokens == 0 {
            return;
        }
        self.tokens += u64::from(chunk.tokens);
        match self.last {
            Some(last) => {
                self.gaps_ns.push(read.nanos_since(last));
                self.tokens_after_first += u64::from(chunk.tokens);
            }
            None => self.first = Some(read),
        }
        self.last = Some(read);
    }

    fn end(&mut self) -> End {
        match self.error.take() {
            Some(why) => End::Broken { why },
            None if self.done => End::Completed,
            None => End::Broken { why: "the stream ended without [DONE]".to_owned() },
        }
    }
}
