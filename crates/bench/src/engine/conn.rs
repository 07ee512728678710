//! One connection to the null engine: reads requests, holds the answer that the socket did not take.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::answer;
use super::order::Order;
use crate::wire::{Message, Role};

/// An answer on its way out: a stream, or a prefill that takes time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paced {
    order: Order,
    sent: u32,
}

impl Paced {
    /// Nothing sent yet.
    pub(crate) fn new(order: Order) -> Self {
        Self { order, sent: 0 }
    }

    /// When the next token is due. Counted from the first, so that lateness does not add up.
    pub(crate) fn due(&self) -> u64 {
        self.order.received + self.order.ttft + u64::from(self.sent) * self.order.interval
    }

    /// The number under which it is noted when the client leaves.
    pub(crate) fn watch(&self) -> Option<u64> {
        Some(self.order.watch).filter(|&watch| watch > 0)
    }

    /// Writes the next token; returns whether it was the last.
    pub(crate) fn push_next(&mut self, out: &mut Vec<u8>, now: u64) -> bool {
        self.sent += 1;
        if self.order.prefill {
            out.extend_from_slice(&answer::PREFILL);
            return true;
        }
        let last = self.sent == self.order.tokens;
        if self.sent == 1 {
            if self.order.late_head {
                answer::push_stream_head(out);
            }
            answer::push_role(out);
            answer::push_first_token(out, now.saturating_sub(self.order.received), last);
        } else {
            answer::push_token(out, last);
        }
        if last {
            answer::push_end(out, self.order.tokens, self.order.include_usage);
        }
        last
    }
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) socket: TcpStream,
    pub(crate) request: Message,
    /// The answer being sent on it, if any.
    pub(crate) paced: Option<Paced>,
    /// Distinguishes this connection from an earlier one in the same slot.
    pub(crate) generation: u64,
    unsent: Vec<u8>,
}

impl Conn {
    /// A connection just accepted.
    ///
    /// # Errors
    /// The socket refuses its options.
    pub(crate) fn new(socket: TcpStream, generation: u64) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, request: Message::new(Role::Request), paced: None, generation, unsent: Vec::new() })
    }

    /// Reads what there is into `buffer`; `Ok(None)` when there is nothing yet, `Ok(Some(0))` when the client has left.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.socket.read(buffer) {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends `bytes` after everything unsent; returns whether something is still left.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return self.flush();
        }
        let written = self.write(bytes)?;
        self.unsent.extend_from_slice(&bytes[written..]);
        Ok(!self.unsent.is_empty())
    }

    /// Sends what is unsent; returns whether something is still left.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        let unsent = std::mem::take(&mut self.unsent);
        let written = self.write(&unsent)?;
        self.unsent = unsent;
        self.unsent.drain(..written);
        Ok(!self.unsent.is_empty())
    }

    /// Whether an earlier answer is still in the way.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.unsent.is_empty()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match self.socket.write(&bytes[written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }
}
