//! The HTTP client: pooled connections to upstreams, driven inline.
//!
//! The usual arrangement gives each connection a task of its own and hands requests and response chunks over channels. Every
//! chunk then costs a wake-up and a scheduling round trip, and an abandoned request reaches the socket only when that task
//! next runs. Here an HTTP/1.1 connection belongs to whoever uses it: [`Client::send`] polls the connection and the response
//! together, the response body goes on polling it, and at the body's end it returns to the pool. A chunk is thus read,
//! inspected and written to the client within one poll of one task; dropping the future or the body closes the socket then
//! and there. An idle connection is registered with no task at all; it is looked at when it is taken out.
//!
//! HTTP/2 connections are shared between requests and therefore do have a task.

mod abandoned;
mod connect;
mod error;
mod h1;
mod h2;
mod pool;
mod target;
mod upstream;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, Uri, header};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use scopeguard::ScopeGuard;
use telemetry::clock::{self, Moment};
use tokio_util::task::TaskTracker;

pub use abandoned::{Abandoned, OnAbandoned};
pub use error::{ClientError, ErrorKind};
pub(crate) use h2::Tracked;
pub use target::{Target, TargetError, TlsPolicy};
pub use upstream::{Exchange, UpstreamBody};

use crate::io::Transport;
use crate::tls::ClientTls;
use crate::{Body, BoxError};
use abandoned::leave;
use pool::{Host, Limits};
use target::Key;

/// How a [`Client`] behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Longest wait for a connection: name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept. Below the 5 s after which uvicorn, the engines' usual server, closes its end.
    pub idle_timeout: Duration,
    /// Idle connections kept per upstream; those beyond are closed after use.
    pub max_idle_per_host: usize,
    /// Longest wait for a response head once the request is handed over; `None` leaves it to the caller.
    pub response_timeout: Option<Duration>,
    /// Longest response head accepted, in bytes.
    pub max_header_bytes: usize,
    /// Certificates trusted beside the system's.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(4),
            max_idle_per_host: 1024,
            response_timeout: None,
            max_header_bytes: 256 << 10,
            extra_roots: Vec::new(),
        }
    }
}

/// What a client has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientStats {
    /// Connections opened.
    pub opened: u64,
    /// Requests sent on a connection that had served one before.
    pub reused: u64,
    /// Requests sent again because a pooled connection turned out closed.
    pub stale_retries: u64,
    /// HTTP/1.1 connections open now, in use or not.
    pub open: usize,
    /// Of those, the ones waiting in the pools.
    pub idle: usize,
}

/// An HTTP client with connection pools. Clones share them.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    id: u64,
    config: ClientConfig,
    tls: ClientTls,
    hosts: Mutex<HashMap<Key, Arc<Host>>>,
    tasks: TaskTracker,
    reaping: AtomicBool,
    opened: AtomicU64,
    reused: AtomicU64,
    stale_retries: AtomicU64,
    open: Arc<AtomicUsize>,
}

