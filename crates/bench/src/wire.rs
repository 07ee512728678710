//! Reading HTTP/1.1 messages, for both ends of the bench.
//!
//! Small on purpose: one message at a time, framed by `content-length` or chunked coding (extensions and trailers
//! skipped), everything else of the head left as bytes. It is part of the yardstick, so it must cost next to nothing;
//! it reads only what the bench itself, or a proxy under test, has sent.

/// Longest head, and longest chunk-size or trailer line, in bytes.
const HEAD_LIMIT: usize = 64 * 1024;

/// Which kind of message is being read: they differ in what a missing length means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Without framing headers there is no body (RFC 9112 §6.3).
    Request,
    /// Without framing headers the body would end with the connection, which a kept-alive client cannot use.
    Response,
}

/// Why a message could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A head or a line that never ends.
    #[error("a head or line longer than {HEAD_LIMIT} bytes")]
    TooLong,
    /// A response of unknown length.
    #[error("a response without content-length or chunked coding")]
    Unframed,
    /// A length or status that is no number.
    #[error("a malformed length or status")]
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Length(usize),
    Size,
    Data(usize),
    DataEnd(usize),
    Trailer,
    Done,
}

/// Reads one message after another from bytes as they arrive.
#[derive(Debug)]
pub(crate) struct Message {
    role: Role,
    state: State,
    head: Vec<u8>,
    line: Vec<u8>,
    body: Vec<u8>,
}

impl Message {
    /// Ready for the first byte of a message.
    pub(crate) fn new(role: Role) -> Self {
        Self { role, state: State::Head, head: Vec::new(), line: Vec::new(), body: Vec::new() }
    }

    /// Forgets the message but keeps its buffers.
    pub(crate) fn reset(&mut self) {
        self.state = State::Head;
        self.head.clear();
        self.line.clear();
        self.body.clear();
    }

    /// Start line and headers, with their line ends, once complete.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The decoded body so far.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether the message is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Status code of a response whose head is complete.
    pub(crate) fn status(&self) -> Option<u16> {
        std::str::from_utf8(self.head.get(9..12)?).ok()?.parse().ok()
    }

    /// The request target, when the head is a request's.
    pub(crate) fn target(&self) -> &[u8] {
        self.head.split(|&byte| byte == b' ').nth(1).unwrap_or_default()
    }

    /// Takes bytes until the message ends; returns how many belonged to it.
    ///
    /// # Errors
    /// What came is no message; the connection is of no more use.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<usize, WireError> {
        let mut rest = bytes;
        while !rest.is_empty() && self.state != State::Done {
            let taken = self.step(rest)?;
            rest = &rest[taken..];
        }
        Ok(bytes.len() - rest.len())
    }

    fn step(&mut self, bytes: &[u8]) -> Result<usize, WireError> {
        match self.state {
            State::Head => self.take_head(bytes),
            State::Length(left) => Ok(self.take_data(bytes, left, State::Length, State::Done)),
            State::Data(left) => Ok(self.take_data(bytes, left, State::Data, State::DataEnd(2))),
            State::DataEnd(left) => {
                let taken = left.min(bytes.len());
                self.state = if taken == left { State::Size } else { State::DataEnd(left - taken) };
                Ok(taken)
            }
            State::Size | State::Trailer => self.take_line(bytes),
            State::Done => Ok(0),
        }
    }

    fn take_head(&mut self, bytes: &[u8]) -> Result<usize, WireError> {
        let before = self.head.len();
        let from = before.saturating_sub(3);
        self.head.extend_from_slice(bytes);
        let Some(end) = memchr::memmem::find(&self.head[from..], b"\r\n\r\n") else {
            return if self.head.len() > HEAD_LIMIT { Err(WireError::TooLong) } else { Ok(bytes.len()) };
        };
        self.head.truncate(from + end + 4);
        self.state = self.framing()?;
        Ok(self.head.len() - before)
    }

    fn framing(&self) -> Result<State, WireError> {
        if let Some(coding) = header(&self.head, b"transfer-encoding")
            && coding.to_ascii_lowercase().ends_with(b"chunked")
        {
            return Ok(State::Size);
        }
        let length = match (header(&self.head, b"content-length"), self.role) {
            (Some(value), _) => {
                std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(WireError::Malformed)?
            }
            (None, Role::Request) => 0,
            (None, Role::Response) => return Err(WireError::Unframed),
        };
        Ok(if length == 0 { State::Done } else { State::Length(length) })
    }

    fn take_data(&mut self, bytes: &[u8], left: usize, more: fn(usize) -> State, next: State) -> usize {
        let taken = left.min(bytes.len());
        self.body.extend_from_slice(&bytes[..taken]);
        self.state = if taken == left { next } else { more(left - taken) };
        taken
    }

    fn take_line(&mut self, bytes: &[u8]) -> Result<usize, WireError> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.line.extend_from_slice(bytes);
            return if self.line.len() > HEAD_LIMIT { Err(WireError::TooLong) } else { Ok(bytes.len()) };
        };
        self.line.extend_from_slice(&bytes[..end]);
        let line = self.line.trim_ascii_end();
        self.state = match (self.state, line.is_empty()) {
            (State::Trailer, true) => State::Done,
            (State::Trailer, false) => State::Trailer,
            _ => match chunk_size(line)? {
                0 => State::Trailer,
                size => State::Data(size),
            },
        };
        self.line.clear();
        Ok(end + 1)
    }
}

fn chunk_size(line: &[u8]) -> Result<usize, WireError> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let text = std::str::from_utf8(digits).map_err(|_| WireError::Malformed)?;
    usize::from_str_radix(text, 16).map_err(|_| WireError::Malformed)
}

/// The value of the first header called `name` (lower case) in a head.
pub(crate) fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|&byte| byte == b'\n').skip(1).find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

#[cfg(test)]
mod tests;
