//! One kept-alive client connection with its stopwatch.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::engine::{DWELL, TOKEN};
use crate::stopwatch::now;
use crate::wire::{Message, Role, WireError};

/// Digits of the engine's own time in the first token.
const DWELL_DIGITS: usize = 12;

/// Why one request failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection could not be used.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The answer was no HTTP.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The answer was not 200.
    #[error("status {0}: {1}")]
    Status(u16, String),
    /// A stream of another length than ordered.
    #[error("{0} tokens arrived of {1}")]
    Tokens(usize, usize),
}

/// One answered request, in ns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    /// From just before the request was written to the end of the answer.
    pub(crate) total: u64,
    /// Time to first token less the engine's own time: what the way there and back took. Streams only.
    pub(crate) added: Option<u64>,
    /// When the answer ended.
    pub(crate) at: u64,
}

/// A connection and the request on it.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) socket: TcpStream,
    response: Message,
    sent: u64,
    added: Option<u64>,
    /// Requests sent in this phase.
    pub(crate) rounds: u32,
}

impl Conn {
    /// Connects, blocking: a loopback listener answers at once or not at all.
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, response: Message::new(Role::Response), sent: 0, added: None, rounds: 0 })
    }

    /// Sends a request; the connection has none under way, so its send buffer is empty and takes all of it.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<(), Failure> {
        self.response.reset();
        self.added = None;
        self.rounds += 1;
        self.sent = now();
        if self.socket.write(request)? == request.len() {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::WriteZero).into())
        }
    }

    /// Reads what has come; `Some` when the answer is complete and as ordered.
    pub(crate) fn read(&mut self, buffer: &mut [u8], tokens: Option<usize>) -> Result<Option<Answered>, Failure> {
        let count = match self.socket.read(buffer) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let at = now();
        let taken = self.response.feed(&buffer[..count])?;
        if tokens.is_some() && self.added.is_none() {
            self.added = dwell(self.response.body()).map(|dwell| (at - self.sent).saturating_sub(dwell));
        }
        if !self.response.is_done() {
            return Ok(None);
        }
        if taken < count {
            return Err(io::Error::other("bytes after the answer").into());
        }
        self.check(tokens)?;
        Ok(Some(Answered { total: at - self.sent, added: self.added, at }))
    }

    fn check(&self, tokens: Option<usize>) -> Result<(), Failure> {
        let body = self.response.body();
        let status = self.response.status().unwrap_or(0);
        if status != 200 {
            return Err(Failure::Status(status, String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned()));
        }
        let Some(ordered) = tokens else { return Ok(()) };
        let arrived = memchr::memmem::find_iter(body, TOKEN).count();
        if arrived == ordered && body.ends_with(b"data: [DONE]\n\n") {
            Ok(())
        } else {
            Err(Failure::Tokens(arrived, ordered))
        }
    }
}

/// The engine's own time, once its digits have arrived.
fn dwell(body: &[u8]) -> Option<u64> {
    let from = memchr::memmem::find(body, DWELL.as_bytes())? + DWELL.len();
    std::str::from_utf8(body.get(from..from + DWELL_DIGITS)?).ok()?.parse().ok()
}
