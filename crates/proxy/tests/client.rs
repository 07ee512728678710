//! The client against upstreams that behave in every way an engine can.
#![allow(clippy::unwrap_used, reason = "tests, their helpers included")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Upstream, client, get, post, text, within};
use http::{Request, StatusCode};
use proxy::body::next_frame;
use proxy::client::ErrorKind;
use proxy::{Body, Client, ClientConfig, Target};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_serves_request_after_request() {
    let upstream = Upstream::bind().await;
    let client = client();
    let (mut peer, first) = tokio::join!(upstream.answer(OK), client.send(&upstream.target, get("/1")));
    assert_eq!(text(first.unwrap().into_body()).await, "ok");
    for path in ["/2", "/3"] {
        let serve = async {
            let head = peer.head().await;
            peer.send(OK).await;
            head
        };
        let (head, response) = tokio::join!(serve, client.send(&upstream.target, get(path)));
        assert!(head.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{head}");
        let response = response.unwrap();
        assert!(response.body().exchange().reused);
        assert_eq!(text(response.into_body()).await, "ok");
    }
    let stats = client.stats();
    assert_eq!((stats.opened, stats.reused, stats.stale_retries, stats.idle), (1, 2, 0, 1));
}

#[tokio::test]
async fn host_is_the_target_unless_the_request_names_one() {
    let upstream = Upstream::bind().await;
    let client = client();
    let answer = async {
        let mut peer = upstream.accept().await;
        let first = peer.head().await;
        peer.send(OK).await;
        let second = peer.head().await;
        peer.send(OK).await;
        (first, second)
    };
    let send = async {
        let absolute = get("http://elsewhere.example/path?q=1");
        text(client.send(&upstream.target, absolute).await.unwrap().into_body()).await;
        let named = Request::get("/").header("host", "named.example").body(Body::Empty).unwrap();
        text(client.send(&upstream.target, named).await.unwrap().into_body()).await;
    };
    let ((first, second), ()) = tokio::join!(answer, send);
    assert!(first.starts_with("GET /path?q=1 HTTP/1.1\r\n"), "{first}");
    assert!(first.contains(&format!("host: {}\r\n", upstream.target.authority())), "{first}");
    assert!(second.contains("host: named.example\r\n"), "{second}");
}

/// A pooled connection that the upstream closes only when the next request arrives on it.
async fn stale(upstream: &Upstream, client: &Client) -> common::Peer {
    let (peer, first) = tokio::join!(upstream.answer(OK), client.send(&upstream.target, get("/")));
    text(first.unwrap().into_body()).await;
    peer
}

#[tokio::test]
async fn a_stale_connection_is_replaced_once_when_the_body_can_be_sent_again() {
    let upstream = Upstream::bind().await;
    let client = client();
    let mut peer = stale(&upstream, &client).await;
    let serve = async {
        peer.head().await;
        drop(peer);
        let mut fresh = upstream.accept().await;
        let head = fresh.head().await;
        let body = fresh.until("again").await;
        fresh.send(OK).await;
        (head, body)
    };
    let ((head, body), response) = tokio::join!(serve, client.send(&upstream.target, post("/x", "again")));
    assert!(head.starts_with("POST /x "), "{head}");
    assert_eq!(body, "again");
    let response = response.unwrap();
    assert!(response.body().exchange().retried_stale);
    assert_eq!(text(response.into_body()).await, "ok");
    assert_eq!(client.stats().stale_retries, 1);
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_not_even_tried() {
    let upstream = Upstream::bind().await;
    let client = client();
    drop(stale(&upstream, &client).await);
    // The end of the stream is read by looking at the idle connection, once the runtime has seen it.
    within(async {
        while client.stats().idle > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let (_, response) = tokio::join!(upstream.answer(OK), client.send(&upstream.target, get("/")));
            let exchange = response.unwrap().body().exchange();
            if !exchange.reused && !exchange.retried_stale {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_that_cannot_be_sent_again_reports_the_stale_connection() {
    let upstream = Upstream::bind().await;
    let client = client();
    let mut peer = stale(&upstream, &client).await;
    let body = Body::wrap(http_body_util::Full::new(Bytes::from_static(b"once")));
    let request = Request::post("/").body(body).unwrap();
    let serve = async move { peer.head().await };
    let (_, outcome) = tokio::join!(serve, client.send(&upstream.target, request));
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ClosedBeforeResponse);
    assert!(error.reused() && !error.response_started());
    assert_eq!(client.stats().stale_retries, 0);
}

#[tokio::test]
async fn a_fresh_connection_that_closes_is_not_tried_again() {
    let upstream = Upstream::bind().await;
    let serve = async {
        upstream.accept().await.head().await;
    };
    let client = client();
    let ((), outcome) = tokio::join!(serve, client.send(&upstream.target, get("/")));
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ClosedBeforeResponse);
    assert!(!error.reused());
    assert_eq!(client.stats().opened, 1);
}

#[tokio::test]
async fn dropping_the_call_before_the_head_closes_the_connection() {
    let upstream = Upstream::bind().await;
    let client = client();
    let call = {
        let (client, target) = (client.clone(), upstream.target.clone());
        tokio_util::task::AbortOnDropHandle::new(
            tokio_util::task::TaskTracker::new().spawn(async move { client.send(&target, get("/")).await.is_ok() }),
        )
    };
    let mut peer = upstream.accept().await;
    peer.head().await;
    drop(call);
    assert_eq!(peer.rest().await, "");
}

#[tokio::test]
async fn dropping_the_body_mid_stream_closes_the_connection() {
    let upstream = Upstream::bind().await;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    let client = client();
    let (mut peer, response) = tokio::join!(upstream.answer(chunked), client.send(&upstream.target, get("/")));
    let mut body = response.unwrap().into_body();
    let frame = within(next_frame(&mut body)).await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "first");
    drop(body);
    assert_eq!(peer.rest().await, "");
    assert_eq!(client.stats().idle, 0);
}

#[tokio::test]
async fn trailers_arrive_and_the_connection_is_kept() {
    let upstream = Upstream::bind().await;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: server-timing\r\n\r\n\
                   2\r\nhi\r\n0\r\nserver-timing: prefill;dur=50\r\n\r\n";
    let client = client();
    let (_peer, response) = tokio::join!(upstream.answer(chunked), client.send(&upstream.target, get("/")));
    let mut body = response.unwrap().into_body();
    assert_eq!(within(next_frame(&mut body)).await.unwrap().unwrap().into_data().unwrap(), "hi");
    let trailers = within(next_frame(&mut body)).await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["server-timing"], "prefill;dur=50");
    assert!(within(next_frame(&mut body)).await.is_none());
    assert_eq!(client.stats().idle, 1);
}

#[tokio::test]
async fn bodies_that_are_none_leave_the_connection_usable() {
    let upstream = Upstream::bind().await;
    let client = client();
    let answers = [
        (http::Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"),
        (http::Method::GET, "HTTP/1.1 204 No Content\r\n\r\n"),
        (http::Method::GET, "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"),
        (http::Method::GET, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ];
    let serve = async {
        let mut peer = upstream.accept().await;
        for (_, answer) in &answers {
            peer.head().await;
            peer.send(answer).await;
        }
    };
    let ask = async {
        for (method, _) in &answers {
            let request = Request::builder().method(method).uri("/").body(Body::Empty).unwrap();
            let response = within(client.send(&upstream.target, request)).await.unwrap();
            assert_eq!(text(response.into_body()).await, "");
        }
    };
    tokio::join!(serve, ask);
    assert_eq!(client.stats().opened, 1);
}

#[tokio::test]
async fn informational_responses_are_passed_over() {
    let upstream = Upstream::bind().await;
    let answer = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n{OK}");
    let client = client();
    let (_peer, response) = tokio::join!(upstream.answer(&answer), client.send(&upstream.target, get("/")));
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response.into_body()).await, "ok");
}

#[tokio::test]
async fn a_response_that_breaks_off_is_told_from_one_that_is_not_http() {
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-le", ErrorKind::ResetMidResponse),
        ("\x16\x03\x01 what is this\r\n\r\n", ErrorKind::Protocol),
        ("HTTP/1.1 2000 OK\r\n\r\n", ErrorKind::Protocol),
    ];
    for (answer, kind) in cases {
        let upstream = Upstream::bind().await;
        let serve = async { drop(upstream.answer(answer).await) };
        let client = client();
        let ((), outcome) = tokio::join!(serve, client.send(&upstream.target, get("/")));
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), kind, "{answer:?}: {error}");
        assert!(error.response_started(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_and_not_an_end() {
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfour", ErrorKind::ResetMidResponse),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n", ErrorKind::ResetMidResponse),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\nzz\r\n", ErrorKind::Protocol),
    ];
    for (answer, kind) in cases {
        let upstream = Upstream::bind().await;
        let serve = async { drop(upstream.answer(answer).await) };
        let client = client();
        let ((), response) = tokio::join!(serve, client.send(&upstream.target, get("/")));
        let mut body = response.unwrap().into_body();
        let first = within(next_frame(&mut body)).await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "four");
        let error = within(next_frame(&mut body)).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), kind, "{answer:?}: {error}");
        assert_eq!(client.stats().idle, 0);
    }
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_the_connection() {
    let upstream = Upstream::bind().await;
    let serve = async { drop(upstream.answer("HTTP/1.1 200 OK\r\n\r\nto the end").await) };
    let client = client();
    let ((), response) = tokio::join!(serve, client.send(&upstream.target, get("/")));
    assert_eq!(text(response.unwrap().into_body()).await, "to the end");
    assert_eq!(client.stats().idle, 0);
}

