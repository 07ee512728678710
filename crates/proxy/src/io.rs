//! The one stream type under both server and client, and what it notes about its own traffic.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use telemetry::Peer;
use telemetry::clock::{self, Moment};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::egress::EgressWatch;

/// Plain TCP, or TLS from either side. The TLS states are boxed: they are large, and a plain connection should not pay.
pub(crate) enum Transport {
    Plain(TcpStream),
    TlsServer(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    TlsClient(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// What a connection has moved so far. Shared between the stream (which hyper owns) and whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    read: AtomicU64,
    written: AtomicU64,
    /// Raw nanoseconds of a [`Moment`]; 0 before the first write.
    last_write: AtomicU64,
    peer: Peer,
}

impl Traffic {
    /// Bytes read (within TLS, where there is any).
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes the kernel took.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// When the kernel last took bytes.
    pub(crate) fn last_write(&self) -> Option<Moment> {
        match self.last_write.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Moment::from_nanos(nanos)),
        }
    }

    /// What is known of the other side beside.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    fn note_write(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        self.last_write.store(clock::now().as_nanos(), Ordering::Relaxed);
    }
}

/// A stream that counts its traffic and can be handed bytes that were read ahead.
pub(crate) struct Wire {
    transport: Transport,
    traffic: Arc<Traffic>,
    egress: Option<EgressWatch>,
    ahead: Ahead,
}

/// The bytes read to tell HTTP/2 from HTTP/1, until hyper has taken them.
#[derive(Default)]
struct Ahead {
    bytes: [u8; Wire::PEEK],
    len: u8,
    taken: u8,
}

impl Wire {
    /// As many bytes as the HTTP/2 preface has.
    pub(crate) const PEEK: usize = 24;

    pub(crate) fn new(transport: Transport, traffic: Arc<Traffic>, egress: Option<EgressWatch>) -> Self {
        Self { transport, traffic, egress, ahead: Ahead::default() }
    }

    fn wrote(&self, bytes: usize) {
        self.traffic.note_write(bytes);
        if let Some(egress) = self.egress.as_ref().filter(|_| self.traffic.peer.is_followed()) {
            egress.follow(self.transport.socket());
        }
    }

    /// Reads ahead until the bytes differ from `preface` or equal it; says whether they equal it. They stay readable.
    ///
    /// # Errors
    /// What the stream says; the end of the stream is not an error and counts as "differs".
    pub(crate) fn poll_starts_with(
        &mut self,
        cx: &mut Context<'_>,
        preface: &[u8; Self::PEEK],
    ) -> Poll<io::Result<bool>> {
        loop {
            let have = usize::from(self.ahead.len);
            if self.ahead.bytes[..have] != preface[..have] {
                return Poll::Ready(Ok(false));
            }
            if have == Self::PEEK {
                return Poll::Ready(Ok(true));
            }
            let mut buf = ReadBuf::new(&mut self.ahead.bytes[have..]);
            ready!(self.transport.poll_read(cx, &mut buf))?;
            let got = buf.filled().len();
            if got == 0 {
                return Poll::Ready(Ok(false));
            }
            self.traffic.read.fetch_add(got as u64, Ordering::Relaxed);
            self.ahead.len += u8::try_from(got).unwrap_or(u8::MAX);
        }
    }
}

impl Transport {
    /// The TCP connection beneath.
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::TlsServer(stream) => stream.get_ref().0,
            Self::TlsClient(stream) => stream.get_ref().0,
        }
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::TlsServer(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::TlsClient(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::TlsServer(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::TlsClient(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => poll_gathered(stream, cx, slices),
            Self::TlsServer(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::TlsClient(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::TlsServer(stream) => stream.is_write_vectored(),
            Self::TlsClient(stream) => stream.is_write_vectored(),
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            // Nothing is buffered above the kernel.
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::TlsServer(stream) => Pin::new(stream).poll_flush(cx),
            Self::TlsClient(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::TlsServer(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::TlsClient(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Ahead {
    /// Moves what fits into `buf`; whether there was anything.
    fn take(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let waiting = &self.bytes[usize::from(self.taken)..usize::from(self.len)];
        let moved = waiting.len().min(buf.remaining());
        buf.put_slice(&waiting[..moved]);
        self.taken += u8::try_from(moved).unwrap_or(u8::MAX);
        moved > 0
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let handed = this.ahead.take(buf);
        if handed && buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // What was read ahead is joined with what follows it: alone, it would be half a head for hyper to parse in vain.
        let before = buf.filled().len();
        match this.transport.poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {}
            // Anything but more bytes is news for the next read.
            Poll::Pending | Poll::Ready(Err(_)) if handed => return Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => {
                this.traffic.peer.note_left();
                return Poll::Ready(Err(error));
            }
            Poll::Pending => return Poll::Pending,
        }
        let got = buf.filled().len() - before;
        if got == 0 && !handed && buf.remaining() > 0 {
            this.traffic.peer.note_left();
        }
        this.traffic.read.fetch_add(got as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(this.transport.poll_write(cx, bytes))?;
        this.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(this.transport.poll_write_vectored(cx, slices))?;
        this.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().transport.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().transport.poll_shutdown(cx)
    }
}

/// Up to this many bytes are copied together rather than handed to the kernel as a list: a head with a short body, or one
/// token's chunk with its size line.
const GATHER: usize = 2048;

/// Writes several slices. `send` of few bytes costs less than `writev` of the same bytes in pieces, copy included.
fn poll_gathered(stream: &mut TcpStream, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    let mut gathered = [0; GATHER];
    let mut len = 0;
    for slice in slices {
        let Some(room) = gathered.get_mut(len..len + slice.len()) else {
            return Pin::new(stream).poll_write_vectored(cx, slices);
        };
        room.copy_from_slice(slice);
        len += slice.len();
    }
    Pin::new(stream).poll_write(cx, &gathered[..len])
}
