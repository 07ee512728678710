//! One HTTP/1.1 upstream connection, driven by whoever uses it.
//!
//! The protocol is spoken here rather than by hyper's client, for what that client is built around: a task per connection.
//! Its two halves meet in a channel (10 KiB for its first message), read into a buffer of 8 KiB and write from another, for
//! as long as the connection is open, and wake each other for every chunk. A proxy holds a thousand connections that say
//! some hundred bytes now and then. Here a waiting connection is a socket and a few words of state: reads share a buffer per
//! thread ([`scratch`]), the request leaves from the memory it is in ([`request`]), and one event of the socket is one poll.

mod chunked;
mod head;
mod inbox;
mod malformed;
mod request;
mod scratch;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use http_body::{Frame, SizeHint};
use tokio::io::ReadBuf;

use super::Open;
use super::error::{ClientError, ErrorKind};
use crate::headers::connection_says;
use crate::io::Transport;
use crate::{Body, BoxError};
use head::{HeadReader, Scanned};
use inbox::{Framing, Inbox, Item};
use malformed::Malformed;
use request::{Broken, Upload};

/// A connection and its exchange in progress, if there is one. Dropping it closes the socket.
pub(super) struct Conn {
    transport: Transport,
    _open: Open,
    /// The request, until all of it is sent.
    upload: Option<Upload>,
    heads: HeadReader,
    inbox: Inbox,
    /// A byte has come in answer to the current request.
    answered: bool,
    /// Nothing has happened after which the connection could not serve again.
    lasting: bool,
}

impl Conn {
    /// HTTP/1.1 on a fresh stream; sends nothing.
    pub(super) fn new(transport: Transport, max_head: usize, open: Open) -> Box<Self> {
        Box::new(Self {
            transport,
            _open: open,
            upload: None,
            heads: HeadReader::new(max_head),
            inbox: Inbox::new(Framing::Length(0)),
            answered: false,
            lasting: true,
        })
    }

    /// Whether it is open, idle and can take a request. Looking costs no system call unless the socket has news, and leaves
    /// no task registered on the socket: an idle connection wakes nobody.
    pub(super) fn is_reusable(&mut self) -> bool {
        if !self.lasting || self.upload.is_some() || !self.inbox.is_clean() {
            return false;
        }
        let mut byte = [0];
        let mut quiet = Context::from_waker(Waker::noop());
        // Its end, an error and bytes that answer nothing are all reasons not to use it.
        self.transport.poll_read(&mut quiet, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// Whether a byte has come in answer to the current request.
    pub(super) fn is_answered(&self) -> bool {
        self.answered
    }

    /// Takes on a request; nothing leaves before [`Conn::response`] is polled.
    pub(super) fn begin(&mut self, parts: &Parts, body: Body) {
        self.upload = Some(Upload::new(parts, body));
        self.heads.expect(parts.method == Method::HEAD);
        self.answered = false;
        self.lasting &= !connection_says(&parts.headers, "close");
    }

    /// Whether all of the request has been sent.
    pub(super) fn is_sent(&self) -> bool {
        self.upload.is_none()
    }

    /// Closes this side: nothing more is sent, and what comes can still be read.
    pub(super) fn hang_up(&mut self) {
        self.lasting = false;
        let mut quiet = Context::from_waker(Waker::noop());
        // Of plain TCP this is done at once; where TLS cannot take leave at once, the connection is closed a little later.
        let _ = self.transport.poll_shutdown(&mut quiet);
    }

    /// Sends the request and waits for the response head; an answer may come before all of the body is sent.
    pub(super) async fn response(&mut self) -> Result<Response<()>, ClientError> {
        poll_fn(|cx| self.poll_head(cx)).await
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, ClientError>> {
        self.push_upload(cx)?;
        loop {
            let (heads, answered) = (&mut self.heads, &mut self.answered);
            let read = ready!(scratch::poll_read(&mut self.transport, cx, |bytes| {
                *answered |= !bytes.is_empty();
                heads.take(bytes)
            }));
            match read {
                Ok(Scanned::Partial) => {}
                Ok(Scanned::Whole(head, inbox)) => {
                    self.inbox = inbox;
                    self.lasting &= head.keep_alive;
                    return Poll::Ready(Ok(head.response));
                }
                Ok(Scanned::Bad(fault)) => return Poll::Ready(Err(protocol(fault))),
                Ok(Scanned::Closed) => return Poll::Ready(Err(self.cut_off(None))),
                Err(error) => return Poll::Ready(Err(self.cut_off(Some(error)))),
            }
        }
    }

    /// The next frame of the response body; must not be polled again after an error.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ClientError>>> {
        self.push_upload(cx)?;
        loop {
            match self.inbox.next() {
                Item::Frame(frame) => return Poll::Ready(Some(Ok(frame))),
                Item::End => return Poll::Ready(None),
                Item::Bad(fault) => return Poll::Ready(Some(Err(protocol(fault)))),
                Item::Starved => {}
            }
            let inbox = &mut self.inbox;
            let read = ready!(scratch::poll_read(&mut self.transport, cx, |bytes| {
                inbox.feed(bytes);
                !bytes.is_empty()
            }));
            match read {
                Ok(true) => {}
                Ok(false) if self.inbox.close() => {}
                Ok(false) => return Poll::Ready(Some(Err(self.cut_off(None)))),
                Err(error) => return Poll::Ready(Some(Err(self.cut_off(Some(error))))),
            }
        }
    }

    /// Whether the response body has been taken whole.
    pub(super) fn is_end(&self) -> bool {
        self.inbox.is_end()
    }

    /// The length of what is left of the response body.
    pub(super) fn size_hint(&self) -> SizeHint {
        self.inbox.size_hint()
    }

    /// Sends what can be sent of the request. A socket that takes no more is no error yet: an upstream that refuses a body
    /// answers and closes, and the answer is there to be read.
    fn push_upload(&mut self, cx: &mut Context<'_>) -> Result<(), ClientError> {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        match upload.poll_send(cx, &mut self.transport) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(Broken::Socket(error))) => {
                tracing::debug!(%error, "request not sent to its end");
                self.lasting = false;
            }
            Poll::Ready(Err(Broken::Body(error))) => return Err(self.failed(ErrorKind::RequestBody, error)),
        }
        self.upload = None;
        Ok(())
    }

    /// The stream ended, or failed, where more had to come.
    fn cut_off(&self, error: Option<io::Error>) -> ClientError {
        let kind = if self.answered { ErrorKind::ResetMidResponse } else { ErrorKind::ClosedBeforeResponse };
        ClientError::new(kind, error.map(BoxError::from)).on(false, self.answered)
    }

    fn failed(&self, kind: ErrorKind, error: BoxError) -> ClientError {
        ClientError::new(kind, error).on(false, self.answered)
    }
}

fn protocol(fault: Malformed) -> ClientError {
    ClientError::new(ErrorKind::Protocol, BoxError::from(fault)).on(false, true)
}
