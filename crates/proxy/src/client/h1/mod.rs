//! One HTTP/1.1 upstream connection, driven by whoever uses it.

use std::future::Future;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::error::{ClientError, ErrorKind};
use crate::Body;
use crate::io::{Traffic, Transport, Wire};

/// Both halves of a hyper connection, kept together. Dropping it closes the socket.
pub(super) struct Conn {
    sender: http1::SendRequest<Body>,
    connection: http1::Connection<TokioIo<Wire>, Body>,
    traffic: Arc<Traffic>,
    /// The last poll left the caller's waker on the socket.
    registered: bool,
    /// The connection is over, and must not be polled again.
    over: bool,
}

/// What came of driving a connection.
pub(super) enum Driven<T> {
    /// What was waited for.
    Yielded(T),
    /// Nothing yet; the caller will be woken.
    Waiting,
    /// Nothing, and the connection is over: by itself, or by this error.
    Over(Option<hyper::Error>),
}

impl Conn {
    /// Sets HTTP/1.1 up on a fresh stream; sends nothing.
    pub(super) async fn handshake(transport: Transport, max_head: usize) -> Result<Box<Self>, ClientError> {
        let traffic = Arc::new(Traffic::default());
        let wire = Wire::new(transport, Arc::clone(&traffic));
        let (sender, connection) = http1::Builder::new()
            .max_header_size(max_head)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|error| ClientError::from_hyper(error, false))?;
        Ok(Box::new(Self { sender, connection, traffic, registered: false, over: false }))
    }

    /// Whether it is open, idle and can take a request. Looking costs no system call unless the socket has news, and leaves
    /// no task registered on the socket: an idle connection wakes nobody.
    pub(super) fn is_reusable(&mut self) -> bool {
        self.registered = false;
        self.poll(&mut Context::from_waker(Waker::noop()));
        !self.over && self.sender.is_ready()
    }

    /// Lets the connection read, write and flush; its error, when it ends with one.
    fn poll(&mut self, cx: &mut Context<'_>) -> Option<hyper::Error> {
        if self.over {
            return None;
        }
        match Pin::new(&mut self.connection).poll(cx) {
            Poll::Pending => None,
            Poll::Ready(outcome) => {
                self.over = true;
                outcome.err()
            }
        }
    }

    /// Bytes read since the connection was opened.
    pub(super) fn bytes_read(&self) -> u64 {
        self.traffic.read()
    }

    /// Lets the connection read, write and flush until `product` yields, which only the connection can make it do.
    ///
    /// hyper's halves wake each other whenever one takes what the other gave. With both in one task that would be a second
    /// run of the whole task for every chunk, to find nothing. So a connection that has been woken is first moved with a
    /// waker that does nothing; only when that yields nothing is the caller's waker left with the socket.
    pub(super) fn drive_for<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut product: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Driven<T> {
        let mut quiet = Context::from_waker(Waker::noop());
        let mut error = None;
        if std::mem::take(&mut self.registered) {
            error = self.poll(&mut quiet);
            if let Poll::Ready(item) = product(&mut quiet) {
                return Driven::Yielded(item);
            }
        }
        error = error.or_else(|| self.poll(cx));
        self.registered = true;
        match product(&mut quiet) {
            Poll::Ready(item) => Driven::Yielded(item),
            Poll::Pending if self.over => Driven::Over(error),
            Poll::Pending => Driven::Waiting,
        }
    }

    /// Sends a request and waits for the response head, driving the connection meanwhile.
    pub(super) async fn exchange(&mut self, request: Request<Body>) -> Result<Response<Incoming>, ClientError> {
        let read_before = self.bytes_read();
        let mut response = pin!(self.sender.try_send_request(request));
        let outcome = poll_fn(|cx| match self.drive_for(cx, |cx| response.as_mut().poll(cx)) {
            Driven::Yielded(answer) => Poll::Ready(answer.map_err(|refused| Some(refused.into_error()))),
            Driven::Over(error) => Poll::Ready(Err(error)),
            Driven::Waiting => Poll::Pending,
        })
        .await;
        outcome.map_err(|error| match error {
            Some(error) => ClientError::from_hyper(error, self.bytes_read() > read_before),
            None => ClientError::new(ErrorKind::ClosedBeforeResponse, None),
        })
    }
}
