//! The body of an upstream's response, which owns the connection it comes by.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use telemetry::clock::Moment;

use super::error::ClientError;
use super::h1;
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
    source: Source,
    exchange: Exchange,
}

/// Where a body comes from.
enum Source {
    /// Its own connection, moved whenever the body is polled.
    Inline { conn: Box<h1::Conn>, host: Arc<Host> },
    /// A shared connection, which a task of the client moves.
    Shared(Incoming),
    /// Nowhere: all of it has been taken.
    Done,
}

impl UpstreamBody {
    pub(super) fn inline(conn: Box<h1::Conn>, host: Arc<Host>, exchange: Exchange) -> Self {
        let whole = conn.is_end();
        let mut body = Self { source: Source::Inline { conn, host }, exchange };
        if whole {
            body.release();
        }
        body
    }

    pub(super) fn shared(incoming: Incoming, exchange: Exchange) -> Self {
        Self { source: Source::Shared(incoming), exchange }
    }

    /// How the exchange went.
    #[must_use]
    pub fn exchange(&self) -> Exchange {
        self.exchange
    }

    /// The body is whole: the connection goes back to its pool, if it can serve again.
    fn release(&mut self) {
        if let Source::Inline { mut conn, host } = std::mem::replace(&mut self.source, Source::Done)
            && conn.is_reusable()
        {
            host.park(conn);
        }
    }
}

/// Frames of up to this many bytes, tokens that is, are copied out of HTTP/2's read buffer.
const TOKEN_BYTES: usize = 1024;

/// A copy of a short frame. A slice of the connection's read buffer would keep all of the buffer alive, and the connection
/// from reading into it again.
fn detached(data: Bytes) -> Bytes {
    if data.len() <= TOKEN_BYTES { Bytes::copy_from_slice(&data) } else { data }
}

impl HttpBody for UpstreamBody {
    type Data = Bytes;
    type Error = ClientError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ClientError>>> {
        let this = self.get_mut();
        let conn = match &mut this.source {
            Source::Inline { conn, .. } => conn,
            Source::Shared(incoming) => {
                let item = ready!(Pin::new(incoming).poll_frame(cx));
                return Poll::Ready(item.map(|frame| match frame {
                    Ok(frame) => Ok(frame.map_data(detached)),
                    Err(error) => Err(ClientError::from_hyper(error, true).on(this.exchange.reused, true)),
                }));
            }
            Source::Done => return Poll::Ready(None),
        };
        let item = ready!(conn.poll_frame(cx));
        let whole = conn.is_end();
        Poll::Ready(match item {
            Some(Err(error)) => {
                this.source = Source::Done;
                Some(Err(error.on(this.exchange.reused, true)))
            }
            item => {
                if whole {
                    this.release();
                }
                item.and_then(Result::ok).map(Ok)
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Inline { conn, .. } => conn.is_end(),
            Source::Shared(incoming) => incoming.is_end_stream(),
            Source::Done => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Inline { conn, .. } => conn.size_hint(),
            Source::Shared(incoming) => incoming.size_hint(),
            Source::Done => SizeHint::with_exact(0),
        }
    }
}

impl std::fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamBody").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}
