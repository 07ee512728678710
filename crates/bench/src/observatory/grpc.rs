//! A client of gRPC, as small as one call after another allows.
//!
//! HTTP/2 by hand: what the server may be told is fixed, of its answers only their ends count, and flow control is obeyed.
//! Whether a call was accepted stands in its trailers, which are compressed and not read here: the bench asks the
//! observatory's own counters afterwards.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
/// The flag of a stream's last frame, and of an acknowledgement.
const END: u8 = 1;
const END_HEADERS: u8 = 4;
/// What a receiver takes before it says how much it takes.
const WINDOW: i64 = 65_535;
const FRAME: usize = 16_384;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: TcpStream,
    address: SocketAddr,
    stream: u32,
    /// Bytes that may be sent: over all, on the stream, and on a new one.
    windows: (i64, i64, i64),
    /// Longest payload that the server takes.
    frame: usize,
}

impl Connection {
    pub(super) fn open(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(patience))?;
        socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")?;
        Ok(Self { socket, address, stream: 1, windows: (WINDOW, WINDOW, WINDOW), frame: FRAME })
    }

    /// One unary call: sends the message and waits until the server has ended its answer.
    pub(super) fn call(&mut self, path: &str, message: &[u8]) -> io::Result<()> {
        self.windows.1 = self.windows.2;
        self.send(HEADERS, END_HEADERS, &self.headers(path)?)?;
        let length = u32::try_from(message.len()).map_err(io::Error::other)?;
        let framed = [&[0], &length.to_be_bytes()[..], message].concat();
        let mut rest = framed.as_slice();
        while !rest.is_empty() {
            let allowed = usize::try_from(self.windows.0.min(self.windows.1)).unwrap_or(0);
            let (part, after) = rest.split_at(allowed.min(self.frame).min(rest.len()));
            if part.is_empty() {
                if self.receive()? {
                    return Err(io::Error::other("the call was answered before it was sent"));
                }
                continue;
            }
            self.send(DATA, if after.is_empty() { END } else { 0 }, part)?;
            self.windows.0 -= part.len() as i64;
            self.windows.1 -= part.len() as i64;
            rest = after;
        }
        while !self.receive()? {}
        self.stream += 2;
        Ok(())
    }

    /// Names by their numbers in HPACK's table, values as they are, nothing to be remembered.
    fn headers(&self, path: &str) -> io::Result<Vec<u8>> {
        const POST_OVER_HTTP: [u8; 2] = [0x83, 0x86];
        let authority = self.address.to_string();
        let mut block = POST_OVER_HTTP.to_vec();
        let fields: [(&[u8], &str); 4] =
            [(&[0x04], path), (&[0x01], &authority), (&[0x0f, 0x10], "application/grpc"), (b"\0\x02te", "trailers")];
        for (name, value) in fields {
            // A length below 127 is one byte.
            let length = u8::try_from(value.len()).ok().filter(|length| *length < 127);
            block.extend_from_slice(name);
            block.push(length.ok_or_else(|| io::Error::other("a header that is too long"))?);
            block.extend_from_slice(value.as_bytes());
        }
        Ok(block)
    }

    fn send(&mut self, kind: u8, flags: u8, payload: &[u8]) -> io::Result<()> {
        let stream = if matches!(kind, DATA | HEADERS) { self.stream } else { 0 };
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?.to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.socket.write_all(&[&head, payload].concat())
    }

    /// Takes one frame in; whether it ended the call's answer.
    fn receive(&mut self) -> io::Result<bool> {
        let mut head = [0; 9];
        self.socket.read_exact(&mut head)?;
        let [a, b, c, kind, flags, s, t, u, v] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.socket.read_exact(&mut payload)?;
        let stream = u32::from_be_bytes([s, t, u, v]) & 0x7fff_ffff;
        match kind {
            SETTINGS if flags & END == 0 => {
                self.settle(&payload);
                self.send(SETTINGS, END, &[])?;
            }
            PING if flags & END == 0 => self.send(PING, END, &payload)?,
            WINDOW_UPDATE => {
                let more = payload.try_into().map_or(0, u32::from_be_bytes).into();
                let window = if stream == 0 { &mut self.windows.0 } else { &mut self.windows.1 };
                *window += if stream == 0 || stream == self.stream { more } else { 0 };
            }
            RST_STREAM | GOAWAY => return Err(io::Error::other("the server ended the call or the connection")),
            DATA | HEADERS => return Ok(stream == self.stream && flags & END != 0),
            _ => {}
        }
        Ok(false)
    }

    fn settle(&mut self, settings: &[u8]) {
        const INITIAL_WINDOW: [u8; 2] = [0, 4];
        const MAX_FRAME: [u8; 2] = [0, 5];
        for setting in settings.chunks_exact(6) {
            let value = setting[2..].try_into().map_or(0, u32::from_be_bytes);
            if setting[..2] == INITIAL_WINDOW {
                let grown = i64::from(value) - self.windows.2;
                self.windows.1 += grown;
                self.windows.2 += grown;
            } else if setting[..2] == MAX_FRAME {
                self.frame = value as usize;
            }
        }
    }
}
