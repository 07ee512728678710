//! The HTTP server: HTTP/1.1 and HTTP/2 (prior knowledge, or ALPN over TLS) on one port.
//!
//! What a component may rely on:
//! - A client that leaves is felt at once: hyper drops the handler's future or the response body, whichever runs.
//! - A handler that panics costs its client a 500 and nobody else anything.
//! - A connection that sends its head too slowly, or nothing for too long, is closed. This is done by one sweep over all
//!   connections rather than by timers of their own, which would cost each request two trips to the timer wheel.
//! - `TCP_NODELAY` is set on every accepted socket: with Nagle's algorithm the first token waits for the client's delayed
//!   acknowledgement of the response head, some 40 ms.

mod accept;
mod connection;
mod registry;
mod service;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::TcpListener;

pub use service::{ConnInfo, Egress};

use crate::tls::ServerTls;
use crate::{Body, Drain, EgressWatch};

/// How many connections may wait to be accepted. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How a [`Listener`] treats its connections.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// TLS, where connections are to be encrypted.
    pub tls: Option<ServerTls>,
    /// Longest time from a connection's acceptance (TLS handshake included), or from the first byte of a later request, to
    /// the end of the request head.
    pub header_timeout: Duration,
    /// Longest time a kept-alive connection may be silent between requests.
    pub idle_timeout: Duration,
    /// Longest request head, in bytes; longer ones are answered 431.
    pub max_header_bytes: usize,
    /// Bytes of a response that wait for a slow client, at most; then its body is not asked for more. At least 8 KiB.
    pub max_buffered_bytes: usize,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            tls: None,
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            max_header_bytes: 1 << 20,
            max_buffered_bytes: 256 << 10,
        }
    }
}

/// A socket could not be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {addr}: {source}")]
pub struct BindError {
    /// The address that was asked for.
    pub addr: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A bound socket, accepting from the moment it exists; connections wait in the backlog until it is served.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    addr: SocketAddr,
    config: ListenerConfig,
    egress: Option<EgressWatch>,
}

impl Listener {
    /// Binds and listens. Port 0 takes a free one. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`] with the address and the system's reason.
    pub fn bind(addr: SocketAddr, config: ListenerConfig) -> Result<Self, BindError> {
        listen(addr)
            .and_then(|socket| Ok(Self { addr: socket.local_addr()?, socket, config, egress: None }))
            .map_err(|source| BindError { addr, source })
    }

    /// The address it listens on, with the port that was really taken.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Has `watch` follow those writes out of the kernel that a request's recorder asks for.
    #[must_use]
    pub fn watch_egress(mut self, watch: EgressWatch) -> Self {
        self.egress = Some(watch);
        self
    }

    /// Accepts and serves until the drain has begun and the last connection has closed (or the drain's time is up).
    /// Dropping the future closes every connection at once.
    ///
    /// Requests carry a [`ConnInfo`] extension.
    pub async fn serve<S, F>(self, service: S, drain: Drain)
    where
        S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        accept::serve(self, service, drain).await;
    }
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted process must not wait for its predecessor's connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// The answer where a handler failed to give one: OpenAI's error shape, marked as made here.
fn internal_error() -> Response<Body> {
    const BODY: &str = r#"{"error":{"message":"internal error","type":"internal_error","param":null,"code":null}}"#;
    let mut response = Response::new(Body::Full(Bytes::from_static(BODY.as_bytes())));
    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    headers.insert("x-candor-error", http::HeaderValue::from_static("internal"));
    response
}
