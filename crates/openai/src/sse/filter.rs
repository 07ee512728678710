//! Taking events out of a stream while it passes.

use bytes::Bytes;
use memchr::memchr2;

use super::frame::Frame;
use super::{Event, MAX_EVENT, Scanner, encode_bytes, recycle};

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Pass it on as it came.
    Keep,
    /// Take it out.
    Drop,
    /// Put these bytes in its place, blank line included.
    Replace(Bytes),
    /// Put this in place of its data and leave the lines around it as they came. (An event of several data lines is
    /// written anew, with its name.)
    ReplaceData(Bytes),
}

/// Passes a stream on event by event, and lets a judge take some out or change them.
///
/// What is kept leaves as slices of the chunks in which it came. Only an unfinished event is held back; comments, blank
/// lines and opaque events are always kept.
#[derive(Debug)]
pub struct Filter {
    scanner: Scanner,
}

impl Default for Filter {
    fn default() -> Self {
        Self::new(MAX_EVENT)
    }
}

/// The part of one chunk that leaves as it came.
struct Run<'o, O> {
    chunk: &'o Bytes,
    /// Where the kept bytes that have not left begin.
    start: usize,
    /// Where the finished frames end.
    end: usize,
    out: &'o mut O,
}

impl Filter {
    /// A filter at the start of a stream, which holds back at most `max_event` bytes.
    pub fn new(max_event: usize) -> Self {
        Self { scanner: Scanner::new(max_event) }
    }

    /// Takes the next chunk of the stream and appends to `out` what may leave, in order.
    pub fn push(&mut self, chunk: &Bytes, mut judge: impl FnMut(&Event<'_>) -> Verdict, out: &mut impl Extend<Bytes>) {
        let mut run = Run { chunk, start: 0, end: 0, out };
        self.scanner.frames(chunk, |frame| {
            let verdict = frame.event.as_ref().map_or(Verdict::Keep, &mut judge);
            run.frame(&frame, verdict);
        });
        run.flush();
        let rest = run.end..chunk.len();
        if self.scanner.is_opaque() {
            emit(out, Bytes::copy_from_slice(&self.scanner.carry));
            recycle(&mut self.scanner.carry);
            emit(out, chunk.slice(rest));
        }
    }

    /// Ends the stream: appends to `out` what is left of an unfinished event, judged like any other.
    pub fn finish(mut self, mut judge: impl FnMut(&Event<'_>) -> Verdict, out: &mut impl Extend<Bytes>) {
        let nothing = Bytes::new();
        let mut run = Run { chunk: &nothing, start: 0, end: 0, out };
        self.scanner.last_frame(|frame| {
            let verdict = frame.event.as_ref().map_or(Verdict::Keep, &mut judge);
            run.frame(&frame, verdict);
        });
    }

    /// Whether everything that came has left, so that an event appended now would stand by itself.
    pub fn is_between_events(&self) -> bool {
        self.scanner.is_between_events()
    }
}

impl<O: Extend<Bytes>> Run<'_, O> {
    /// Deals with a frame: `held` bytes from earlier chunks, then `piece` bytes of this one.
    fn frame(&mut self, frame: &Frame<'_>, verdict: Verdict) {
        let end = self.end + frame.piece;
        match verdict {
            Verdict::Keep => {
                emit(self.out, Bytes::copy_from_slice(frame.held));
                self.end = end;
                return;
            }
            Verdict::Drop => self.flush(),
            Verdict::Replace(other) => self.replace(other),
            Verdict::ReplaceData(data) => {
                let piece = &self.chunk[self.end..end];
                let other = frame.event.as_ref().map(|event| with_data(event, &[frame.held, piece].concat(), &data));
                self.replace(other.unwrap_or_default());
            }
        }
        self.start = end;
        self.end = end;
    }

    /// Lets the kept bytes go, and puts `other` after them.
    fn replace(&mut self, other: Bytes) {
        self.flush();
        emit(self.out, other);
    }

    /// Lets the kept bytes up to the end of the finished frames go.
    fn flush(&mut self) {
        if self.start < self.end {
            self.out.extend([self.chunk.slice(self.start..self.end)]);
        }
        self.start = self.end;
    }
}

fn emit(out: &mut impl Extend<Bytes>, bytes: Bytes) {
    if !bytes.is_empty() {
        out.extend([bytes]);
    }
}

/// The bytes of an event with other data: in its place where old and new are one line each, else written anew.
fn with_data(event: &Event<'_>, frame: &[u8], data: &[u8]) -> Bytes {
    let one_line = memchr2(b'\n', b'\r', data).is_none();
    match &event.data_at {
        Some(at) if one_line && takes_value(&frame[..at.start], data) => {
            [&frame[..at.start], data, &frame[at.end..]].concat().into()
        }
        _ => encode_bytes(event.event, data),
    }
}

/// Whether `value` after `line`, the beginning of a line, is that line's value: a line may lack its colon, and one space
/// after the colon belongs to the line.
fn takes_value(line: &[u8], value: &[u8]) -> bool {
    line.ends_with(b": ") || line.ends_with(b":") && !value.starts_with(b" ")
}
