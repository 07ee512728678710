//! Server-sent events over the bytes as they came.
//!
//! A relay must know where events begin and end, and must not care how the network cut them: lines end in CR, LF or CRLF,
//! a cut can fall between any two bytes, an event can have several `data` lines, comments are keep-alives, and the last
//! event may lack its blank line. [`Scanner`] reports events while the relay forwards the chunks untouched; [`Filter`] is
//! for relays that take some events out, and forwards slices of the chunks around them.
//!
//! Both are state machines over bytes. An event that lies within one chunk is borrowed from it; only a part that waits
//! for its rest is copied, and never more than [`MAX_EVENT`] bytes of it: a longer event is *opaque*, which means passed on
//! without being looked at.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

mod filter;
mod frame;
#[cfg(test)]
mod tests;

pub use filter::{Filter, Verdict};
use frame::{Frame, Framer};

/// An event longer than this, in bytes, is opaque.
pub const MAX_EVENT: usize = 1 << 20;

/// Capacity beyond which a buffer is given back after the event that needed it: thousands of streams live side by side.
const KEEP_CAPACITY: usize = 16 << 10;

/// One event that carries data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'e> {
    /// The values of its `data` lines, joined by line feeds.
    pub data: &'e [u8],
    /// The value of its `event` line.
    pub event: Option<&'e [u8]>,
    /// Offsets in the stream of its first byte and of the byte after its blank line.
    pub range: Range<u64>,
    /// Where `data` lies within the event's bytes; `None` where several lines were joined.
    data_at: Option<Range<usize>>,
}

/// Finds the events of one stream.
#[derive(Debug)]
pub struct Scanner {
    framer: Framer,
    /// The beginning of an event whose end has not come.
    carry: Vec<u8>,
    /// The joined data lines of an event.
    joined: Vec<u8>,
    /// Offset in the stream of the event being collected.
    start: u64,
    /// Bytes of that event so far, `carry` or not.
    length: usize,
    max_event: usize,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new(MAX_EVENT)
    }
}

impl Scanner {
    /// A scanner at the start of a stream, which holds at most `max_event` bytes of an unfinished event.
    pub fn new(max_event: usize) -> Self {
        Self { framer: Framer::default(), carry: Vec::new(), joined: Vec::new(), start: 0, length: 0, max_event }
    }

    /// Takes the next bytes of the stream, and reports each event that ends in them, in order.
    pub fn push(&mut self, chunk: &[u8], mut on_event: impl FnMut(Event<'_>)) {
        self.frames(chunk, |frame| {
            if let Some(event) = frame.event {
                on_event(event);
            }
        });
    }

    /// Ends the stream: reports an event that lacks its blank line, where it has data, and says whether the stream broke
    /// off inside an event.
    ///
    /// A browser discards such an event; engines that forget the last newline after `[DONE]` make it worth reading.
    pub fn finish(mut self, mut on_event: impl FnMut(Event<'_>)) -> bool {
        let unfinished = self.length > 0;
        self.last_frame(|frame| {
            if let Some(event) = frame.event {
                on_event(event);
            }
        });
        unfinished
    }

    /// Whether an event appended now would stand by itself, and not run into one that is unfinished.
    pub fn is_between_events(&self) -> bool {
        self.length == 0
    }

    /// Whether the event being collected has grown too long to be looked at.
    fn is_opaque(&self) -> bool {
        self.length > self.max_event
    }

    /// Takes the next bytes, and reports everything that a blank line ends, events or not.
    fn frames(&mut self, chunk: &[u8], mut on_frame: impl FnMut(Frame<'_>)) {
        let mut from = 0;
        while let Some(length) = self.framer.end(&chunk[from..]) {
            self.frame(&chunk[from..from + length], &mut on_frame);
            from += length;
        }
        self.hold(&chunk[from..]);
    }

    /// Reports what is left at the end of the stream.
    fn last_frame(&mut self, mut on_frame: impl FnMut(Frame<'_>)) {
        if self.length > 0 {
            self.frame(&[], &mut on_frame);
        }
    }

    /// Ends a frame with `piece`, the part of it that has just come.
    fn frame(&mut self, piece: &[u8], on_frame: &mut impl FnMut(Frame<'_>)) {
        let held = self.carry.len();
        self.length += piece.len();
        let range = self.start..self.start + self.length as u64;
        let event = if self.is_opaque() {
            None
        } else if held == 0 {
            frame::parse(piece, range.clone(), &mut self.joined)
        } else {
            self.carry.extend_from_slice(piece);
            frame::parse(&self.carry, range.clone(), &mut self.joined)
        };
        on_frame(Frame { held: &self.carry[..held], piece: piece.len(), event });
        self.start = range.end;
        self.length = 0;
        recycle(&mut self.carry);
        recycle(&mut self.joined);
    }

    fn hold(&mut self, piece: &[u8]) {
        self.length += piece.len();
        if !self.is_opaque() {
            self.carry.extend_from_slice(piece);
        }
    }
}

/// An event with `data` and, where given, an `event` line; line breaks in `data` become several `data` lines.
pub fn encode(event: Option<&str>, data: &[u8]) -> Bytes {
    encode_bytes(event.map(str::as_bytes), data)
}

/// The same with a name as it came, which need not be UTF-8.
fn encode_bytes(event: Option<&[u8]>, data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + 32);
    if let Some(event) = event {
        out.put_slice(b"event: ");
        out.put_slice(event);
        out.put_u8(b'\n');
    }
    for line in frame::lines(data) {
        out.put_slice(b"data: ");
        out.put_slice(line);
        out.put_u8(b'\n');
    }
    out.put_u8(b'\n');
    out.freeze()
}

/// Empties a buffer, and gives back its memory where that is much.
fn recycle(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEEP_CAPACITY {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}
