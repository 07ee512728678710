//! Kept-alive HTTP/1.1 connections, driven by the task that uses them.
//!
//! A connection in a task of its own would put a hop between the socket and the stopwatch: bytes are read in one
//! task and stamped in another, after whatever else is runnable. Here the request's own task polls hyper's connection
//! beside the response, so the stamp is taken in the very poll that read the bytes.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;

/// Why an exchange could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// Nobody listens, or nobody answers.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// The exchange itself went wrong.
    #[error("{}", said(.0))]
    Http(#[from] hyper::Error),
    /// The server closed the connection.
    #[error("the connection was closed")]
    Closed,
    /// What was to be fetched is no path.
    #[error("{0:?} is no path")]
    Path(String),
    /// It took too long.
    #[error("no end after {0:?}")]
    Timeout(Duration),
}

/// hyper's message with the cause that it leaves out.
fn said(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// One open connection.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: http1::Connection<TokioIo<TcpStream>, Full<Bytes>>,
    /// hyper must not be polled again once its connection has ended.
    ended: bool,
}

impl Connection {
    pub(crate) async fn open(addr: SocketAddr) -> Result<Self, ConnectionError> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver, ended: false })
    }

    /// Writes `request` and waits for the response head.
    pub(crate) async fn send(
        &mut self,
        request: http::Request<Full<Bytes>>,
    ) -> Result<http::Response<Incoming>, ConnectionError> {
        let response = self.sender.send_request(request);
        let mut response = pin!(response);
        poll_fn(|cx| self.poll_beside(cx, |cx| response.as_mut().poll(cx))).await?.map_err(ConnectionError::from)
    }

    /// The next piece of `body`, `None` at its end; trailers are passed over.
    pub(crate) async fn data(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, ConnectionError> {
        loop {
            let frame = poll_fn(|cx| self.poll_beside(cx, |cx| Pin::new(&mut *body).poll_frame(cx)));
            match frame.await? {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(None),
            }
        }
    }

    /// Polls `wanted`, then the connection, then `wanted` again with what the connection has read.
    fn poll_beside<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut wanted: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, ConnectionError>> {
        if let Poll::Ready(out) = wanted(cx) {
            return Poll::Ready(Ok(out));
        }
        if self.ended {
            return Poll::Ready(Err(ConnectionError::Closed));
        }
        let driven = Pin::new(&mut self.driver).poll(cx);
        self.ended = driven.is_ready();
        if let Poll::Ready(out) = wanted(cx) {
            return Poll::Ready(Ok(out));
        }
        match driven {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Ready(Ok(())) => Poll::Ready(Err(ConnectionError::Closed)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether the connection can take another request.
    async fn is_reusable(&mut self) -> bool {
        // A closed connection shows at the first poll; a healthy idle one is ready at once.
        let ready = poll_fn(|cx| {
            if self.ended || Pin::new(&mut self.driver).poll(cx).is_ready() {
                self.ended = true;
                return Poll::Ready(false);
            }
            Poll::Ready(matches!(self.sender.poll_ready(cx), Poll::Ready(Ok(()))))
        });
        ready.await
    }
}

/// The idle connections to one address, last used first.
pub(crate) struct Pool {
    addr: SocketAddr,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self { addr, idle: Mutex::new(Vec::new()) }
    }

    /// An idle connection, or a new one.
    pub(crate) async fn checkout(&self) -> Result<Connection, ConnectionError> {
        loop {
            let idle = self.idle.lock().pop();
            match idle {
                Some(mut connection) => {
                    if connection.is_reusable().await {
                        return Ok(connection);
                    }
                }
                None => return Connection::open(self.addr).await,
            }
        }
    }

    /// Takes back a connection whose response has been read to its end.
    pub(crate) fn give_back(&self, connection: Connection) {
        self.idle.lock().push(connection);
    }
}