#[tokio::test]
async fn a_head_past_the_limit_is_refused() {
    let upstream = Upstream::bind().await;
    let client = Client::new(ClientConfig { max_header_bytes: 4096, ..ClientConfig::default() });
    let long = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "x".repeat(8192));
    let (_peer, outcome) = tokio::join!(upstream.answer(&long), client.send(&upstream.target, get("/")));
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn connecting_fails_by_its_kind() {
    let client = Client::new(ClientConfig { connect_timeout: Duration::from_millis(50), ..ClientConfig::default() });
    let upstream = Upstream::bind().await;
    let closed = upstream.target.clone();
    drop(upstream);
    let refused = client.send(&closed, get("/")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Connect);
    assert!(refused.kind().is_connect() && !refused.reused());

    // Accepted by the kernel's backlog, and then nothing: the TLS handshake never ends.
    let silent = Upstream::bind().await;
    let target = silent.target.with_tls(proxy::client::TlsPolicy::SkipVerify);
    let slow = client.send(&target, get("/")).await.unwrap_err();
    assert_eq!(slow.kind(), ErrorKind::ConnectTimeout);
}

#[tokio::test]
async fn a_silent_upstream_times_out_and_loses_its_connection() {
    let upstream = Upstream::bind().await;
    let client =
        Client::new(ClientConfig { response_timeout: Some(Duration::from_millis(50)), ..ClientConfig::default() });
    let serve = async {
        let mut peer = upstream.accept().await;
        peer.head().await;
        peer.rest().await
    };
    let (rest, outcome) = tokio::join!(serve, async {
        let outcome = client.send(&upstream.target, get("/")).await;
        outcome.map(drop).map_err(|error| error.kind())
    });
    assert_eq!(outcome, Err(ErrorKind::ResponseTimeout));
    assert_eq!(rest, "");
}

