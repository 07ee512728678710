//! The server against clients of every kind, over real sockets.
#![allow(clippy::unwrap_used, reason = "tests, their helpers included")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{Peer, get, loopback, serve, text, within};
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use proxy::client::TlsPolicy;
use proxy::tls::ServerTls;
use proxy::{Body, Client, ClientConfig, ConnInfo, Drain, End, Listener, ListenerConfig, Observe, Observed, Target};
use tokio::sync::{Notify, mpsc};

async fn hello(request: Request<Incoming>) -> Response<Body> {
    let peer = request.extensions().get::<ConnInfo>().unwrap().peer;
    assert!(peer.ip().is_loopback());
    Response::new(Body::from(format!("{} {}", request.method(), request.uri().path())))
}

#[tokio::test]
async fn keeps_http1_connections_open_and_reads_pipelined_requests() {
    let (addr, _drain) = serve(ListenerConfig::default(), hello);
    let mut peer = Peer::connect(addr).await;
    peer.send("GET /1 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(peer.until("GET /1").await.starts_with("HTTP/1.1 200 OK\r\n"));
    peer.send("GET /2 HTTP/1.1\r\nhost: x\r\n\r\nPRI /3 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let rest = peer.rest().await;
    assert!(rest.contains("GET /2") && rest.ends_with("PRI /3"), "{rest}");
}

#[tokio::test]
async fn a_request_may_begin_like_http2_and_not_be() {
    let (addr, _drain) = serve(ListenerConfig::default(), hello);
    let mut peer = Peer::connect(addr).await;
    peer.send("PRI").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    peer.send(" /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(peer.rest().await.ends_with("PRI /x"));
}

#[tokio::test]
async fn speaks_http2_by_prior_knowledge() {
    let (addr, _drain) = serve(ListenerConfig::default(), hello);
    let client = common::client();
    let target = Target::from_addr(addr).with_http2();
    for path in ["/1", "/2"] {
        let response = within(client.send(&target, get(path))).await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_2);
        assert_eq!(text(response.into_body()).await, format!("GET {path}"));
    }
    assert_eq!((client.stats().opened, client.stats().reused), (1, 1));
}

fn tls_pair(names: &[&str]) -> (ListenerConfig, Client) {
    let (tls, cert) = ServerTls::self_signed(names).unwrap();
    let config = ListenerConfig { tls: Some(tls), ..ListenerConfig::default() };
    (config, Client::new(ClientConfig { extra_roots: vec![cert], ..ClientConfig::default() }))
}

#[tokio::test]
async fn speaks_both_versions_over_tls() {
    let (config, client) = tls_pair(&["127.0.0.1"]);
    let (addr, _drain) = serve(config, hello);
    let target = Target::from_addr(addr).with_tls(TlsPolicy::Verify);
    for (target, version) in [(target.clone(), http::Version::HTTP_11), (target.with_http2(), http::Version::HTTP_2)] {
        let response = within(client.send(&target, get("/tls"))).await.unwrap();
        assert_eq!(response.version(), version);
        assert_eq!(text(response.into_body()).await, "GET /tls");
    }
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused_unless_verification_is_off() {
    let (config, _) = tls_pair(&["127.0.0.1"]);
    let (addr, _drain) = serve(config, hello);
    let stranger = common::client();
    let target = Target::from_addr(addr);
    let refused = within(stranger.send(&target.with_tls(TlsPolicy::Verify), get("/"))).await.unwrap_err();
    assert_eq!(refused.kind(), proxy::client::ErrorKind::Tls);
    let trusted = within(stranger.send(&target.with_tls(TlsPolicy::SkipVerify), get("/"))).await;
    assert_eq!(text(trusted.unwrap().into_body()).await, "GET /");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_next_request_is_served() {
    async fn handler(request: Request<Incoming>) -> Response<Body> {
        assert_ne!(request.uri().path(), "/panic", "on purpose");
        Response::new(Body::from("fine"))
    }
    let (addr, _drain) = serve(ListenerConfig::default(), handler);
    let client = common::client();
    let target = Target::from_addr(addr);
    let failed = within(client.send(&target, get("/panic"))).await.unwrap();
    assert_eq!(failed.status(), 500);
    assert_eq!(failed.headers()["x-candor-error"], "internal");
    assert!(text(failed.into_body()).await.contains("internal error"));
    let served = within(client.send(&target, get("/"))).await.unwrap();
    assert_eq!(text(served.into_body()).await, "fine");
    assert_eq!(client.stats().opened, 1, "the connection survives too");
}

/// Says when it is dropped.
struct Tell(mpsc::Sender<&'static str>, &'static str);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.try_send(self.1);
    }
}

#[tokio::test]
async fn a_leaving_client_drops_the_handler() {
    let (tell, mut told) = mpsc::channel(1);
    let begun = Arc::new(Notify::new());
    let begin = Arc::clone(&begun);
    let (addr, _drain) = serve(ListenerConfig::default(), move |_| {
        let (guard, begin) = (Tell(tell.clone(), "handler"), Arc::clone(&begin));
        async move {
            begin.notify_one();
            std::future::pending::<()>().await;
            drop(guard);
            Response::default()
        }
    });
    let mut peer = Peer::connect(addr).await;
    peer.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    within(begun.notified()).await;
    drop(peer);
    assert_eq!(within(told.recv()).await, Some("handler"));
}

/// A body of one frame and then silence.
struct Stalled(Option<Bytes>);

impl http_body::Body for Stalled {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        self.0
            .take()
            .map_or(std::task::Poll::Pending, |data| std::task::Poll::Ready(Some(Ok(http_body::Frame::data(data)))))
    }
}

/// Reports how a body ended, and sends a trailer.
struct Report(mpsc::Sender<String>);

impl Observe for Report {
    fn frame(&mut self, data: &Bytes) {
        let _ = self.0.try_send(format!("frame {}", data.len()));
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        let mut trailers = HeaderMap::new();
        trailers.insert("server-timing", HeaderValue::from_static("total;dur=65.000"));
        Some(trailers)
    }

    fn end(&mut self, end: End<'_>) {
        let _ = self.0.try_send(format!("{end:?}"));
    }
}

#[tokio::test]
async fn a_leaving_client_drops_the_body() {
    let (tell, mut told) = mpsc::channel(4);
    let (addr, _drain) = serve(ListenerConfig::default(), move |_| {
        let body = Observed::new(Stalled(Some(Bytes::from_static(b"data: 1\n\n"))), Report(tell.clone()));
        async move { Response::new(Body::wrap(body)) }
    });
    let mut peer = Peer::connect(addr).await;
    peer.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    peer.until("data: 1\n\n").await;
    drop(peer);
    assert_eq!(within(told.recv()).await.as_deref(), Some("frame 9"));
    assert_eq!(within(told.recv()).await.as_deref(), Some("Dropped"));
}

#[tokio::test]
async fn trailers_go_to_those_who_asked() {
    let (tell, mut told) = mpsc::channel(16);
    let (addr, _drain) = serve(ListenerConfig::default(), move |_| {
        let stream = Once(Some(Bytes::from_static(b"x")));
        let body = Body::wrap(Observed::new(stream, Report(tell.clone())));
        async move { Response::builder().header("trailer", "server-timing").body(body).unwrap() }
    });
    for (te, sent) in [("te: trailers\r\n", true), ("", false)] {
        let mut peer = Peer::connect(addr).await;
        peer.send(&format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{te}\r\n")).await;
        let rest = peer.rest().await;
        assert_eq!(rest.contains("server-timing: total;dur=65.000\r\n"), sent, "{rest}");
        assert!(rest.contains("\r\n1\r\nx\r\n0\r\n"), "{rest}");
        assert_eq!(within(told.recv()).await.as_deref(), Some("frame 1"));
        assert_eq!(within(told.recv()).await.as_deref(), Some("Complete"));
    }
}

#[tokio::test]
async fn a_body_of_known_length_keeps_it_and_ends_complete() {
    let (tell, mut told) = mpsc::channel(4);
    let (addr, _drain) = serve(ListenerConfig::default(), move |_| {
        let body = Observed::new(Body::from("four"), Report(tell.clone()));
        async move { Response::new(Body::wrap(body)) }
    });
    let mut peer = Peer::connect(addr).await;
    peer.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(peer.until("four").await.contains("content-length: 4\r\n"));
    assert_eq!(within(told.recv()).await.as_deref(), Some("frame 4"));
    assert_eq!(within(told.recv()).await.as_deref(), Some("Complete"));
}

fn impatient() -> ListenerConfig {
    ListenerConfig {
        header_timeout: Duration::from_millis(60),
        idle_timeout: Duration::from_millis(60),
        ..ListenerConfig::default()
    }
}

#[tokio::test]
async fn slow_heads_are_cut_off() {
    let (addr, _drain) = serve(impatient(), hello);
    for start in ["", "G", "PRI * HT", "GET / HTTP/1.1\r\nhost: x\r\n"] {
        let mut peer = Peer::connect(addr).await;
        peer.send(start).await;
        assert_eq!(peer.rest().await, "", "{start:?}");
    }
}

#[tokio::test]
async fn kept_connections_are_cut_off_when_silent_or_slow() {
    let (addr, _drain) = serve(impatient(), hello);
    for next in ["", "GET / HTTP/1.1\r\nho"] {
        let mut peer = Peer::connect(addr).await;
        peer.send("GET /1 HTTP/1.1\r\nhost: x\r\n\r\n").await;
        peer.until("GET /1").await;
        peer.send(next).await;
        assert_eq!(peer.rest().await, "", "{next:?}");
    }
}

#[tokio::test]
async fn a_slow_answer_is_not_an_idle_connection() {
    let (addr, _drain) = serve(impatient(), |_| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Response::new(Body::from("late"))
    });
    let client = common::client();
    let response = within(client.send(&Target::from_addr(addr), get("/"))).await.unwrap();
    assert_eq!(text(response.into_body()).await, "late");
}

#[tokio::test]
async fn a_silent_tls_handshake_is_cut_off() {
    let (config, _) = tls_pair(&["127.0.0.1"]);
    let (addr, _drain) = serve(ListenerConfig { tls: config.tls, ..impatient() }, hello);
    assert_eq!(Peer::connect(addr).await.rest().await, "");
}

#[tokio::test]
async fn heads_past_the_limit_are_refused() {
    let config = ListenerConfig { max_header_bytes: 4096, ..ListenerConfig::default() };
    let (addr, _drain) = serve(config, hello);
    let mut peer = Peer::connect(addr).await;
    peer.send(&format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n", "x".repeat(8000))).await;
    assert!(peer.head().await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn garbage_is_a_400() {
    let (addr, _drain) = serve(ListenerConfig::default(), hello);
    let mut peer = Peer::connect(addr).await;
    peer.send("what is this\r\n\r\n").await;
    assert!(peer.head().await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn a_client_that_waits_for_100_gets_it() {
    let (addr, _drain) = serve(ListenerConfig::default(), |request: Request<Incoming>| async {
        Response::new(Body::from(text(request.into_body()).await))
    });
    let mut peer = Peer::connect(addr).await;
    peer.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n").await;
    assert_eq!(peer.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    peer.send("body").await;
    assert!(peer.until("body").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn small_writes_leave_without_delay() {
    let (tell, mut told) = mpsc::channel(1);
    let (addr, _drain) = serve(ListenerConfig::default(), move |request: Request<Incoming>| {
        let egress = request.extensions().get::<ConnInfo>().unwrap().egress.clone();
        let _ = tell.try_send(egress);
        async { Response::new(Body::from("x")) }
    });
    let mut peer = Peer::connect(addr).await;
    peer.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let head = peer.until("x").await;
    let egress = within(told.recv()).await.unwrap();
    assert_eq!(egress.written(), head.len() as u64);
    assert!(egress.last_write().unwrap() <= telemetry::clock::now());
}

#[tokio::test]
async fn a_drain_waits_for_answers_and_closes_the_rest() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begin, gone) = (Arc::clone(&begun), Arc::clone(&go));
    let (addr, drain) = serve(ListenerConfig::default(), move |_| {
        let (begin, gone) = (Arc::clone(&begin), Arc::clone(&gone));
        async move {
            begin.notify_one();
            gone.notified().await;
            Response::new(Body::from("late"))
        }
    });
    let mut idle = Peer::connect(addr).await;
    let mut busy = Peer::connect(addr).await;
    busy.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    within(begun.notified()).await;
    let finish = async {
        let report = drain.finish(Duration::from_secs(20)).await;
        assert!(report.complete && report.cut == 0, "{report:?}");
    };
    let watch = async {
        assert_eq!(idle.rest().await, "", "an idle connection closes at once");
        go.notify_one();
        let answer = busy.rest().await;
        assert!(answer.ends_with("late") && answer.contains("connection: close"), "{answer}");
    };
    tokio::join!(finish, watch);
    assert!(tokio::net::TcpStream::connect(addr).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_drain_that_runs_out_of_time_says_so_and_cuts() {
    let begun = Arc::new(Notify::new());
    let begin = Arc::clone(&begun);
    let (addr, drain) = serve(ListenerConfig::default(), move |_| {
        begin.notify_one();
        std::future::pending()
    });
    let mut peer = Peer::connect(addr).await;
    peer.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    within(begun.notified()).await;
    let report = within(drain.finish(Duration::from_millis(20))).await;
    assert!(!report.complete && report.cut >= 1, "{report:?}");
    assert_eq!(peer.rest().await, "");
    assert_eq!(drain.running(), 0);
}

#[tokio::test]
async fn dropping_the_server_closes_its_connections() {
    let listener = Listener::bind(loopback(), ListenerConfig::default()).unwrap();
    let addr = listener.local_addr();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let mut serving = Box::pin(listener.serve(
        move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Response::new(Body::from("x")) }
        },
        Drain::new(),
    ));
    let mut peer = Peer::connect(addr).await;
    let ask = async {
        peer.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        peer.until("\r\n\r\nx").await;
    };
    tokio::select! {
        () = &mut serving => unreachable!("nobody drains it"),
        () = ask => {}
    }
    drop(serving);
    assert_eq!(peer.rest().await, "");
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let first = Listener::bind(loopback(), ListenerConfig::default()).unwrap();
    let error = Listener::bind(first.local_addr(), ListenerConfig::default()).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot listen on {}", first.local_addr())), "{error}");
}

/// A body of one frame whose length is not known beforehand.
struct Once(Option<Bytes>);

impl http_body::Body for Once {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.take().map(|data| Ok(http_body::Frame::data(data))))
    }
}