impl Client {
    /// A client with empty pools. Opens nothing and starts nothing until it is used.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let tls = ClientTls::new(config.extra_roots.clone());
        Self {
            shared: Arc::new(Shared {
                id: NEXT.fetch_add(1, Ordering::Relaxed),
                config,
                tls,
                hosts: Mutex::default(),
                tasks: TaskTracker::new(),
                reaping: AtomicBool::new(false),
                opened: AtomicU64::new(0),
                reused: AtomicU64::new(0),
                stale_retries: AtomicU64::new(0),
                open: Arc::default(),
            }),
        }
    }

    /// Sends a request to `target` and waits for the response head. `Host` is added where it is missing; the URI's own
    /// authority, if any, is ignored. Dropping the future closes the connection.
    ///
    /// A pooled connection that turns out closed before any response byte came is replaced by a fresh one, once, if the
    /// request body can be sent again ([`Body::replay`]).
    ///
    /// # Errors
    /// [`ClientError`] by kind; an answer of any status is not an error.
    pub async fn send(&self, target: &Target, request: Request<Body>) -> Result<Response<UpstreamBody>, ClientError> {
        self.send_with(target, request, |_, _| ()).await
    }

    /// Like [`Client::send`], but where the future is dropped while the answer is waited for, only this side of the connection
    /// is closed, and `on_abandoned` gets it. (Not over HTTP/2, where the stream is reset.)
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_or_leave(
        &self,
        target: &Target,
        request: Request<Body>,
        on_abandoned: OnAbandoned<'_>,
    ) -> Result<Response<UpstreamBody>, ClientError> {
        self.exchange(target, request, |_, _| (), Some(on_abandoned)).await
    }

    /// Like [`Client::send`]; `prepare` may finish the headers at the moment when the request is handed to an open
    /// connection (a second time, over what it did the first time, if a stale connection makes it be sent again).
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_with<P>(
        &self,
        target: &Target,
        request: Request<Body>,
        prepare: P,
    ) -> Result<Response<UpstreamBody>, ClientError>
    where
        P: FnMut(&mut HeaderMap, Moment),
    {
        self.exchange(target, request, prepare, None).await
    }

    async fn exchange<P>(
        &self,
        target: &Target,
        request: Request<Body>,
        mut prepare: P,
        mut on_abandoned: Option<OnAbandoned<'_>>,
    ) -> Result<Response<UpstreamBody>, ClientError>
    where
        P: FnMut(&mut HeaderMap, Moment),
    {
        let host = self.host(target);
        if host.key.http2 {
            return Box::pin(h2::send(self, &host, target, request, prepare)).await;
        }
        let (mut parts, mut body) = origin_form(request, target)?.into_parts();
        let mut retried_stale = false;
        if let Some(conn) = host.checkout() {
            self.shared.reused.fetch_add(1, Ordering::Relaxed);
            let spare = body.replay();
            let attempt = Attempt {
                host: &host,
                conn,
                reused: true,
                retried_stale,
                on_abandoned: on_abandoned.as_deref_mut().map(|left| left as _),
            };
            match (self.attempt(attempt, &mut parts, body, &mut prepare).await, spare) {
                (Err(error), Some(spare)) if error.is_stale() => body = spare,
                (outcome, _) => return outcome,
            }
            self.shared.stale_retries.fetch_add(1, Ordering::Relaxed);
            retried_stale = true;
            host.clear();
        }
        // Opening a connection is rare: its large future lives on the heap rather than in every caller's.
        let conn = Box::pin(self.open(&host)).await?;
        let attempt = Attempt {
            host: &host,
            conn,
            reused: false,
            retried_stale,
            on_abandoned: on_abandoned.map(|left| left as _),
        };
        self.attempt(attempt, &mut parts, body, &mut prepare).await
    }

    /// What the client has done so far.
    #[must_use]
    pub fn stats(&self) -> ClientStats {
        let shared = &self.shared;
        ClientStats {
            opened: shared.opened.load(Ordering::Relaxed),
            reused: shared.reused.load(Ordering::Relaxed),
            stale_retries: shared.stale_retries.load(Ordering::Relaxed),
            open: shared.open.load(Ordering::Relaxed),
            idle: shared.hosts.lock().values().map(|host| host.idle()).sum(),
        }
    }

    /// One request on one connection.
    async fn attempt<P>(
        &self,
        attempt: Attempt<'_>,
        parts: &mut Parts,
        body: Body,
        prepare: &mut P,
    ) -> Result<Response<UpstreamBody>, ClientError>
    where
        P: FnMut(&mut HeaderMap, Moment),
    {
        let Attempt { host, mut conn, reused, retried_stale, on_abandoned } = attempt;
        let sent = clock::now();
        prepare(&mut parts.headers, sent);
        conn.begin(parts, body);
        if !reused {
            // There is no second try: a request that waits for its answer need not keep its fields.
            parts.headers = HeaderMap::new();
        }
        let exchange = Exchange { reused, retried_stale, sent };
        let mut waiting = scopeguard::guard(conn, |conn| leave(conn, host, exchange, on_abandoned));
        let outcome = self.in_time(waiting.response()).await;
        let conn = ScopeGuard::into_inner(waiting);
        let response = outcome.map_err(|error| error.on(reused, conn.is_answered()))?;
        self.reap_later();
        Ok(response.map(|()| UpstreamBody::inline(conn, Arc::clone(host), exchange)))
    }

    /// Applies the response time-out, where there is one.
    async fn in_time<T>(&self, exchange: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        match self.shared.config.response_timeout {
            None => exchange.await,
            Some(limit) => tokio::time::timeout(limit, exchange)
                .await
                .unwrap_or_else(|_| Err(ClientError::new(ErrorKind::ResponseTimeout, None))),
        }
    }

    /// A fresh stream to `host`.
    async fn connect(&self, host: &Host) -> Result<Transport, ClientError> {
        let connect = connect::connect(&host.key, &self.shared.tls);
        let transport = tokio::time::timeout(self.shared.config.connect_timeout, connect)
            .await
            .unwrap_or_else(|_| Err(ClientError::new(ErrorKind::ConnectTimeout, None)))?;
        self.shared.opened.fetch_add(1, Ordering::Relaxed);
        Ok(transport)
    }

    /// A fresh HTTP/1.1 connection to `host`.
    async fn open(&self, host: &Host) -> Result<Box<h1::Conn>, ClientError> {
        let transport = self.connect(host).await?;
        Ok(h1::Conn::new(transport, self.shared.config.max_header_bytes, Open::new(&self.shared.open)))
    }

    /// The pool for `target`, remembered in the target itself by the first client that uses it.
    fn host(&self, target: &Target) -> Arc<Host> {
        let host = target.pool().get_or_init(|| self.lookup(target));
        if host.client == self.shared.id { Arc::clone(host) } else { self.lookup(target) }
    }

    fn lookup(&self, target: &Target) -> Arc<Host> {
        let limits =
            Limits { max_idle: self.shared.config.max_idle_per_host, idle_timeout: self.shared.config.idle_timeout };
        let mut hosts = self.shared.hosts.lock();
        let host = hosts.entry(target.key().clone()).or_insert_with(|| Host::new(self.shared.id, target, limits));
        Arc::clone(host)
    }

    /// Sees to it that idle connections are closed in time, as long as there are any.
    fn reap_later(&self) {
        if !self.shared.reaping.swap(true, Ordering::Relaxed) {
            let reaper = reap(Arc::downgrade(&self.shared), self.shared.config.idle_timeout);
            self.shared.tasks.spawn(reaper);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Targets may still hold the pools: close their connections with the client.
        for host in self.hosts.lock().values() {
            host.clear();
            host.unshare();
        }
    }
}