#[tokio::test]
async fn idle_connections_are_closed_in_time() {
    let upstream = Upstream::bind().await;
    let client = Client::new(ClientConfig { idle_timeout: Duration::from_millis(40), ..ClientConfig::default() });
    let mut peer = stale(&upstream, &client).await;
    assert_eq!(peer.rest().await, "");
    assert_eq!(client.stats().idle, 0);
}

#[tokio::test]
async fn dropping_the_client_closes_its_pool() {
    let upstream = Upstream::bind().await;
    let client = client();
    let mut peer = stale(&upstream, &client).await;
    drop(client);
    assert_eq!(peer.rest().await, "");
}

#[tokio::test]
async fn two_clients_do_not_share_connections_through_a_target() {
    let upstream = Upstream::bind().await;
    let (one, two) = (client(), client());
    let _first = stale(&upstream, &one).await;
    let _second = stale(&upstream, &two).await;
    assert_eq!((one.stats().opened, two.stats().opened), (1, 1));
    assert_eq!((one.stats().idle, two.stats().idle), (1, 1));
}

#[tokio::test]
async fn an_answer_may_come_before_the_request_body_is_sent() {
    let upstream = Upstream::bind().await;
    let client = client();
    let endless = Body::wrap(Endless);
    let request = Request::post("/").body(endless).unwrap();
    let refusal = "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 3\r\n\r\nbig";
    let (mut peer, response) = tokio::join!(upstream.answer(refusal), client.send(&upstream.target, request));
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(text(response.into_body()).await, "big");
    // The request was never finished, so the connection cannot serve another.
    peer.rest().await;
    assert_eq!(client.stats().idle, 0);
}

/// A body whose first frame never comes.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[test]
fn targets_are_parsed_strictly() {
    let target = Target::parse("http://[::1]:8200/ignored").unwrap();
    assert_eq!((target.host(), target.port(), target.is_tls()), ("::1", 8200, false));
    assert!(target.ip().unwrap().is_loopback());
    let target = Target::parse("https://engine.example").unwrap();
    assert_eq!((target.host(), target.port(), target.is_tls()), ("engine.example", 443, true));
    assert_eq!(Target::parse("10.0.0.7:8000").unwrap(), Target::parse("http://10.0.0.7:8000").unwrap());
    for wrong in ["", "a b", "ftp://x", "user@host:1", "host:99999", "http://", ":80"] {
        assert!(Target::parse(wrong).is_err(), "{wrong}");
    }
}
