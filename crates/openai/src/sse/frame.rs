//! Where a frame ends, and what it says. A *frame* is everything up to and including a blank line: an event, or comments.

use std::ops::Range;

use memchr::{memchr, memchr2};

use super::Event;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A finished frame.
#[derive(Debug)]
pub(super) struct Frame<'f> {
    /// The part of it that came in earlier chunks, as far as it was held back.
    pub(super) held: &'f [u8],
    /// How many bytes of the current chunk end it.
    pub(super) piece: usize,
    /// The event, where the frame has data and is not opaque.
    pub(super) event: Option<Event<'f>>,
}

/// Looks for blank lines, however the stream is cut.
#[derive(Debug)]
pub(super) struct Framer {
    /// No byte of the current line has been seen.
    line_start: bool,
    /// No byte of the current frame has been seen.
    frame_start: bool,
    /// The last byte was CR: a LF that follows belongs to the same line end.
    after_cr: bool,
}

impl Default for Framer {
    fn default() -> Self {
        Self { line_start: true, frame_start: true, after_cr: false }
    }
}

impl Framer {
    /// How many bytes of `bytes` belong to the current frame, where it ends in them.
    ///
    /// A frame whose blank line is a lone CR ends there, for its event must not wait for what may be a LF. Such a LF is
    /// then a frame of its own, without meaning.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if std::mem::take(&mut self.after_cr) && bytes[at] == b'\n' {
                at += 1;
                if self.frame_start {
                    return Some(at);
                }
                continue;
            }
            self.frame_start = false;
            let Some(line) = memchr2(b'\n', b'\r', &bytes[at..]) else {
                self.line_start = false;
                return None;
            };
            let blank = self.line_start && line == 0;
            self.line_start = true;
            at += line + 1;
            self.after_cr = bytes[at - 1] == b'\r';
            if blank {
                self.frame_start = true;
                return Some(at + self.line_feed(&bytes[at..]));
            }
        }
        None
    }

    /// Takes the LF of a CRLF where it is at hand.
    fn line_feed(&mut self, rest: &[u8]) -> usize {
        let taken = self.after_cr && rest.first() == Some(&b'\n');
        self.after_cr &= !taken;
        usize::from(taken)
    }
}

/// Reads a frame; `None` where it has no data. Data lines are joined in `joined` where there are several.
pub(super) fn parse<'f>(frame: &'f [u8], range: Range<u64>, joined: &'f mut Vec<u8>) -> Option<Event<'f>> {
    let text = match frame.strip_prefix(BYTE_ORDER_MARK) {
        Some(text) if range.start == 0 => text,
        _ => frame,
    };
    let mut event = None;
    let mut first: Option<&[u8]> = None;
    let mut several = false;
    for line in lines(text) {
        match field(line) {
            (b"data", value) => match first {
                None => first = Some(value),
                Some(data) => {
                    if !several {
                        joined.extend_from_slice(data);
                    }
                    several = true;
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                }
            },
            (b"event", value) => event = Some(value),
            _ => {}
        }
    }
    let single = first?;
    let start = single.as_ptr() as usize - frame.as_ptr() as usize;
    Some(if several {
        Event { data: joined, event, range, data_at: None }
    } else {
        Event { data: single, event, range, data_at: Some(start..start + single.len()) }
    })
}

/// A line's field name and value; a comment has the empty name.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b':', line) {
        None => (line, &line[line.len()..]),
        Some(colon) => {
            let value = &line[colon + 1..];
            (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
        }
    }
}

/// The lines of `text`, without their ends (CR, LF or CRLF); what follows the last end is a line where it is not empty,
/// and an empty text is one empty line.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest?;
        let Some(end) = memchr2(b'\n', b'\r', current) else {
            rest = None;
            return Some(current);
        };
        let after = if current[end..].starts_with(b"\r\n") { end + 2 } else { end + 1 };
        rest = Some(&current[after..]).filter(|rest| !rest.is_empty());
        Some(&current[..end])
    })
}
