//! A request on its way out: head and body written together, as far as the socket takes them.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, header};
use http_body::{Body as _, Frame};

use crate::io::Transport;
use crate::{Body, BoxError};

/// What the encoder decides itself, by the body it has.
const FRAMING: [HeaderName; 2] = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];

/// Fields that mean nothing, or something dangerous, behind a body (RFC 9110, 6.5.1).
const NO_TRAILERS: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
];

/// Why a request could not be sent to its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// The socket takes no more. An answer may have come nevertheless.
    Socket(io::Error),
    /// The body failed, or is not as long as it said.
    Body(BoxError),
}

/// A request being sent. Holds at most one frame of the body.
pub(super) struct Upload {
    /// The head, or the framing before `data`; written up to `written`.
    prefix: Vec<u8>,
    written: usize,
    data: Bytes,
    suffix: &'static [u8],
    body: Body,
    left: Left,
    unflushed: bool,
}

/// What is still to be taken from the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// This many bytes.
    Known(u64),
    /// Chunks, until the body ends.
    Chunks,
    Nothing,
}

impl Upload {
    /// Encodes the head. The length is what the body says of itself, whatever the headers say.
    pub(super) fn new(parts: &Parts, body: Body) -> Self {
        let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
        let left = match length {
            Some(0) => Left::Nothing,
            Some(length) => Left::Known(length),
            None => Left::Chunks,
        };
        let prefix = encode_head(parts, length);
        Self { prefix, written: 0, data: Bytes::new(), suffix: b"", body, left, unflushed: false }
    }

    /// Takes from the body and writes until all is with the kernel.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, transport: &mut Transport) -> Poll<Result<(), Broken>> {
        loop {
            // The first frame is asked for before the head is written: usually they leave in one segment.
            let starved = self.data.is_empty() && self.suffix.is_empty() && self.left != Left::Nothing;
            let waiting = starved && self.poll_load(cx).map_err(Broken::Body)?.is_pending();
            while self.has_bytes() {
                let written = ready!(self.poll_write(cx, transport)).map_err(Broken::Socket)?;
                self.advance(written);
            }
            let over = self.left == Left::Nothing;
            if self.unflushed && (waiting || over) {
                ready!(transport.poll_flush(cx)).map_err(Broken::Socket)?;
                self.unflushed = false;
            }
            if waiting {
                return Poll::Pending;
            }
            if over && !self.has_bytes() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn has_bytes(&self) -> bool {
        self.written < self.prefix.len() || !self.data.is_empty() || !self.suffix.is_empty()
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, transport: &mut Transport) -> Poll<io::Result<usize>> {
        let slices = [&self.prefix[self.written..], &self.data[..], self.suffix].map(IoSlice::new);
        let written = ready!(transport.poll_write_vectored(cx, &slices))?;
        self.unflushed = true;
        Poll::Ready(if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(written) })
    }

    fn advance(&mut self, written: usize) {
        let of_prefix = written.min(self.prefix.len() - self.written);
        self.written += of_prefix;
        let of_data = (written - of_prefix).min(self.data.len());
        self.data.advance(of_data);
        self.suffix = &self.suffix[written - of_prefix - of_data..];
        if self.written == self.prefix.len() {
            // The memory of a head is not kept while its answer is awaited.
            (self.prefix, self.written) = (Vec::new(), 0);
        }
    }

    /// Asks the body for its next frame and frames it.
    fn poll_load(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(frame) => frame?,
            None => return Poll::Ready(self.finish(None)),
        };
        Poll::Ready(match frame.into_data() {
            Ok(data) => self.load(data),
            Err(frame) => self.finish(Frame::into_trailers(frame).ok().as_ref()),
        })
    }

    fn load(&mut self, data: Bytes) -> Result<(), BoxError> {
        match &mut self.left {
            Left::Known(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or("the body is longer than it said")?;
                if *left == 0 {
                    self.left = Left::Nothing;
                }
                self.data = data;
            }
            Left::Chunks if !data.is_empty() => {
                // Writing to a vector cannot fail.
                let _ = write!(self.prefix, "{:x}\r\n", data.len());
                self.data = data;
                self.suffix = b"\r\n";
                if self.body.is_end_stream() {
                    self.suffix = b"\r\n0\r\n\r\n";
                    self.left = Left::Nothing;
                }
            }
            // A chunk of no bytes would end the body.
            Left::Chunks | Left::Nothing => {}
        }
        Ok(())
    }

    /// The body is over.
    fn finish(&mut self, trailers: Option<&HeaderMap>) -> Result<(), BoxError> {
        match std::mem::replace(&mut self.left, Left::Nothing) {
            Left::Known(_) => return Err("the body is shorter than it said".into()),
            Left::Chunks => {
                self.prefix.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten().filter(|(name, _)| !NO_TRAILERS.contains(name)) {
                    push_field(&mut self.prefix, name, value.as_bytes());
                }
                self.prefix.extend_from_slice(b"\r\n");
            }
            Left::Nothing => {}
        }
        Ok(())
    }
}

/// The request line and the fields, with those that delimit a body of `length` bytes (`None`: in chunks).
pub(super) fn encode_head(parts: &Parts, length: Option<u64>) -> Vec<u8> {
    let mut head = Vec::with_capacity(64 + 48 * parts.headers.len());
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let slash = if path.starts_with(['/', '*']) { "" } else { "/" };
    // Writing to a vector cannot fail.
    let _ = write!(head, "{} {slash}{path} HTTP/1.1\r\n", parts.method);
    for (name, value) in parts.headers.iter().filter(|(name, _)| !FRAMING.contains(name)) {
        push_field(&mut head, name, value.as_bytes());
    }
    // A method that usually has a body says when it has none (RFC 9110, 8.6).
    let expects_body = matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
    let _ = match length {
        None => write!(head, "transfer-encoding: chunked\r\n\r\n"),
        Some(0) if !expects_body => write!(head, "\r\n"),
        Some(length) => write!(head, "content-length: {length}\r\n\r\n"),
    };
    head
}

fn push_field(to: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        to.extend_from_slice(part);
    }
}
