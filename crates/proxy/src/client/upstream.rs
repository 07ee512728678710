//! The body of an upstream's response, which owns the connection it comes by.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use telemetry::clock::Moment;

use super::error::ClientError;
use super::h1::{self, Driven};
use super::pool::Host;

/// How the exchange that produced a response went.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// The connection had served a request before.
    pub reused: bool,
    /// A pooled connection turned out closed, and the request was sent again on a fresh one.
    pub retried_stale: bool,
    /// When the request was handed to the connection (the last time, if it was sent twice).
    pub sent: Moment,
}

/// A response body. Reading it to its end gives the connection back to the pool; dropping it earlier closes the connection
/// (HTTP/1.1) or resets the stream (HTTP/2), which is how an engine learns that nobody waits any more.
pub struct UpstreamBody {
    incoming: Incoming,
    driver: Driver,
    exchange: Exchange,
}

/// Who moves the bytes of a body.
enum Driver {
    /// We do, whenever we are polled.
    Inline { conn: Box<h1::Conn>, host: Arc<Host> },
    /// A task of the client does.
    Shared,
    /// Nothing is left to move.
    Done,
}

impl UpstreamBody {
    pub(super) fn inline(incoming: Incoming, conn: Box<h1::Conn>, host: Arc<Host>, exchange: Exchange) -> Self {
        let mut body = Self { incoming, driver: Driver::Inline { conn, host }, exchange };
        if body.incoming.is_end_stream() {
            body.release();
        }
        body
    }

    pub(super) fn shared(incoming: Incoming, exchange: Exchange) -> Self {
        Self { incoming, driver: Driver::Shared, exchange }
    }

    /// How the exchange went.
    #[must_use]
    pub fn exchange(&self) -> Exchange {
        self.exchange
    }

    /// The body is whole: the connection goes back to its pool, if it can serve again.
    fn release(&mut self) {
        if let Driver::Inline { mut conn, host } = std::mem::replace(&mut self.driver, Driver::Done)
            && conn.is_reusable()
        {
            host.park(conn);
        }
    }

    /// Polls for a frame, moving the connection only when no frame is waiting already.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Driver::Inline { conn, .. } = &mut self.driver else {
            return Pin::new(&mut self.incoming).poll_frame(cx);
        };
        // Frames come from nowhere but the connection, which has our waker: the channel between needs none.
        let mut quiet = Context::from_waker(Waker::noop());
        let waiting = Pin::new(&mut self.incoming).poll_frame(&mut quiet);
        if waiting.is_ready() {
            return waiting;
        }
        match conn.drive_for(cx, |cx| Pin::new(&mut self.incoming).poll_frame(cx)) {
            Driven::Yielded(item) => Poll::Ready(item),
            Driven::Waiting => Poll::Pending,
            Driven::Over(_) => {
                // It must not be polled again. What it has read is in the channel, then its end or its error.
                self.driver = Driver::Done;
                Pin::new(&mut self.incoming).poll_frame(cx)
            }
        }
    }
}

/// Data frames of up to this many bytes, tokens that is, leave the connection's read buffer.
const TOKEN_BYTES: usize = 1024;

/// A copy of a short frame, so that the connection may go on reading into the same buffer. While a slice of that buffer is
/// alive (queued for the client, say), the next read has to take a fresh buffer of 8 KiB: for every token, and twice the
/// memory for every stream.
fn detached(data: Bytes) -> Bytes {
    if data.len() <= TOKEN_BYTES { Bytes::copy_from_slice(&data) } else { data }
}

impl HttpBody for UpstreamBody {
    type Data = Bytes;
    type Error = ClientError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ClientError>>> {
        let this = self.get_mut();
        let item = std::task::ready!(this.poll_incoming(cx));
        Poll::Ready(match item {
            Some(Ok(frame)) => {
                let frame = frame.map_data(detached);
                if frame.is_trailers() || this.incoming.is_end_stream() {
                    this.release();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                this.driver = Driver::Done;
                Some(Err(ClientError::from_hyper(error, true).on(this.exchange.reused, true)))
            }
            None => {
                this.release();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl std::fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamBody").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}
