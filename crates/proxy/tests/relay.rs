//! Server and client together, as a component uses them: what happens on one side must reach the other.
#![allow(clippy::unwrap_used, reason = "tests, their helpers included")]

mod common;

use std::net::SocketAddr;

use common::{Peer, Upstream, serve};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use proxy::headers::strip_hop_by_hop;
use proxy::{Body, Client, Drain, ListenerConfig, Target};

async fn forward(client: Client, target: Target, request: Request<Incoming>) -> Response<Body> {
    let wants_trailers = proxy::headers::accepts_trailers(request.headers());
    let mut request = request.map(Body::from);
    strip_hop_by_hop(request.headers_mut());
    if wants_trailers {
        request.headers_mut().insert("te", http::HeaderValue::from_static("trailers"));
    }
    match client.send(&target, request).await {
        Ok(mut response) => {
            strip_hop_by_hop(response.headers_mut());
            response.map(Body::from)
        }
        Err(error) => {
            let mut response = Response::new(Body::from(error.to_string()));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

fn relay(upstream: &Upstream) -> (SocketAddr, Drain, Client) {
    let client = common::client();
    let (target, sender) = (upstream.target.clone(), client.clone());
    let (addr, drain) =
        serve(ListenerConfig::default(), move |request| forward(sender.clone(), target.clone(), request));
    (addr, drain, client)
}

#[tokio::test]
async fn bytes_frames_and_trailers_pass_as_they_come() {
    let upstream = Upstream::bind().await;
    let (addr, _drain, client) = relay(&upstream);
    let mut peer = Peer::connect(addr).await;
    peer.send(
        "POST /v1 HTTP/1.1\r\nhost: x\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n4\r\nask!\r\n0\r\n\r\n",
    )
    .await;
    let mut engine = upstream.accept().await;
    let head = engine.head().await;
    assert!(head.starts_with("POST /v1 HTTP/1.1\r\n") && head.contains("te: trailers\r\n"), "{head}");
    assert_eq!(engine.until("0\r\n\r\n").await, "4\r\nask!\r\n0\r\n\r\n");
    engine.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: server-timing\r\n\r\n").await;
    // The head leaves before there is any token.
    assert!(peer.head().await.contains("trailer: server-timing\r\n"));
    for token in ["data: a\n\n", "data: b\n\n"] {
        engine.send(&format!("9\r\n{token}\r\n")).await;
        assert_eq!(peer.until("\n\n\r\n").await, format!("9\r\n{token}\r\n"));
    }
    engine.send("0\r\nserver-timing: total;dur=1\r\n\r\n").await;
    assert_eq!(peer.until("\r\n\r\n").await, "0\r\nserver-timing: total;dur=1\r\n\r\n");
    assert_eq!(client.stats().idle, 1, "both sides are kept");
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_closes_the_engine_s_connection() {
    let upstream = Upstream::bind().await;
    let (addr, _drain, client) = relay(&upstream);
    let mut peer = Peer::connect(addr).await;
    peer.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut engine = upstream.accept().await;
    engine.head().await;
    drop(peer);
    assert_eq!(engine.rest().await, "");
    assert_eq!(client.stats().idle, 0);
}

#[tokio::test]
async fn a_client_that_leaves_mid_stream_closes_the_engine_s_connection() {
    let upstream = Upstream::bind().await;
    let (addr, _drain, client) = relay(&upstream);
    let mut peer = Peer::connect(addr).await;
    peer.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut engine = upstream.answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await;
    peer.until("one\r\n").await;
    drop(peer);
    assert_eq!(engine.rest().await, "");
    assert_eq!(client.stats().idle, 0);
}

#[tokio::test]
async fn an_engine_that_breaks_off_is_never_a_clean_end() {
    let upstream = Upstream::bind().await;
    let (addr, _drain, _client) = relay(&upstream);
    let mut peer = Peer::connect(addr).await;
    peer.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    drop(upstream.answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await);
    let rest = peer.rest().await;
    assert!(rest.ends_with("3\r\none\r\n"), "no final chunk: {rest}");
}

#[tokio::test]
async fn back_pressure_reaches_the_engine() {
    let upstream = Upstream::bind().await;
    let (addr, _drain, _client) = relay(&upstream);
    let mut peer = Peer::connect(addr).await;
    peer.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut engine = upstream.answer("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
    peer.head().await;
    // Nobody reads: the engine's writes must stop fitting long before the whole body has gone.
    let block = "x".repeat(1 << 20);
    let stuck = async {
        for _ in 0..200 {
            engine.send(&block).await;
        }
    };
    let stuck = tokio::time::timeout(std::time::Duration::from_secs(1), stuck).await;
    assert!(stuck.is_err(), "200 MB were taken for a client that reads nothing");
}
