//! One accepted connection, from the TLS handshake to its close.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::ListenerConfig;
use super::registry::{Order, Ticket, Vitals};
use super::service::Adapter;
use crate::client::Tracked;
use crate::io::{Transport, Wire};
use crate::tls::ServerTls;
use crate::{Body, BoxError, EgressWatch};

/// How an HTTP/2 connection begins (RFC 9113, 3.4).
const PREFACE: &[u8; Wire::PEEK] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The least that hyper can do with.
const LEAST_BUFFER: usize = 8 << 10;

/// Requests in progress on one HTTP/2 connection.
const MAX_STREAMS: u32 = 1024;

/// How often a silent HTTP/2 peer is asked whether it is still there, and how long it may take to answer.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What all connections of a listener share.
pub(super) struct Shared<S> {
    pub(super) service: S,
    pub(super) tls: Option<ServerTls>,
    pub(super) egress: Option<EgressWatch>,
    pub(super) h1: http1::Builder,
    pub(super) h2: http2::Builder<Tracked>,
}

/// hyper's settings for HTTP/1.1.
pub(super) fn h1_builder(config: &ListenerConfig) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // hyper's one limit for both directions; a head must fit into it as well.
    builder.max_header_size(config.max_header_bytes).max_buf_size(config.max_buffered_bytes.max(LEAST_BUFFER));
    builder
}

/// hyper's settings for HTTP/2; its helper tasks run in `tasks`.
pub(super) fn h2_builder(config: &ListenerConfig, tasks: TaskTracker) -> http2::Builder<Tracked> {
    let mut builder = http2::Builder::new(Tracked(tasks));
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(config.max_header_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(config.max_buffered_bytes.max(LEAST_BUFFER))
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// A connection that has just been accepted and entered in the registry.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) vitals: Arc<Vitals>,
    pub(super) ticket: Ticket,
}

/// Serves one connection until it closes, is drained or is cut off.
pub(super) async fn run<S, F>(shared: Arc<Shared<S>>, accepted: Accepted)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let Accepted { stream, peer, vitals, ticket } = accepted;
    // On the heap for as long as it lasts: it must not make every connection's task larger.
    let opening = Box::pin(open(stream, &shared, &vitals));
    let (wire, http2) = match unless_ordered(&vitals, opening).await {
        Some(Ok(opened)) => opened,
        Some(Err(error)) => return tracing::debug!(%peer, %error, "connection not opened"),
        None => return,
    };
    let adapter = Adapter::new(shared.service.clone(), Arc::clone(&vitals), peer, shared.tls.is_some());
    let outcome = if http2 {
        let connection = Obeying::new(shared.h2.serve_connection(TokioIo::new(wire), adapter), vitals);
        Box::pin(connection).await
    } else {
        Obeying::new(shared.h1.serve_connection(TokioIo::new(wire), adapter).with_upgrades(), vitals).await
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "connection ended");
    }
    drop(ticket);
}

/// TLS, where it is configured, and which HTTP it is to be.
async fn open<S>(stream: TcpStream, shared: &Shared<S>, vitals: &Vitals) -> io::Result<(Wire, bool)> {
    let wire = |transport| Wire::new(transport, Arc::clone(&vitals.traffic), shared.egress.clone());
    let Some(tls) = &shared.tls else {
        let mut wire = wire(Transport::Plain(stream));
        let http2 = poll_fn(|cx| wire.poll_starts_with(cx, PREFACE)).await?;
        return Ok((wire, http2));
    };
    // A handshake is several KiB of state, which a plain connection must not make room for.
    let stream = Box::pin(TlsAcceptor::from(tls.config()).accept(stream)).await?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((wire(Transport::TlsServer(Box::new(stream))), http2))
}

/// The outcome of `future`, or `None` as soon as there is any order to stop: nothing has been promised to the client yet.
async fn unless_ordered<F: Future + Unpin>(vitals: &Vitals, mut future: F) -> Option<F::Output> {
    let mut listening = false;
    poll_fn(|cx| {
        if !std::mem::replace(&mut listening, true) {
            vitals.wake_on_order(cx.waker());
        }
        if vitals.order() > Order::Serve {
            return Poll::Ready(None);
        }
        Pin::new(&mut future).poll(cx).map(Some)
    })
    .await
}

/// hyper's connections, as far as orders concern them.
trait Graceful: Future<Output = hyper::Result<()>> {
    /// Lets what is in progress finish, then closes.
    fn drain(self: Pin<&mut Self>);
}

impl<I, S, B> Graceful for http1::UpgradeableConnection<I, S>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    B: http_body::Body + 'static,
    B::Error: Into<BoxError>,
{
    fn drain(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B> Graceful for http2::Connection<I, S, Tracked>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn drain(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

pin_project_lite::pin_project! {
    /// A connection that follows orders: checked at each poll, and the order's giver wakes it.
    struct Obeying<C> {
        #[pin]
        connection: C,
        vitals: Arc<Vitals>,
        listening: bool,
        draining: bool,
    }
}

impl<C> Obeying<C> {
    fn new(connection: C, vitals: Arc<Vitals>) -> Self {
        Self { connection, vitals, listening: false, draining: false }
    }
}

impl<C: Graceful> Future for Obeying<C> {
    type Output = hyper::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        let mut this = self.project();
        if !std::mem::replace(this.listening, true) {
            this.vitals.wake_on_order(cx.waker());
        }
        match this.vitals.order() {
            Order::Serve => {}
            Order::Drain => {
                if !std::mem::replace(this.draining, true) {
                    this.connection.as_mut().drain();
                }
            }
            Order::Cut => return Poll::Ready(Ok(())),
        }
        this.connection.poll(cx)
    }
}
