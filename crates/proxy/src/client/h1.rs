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
        Ok(Box::new(Self { sender, connection, traffic }))
    }

    /// Whether it is open, idle and can take a request. Looking costs no system call unless the socket has news, and leaves
    /// no task registered on the socket: an idle connection wakes nobody.
    pub(super) fn is_reusable(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.drive(&mut cx).is_pending() && self.sender.is_ready()
    }

    /// Lets the connection read, write and flush; ready when it is over.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        Pin::new(&mut self.connection).poll(cx)
    }

    /// Bytes read since the connection was opened.
    pub(super) fn bytes_read(&self) -> u64 {
        self.traffic.read()
    }

    /// Sends a request and waits for the response head, driving the connection meanwhile.
    pub(super) async fn exchange(&mut self, request: Request<Body>) -> Result<Response<Incoming>, ClientError> {
        let Self { sender, connection, traffic } = self;
        let read_before = traffic.read();
        let mut response = pin!(sender.try_send_request(request));
        let outcome = poll_fn(|cx| {
            let over = Pin::new(&mut *connection).poll(cx);
            // Only the connection, just polled, can have answered: it needs no way to wake us a second time.
            let mut cx = Context::from_waker(Waker::noop());
            match (response.as_mut().poll(&mut cx), over) {
                (Poll::Ready(answer), _) => Poll::Ready(answer.map_err(|refused| Some(refused.into_error()))),
                (Poll::Pending, Poll::Ready(over)) => Poll::Ready(Err(over.err())),
                (Poll::Pending, Poll::Pending) => Poll::Pending,
            }
        })
        .await;
        outcome.map_err(|error| match error {
            Some(error) => ClientError::from_hyper(error, traffic.read() > read_before),
            None => ClientError::new(ErrorKind::ClosedBeforeResponse, None),
        })
    }
}
