//! A response body on its way in: bytes are fed, frames are taken. Owns no socket.

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::chunked::{Chunked, Progress};
use super::malformed::Malformed;

/// How a body is delimited.
#[derive(Debug)]
pub(super) enum Framing {
    /// This many bytes are still to come.
    Length(u64),
    /// In chunks that say their size.
    Chunked(Chunked),
    /// Until the upstream closes.
    UntilClose,
}

/// What has come of a body and was not taken yet. All data of one read is one frame: chunks are a matter of one hop.
#[derive(Debug)]
pub(super) struct Inbox {
    framing: Framing,
    data: Bytes,
    /// What comes behind `data`.
    then: Progress,
}

/// What can be taken from an [`Inbox`].
#[derive(Debug)]
pub(super) enum Item {
    Frame(Frame<Bytes>),
    /// Nothing: more must be fed.
    Starved,
    /// The body is over.
    End,
    /// The body is broken here.
    Bad(Malformed),
}

impl Inbox {
    /// A body of which nothing has come.
    pub(super) fn new(framing: Framing) -> Self {
        let then = match framing {
            Framing::Length(0) => end(false),
            _ => Progress::More,
        };
        Self { framing, data: Bytes::new(), then }
    }

    /// Takes bytes in, as a copy of their data; only while [`Inbox::next`] says that it is starved, or before it was asked.
    pub(super) fn feed(&mut self, bytes: &mut [u8]) {
        let (data, then) = match &mut self.framing {
            _ if bytes.is_empty() => return,
            Framing::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= here as u64;
                (here, if *left == 0 { end(here < bytes.len()) } else { Progress::More })
            }
            Framing::Chunked(chunked) => chunked.decode(bytes),
            Framing::UntilClose => (bytes.len(), Progress::More),
        };
        self.data = Bytes::copy_from_slice(&bytes[..data]);
        self.then = then;
    }

    /// The upstream has closed; whether that is a proper end of the body.
    pub(super) fn close(&mut self) -> bool {
        let proper = matches!(self.framing, Framing::UntilClose);
        if proper {
            self.then = end(true);
        }
        proper
    }

    /// The next of the body.
    pub(super) fn next(&mut self) -> Item {
        if !self.data.is_empty() {
            return Item::Frame(Frame::data(std::mem::take(&mut self.data)));
        }
        match &mut self.then {
            Progress::More => Item::Starved,
            Progress::End { trailers, .. } if trailers.is_empty() => Item::End,
            Progress::End { trailers, .. } => Item::Frame(Frame::trailers(std::mem::take(trailers))),
            Progress::Bad(fault) => Item::Bad(*fault),
        }
    }

    /// Whether everything has been taken.
    pub(super) fn is_end(&self) -> bool {
        let over = matches!(&self.then, Progress::End { trailers, .. } if trailers.is_empty());
        over && self.data.is_empty()
    }

    /// Whether everything has been taken, and nothing came behind it: the connection's next bytes answer the next request.
    pub(super) fn is_clean(&self) -> bool {
        self.is_end() && matches!(self.then, Progress::End { excess: false, .. })
    }

    /// The bytes of data still to be taken, where the upstream declared them. A chunked body stays one of unknown length even
    /// when all of it is here, since a known length leaves no room for trailers further on.
    pub(super) fn size_hint(&self) -> SizeHint {
        match &self.framing {
            Framing::Length(left) => SizeHint::with_exact(left + self.data.len() as u64),
            Framing::Chunked(_) | Framing::UntilClose => SizeHint::default(),
        }
    }
}

fn end(excess: bool) -> Progress {
    Progress::End { trailers: HeaderMap::new(), excess }
}