/// A connection, counted for as long as it is open.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One try at sending a request.
struct Attempt<'a> {
    host: &'a Arc<Host>,
    conn: Box<h1::Conn>,
    reused: bool,
    retried_stale: bool,
    on_abandoned: Option<OnAbandoned<'a>>,
}

/// Closes connections that waited too long, twice per time-out, until the client is gone.
async fn reap(shared: Weak<Shared>, idle_timeout: Duration) {
    let period = (idle_timeout / 2).max(Duration::from_millis(10));
    loop {
        tokio::time::sleep(period).await;
        let Some(shared) = shared.upgrade() else { return };
        let mut hosts = shared.hosts.lock();
        // A host that no target refers to and that has no connection left is forgotten: instances come and go.
        hosts.retain(|_, host| host.reap() > 0 || Arc::strong_count(host) > 1);
    }
}

/// Gives the request the form HTTP/1.1 servers expect: a path for a URI, and a `Host`.
fn origin_form(mut request: Request<Body>, target: &Target) -> Result<Request<Body>, ClientError> {
    if request.uri().authority().is_some() || request.uri().path_and_query().is_none() {
        let path = request.uri().path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from(path);
    }
    if request.method() == http::Method::CONNECT {
        let reason = BoxError::from("CONNECT makes a tunnel, which is not supported");
        return Err(ClientError::new(ErrorKind::InvalidRequest, reason));
    }
    *request.version_mut() = http::Version::HTTP_11;
    if !request.headers().contains_key(header::HOST) {
        request.headers_mut().insert(header::HOST, target.host_header().clone());
    }
    Ok(request)
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
