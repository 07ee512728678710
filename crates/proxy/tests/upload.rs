//! Requests with bodies of every kind, as they arrive at an upstream.
#![allow(clippy::unwrap_used, reason = "tests, their helpers included")]

mod common;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use common::{Upstream, client, text, within};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body::{Frame, SizeHint};
use proxy::Body;
use proxy::client::ErrorKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Frames one by one, of a length that may or may not be said, and may or may not be true.
struct Frames {
    frames: std::vec::IntoIter<Frame<Bytes>>,
    said: SizeHint,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.frames.next().map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        self.said
    }
}

fn post(frames: Vec<Frame<Bytes>>, said: SizeHint) -> Request<Body> {
    Request::post("/").body(Body::wrap(Frames { frames: frames.into_iter(), said })).unwrap()
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn a_body_of_unknown_length_goes_in_chunks_with_its_trailers() {
    let upstream = Upstream::bind().await;
    let client = client();
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", HeaderValue::from_static("1"));
    trailers.insert("content-length", HeaderValue::from_static("9"));
    let frames = vec![data("one"), data(""), data("and another"), Frame::trailers(trailers)];
    let serve = async {
        let mut peer = upstream.accept().await;
        let head = peer.head().await;
        let body = peer.until("\r\n\r\n").await;
        peer.send(OK).await;
        (head, body, peer)
    };
    let ((head, body, _peer), response) =
        tokio::join!(serve, client.send(&upstream.target, post(frames, SizeHint::default())));
    assert!(head.contains("transfer-encoding: chunked\r\n") && !head.contains("content-length"), "{head}");
    assert_eq!(body, "3\r\none\r\nb\r\nand another\r\n0\r\nchecksum: 1\r\n\r\n");
    assert_eq!(text(response.unwrap().into_body()).await, "ok");
    assert_eq!(client.stats().idle, 1);
}

#[tokio::test]
async fn a_body_of_another_length_than_it_said_fails_the_request() {
    for said in [3, 5] {
        let upstream = Upstream::bind().await;
        let request = post(vec![data("four")], SizeHint::with_exact(said));
        let serve = async { upstream.accept().await.rest().await };
        let (_, outcome) = tokio::join!(serve, async {
            client().send(&upstream.target, request).await.map(drop).map_err(|error| error.kind())
        });
        assert_eq!(outcome, Err(ErrorKind::RequestBody), "{said}");
    }
}

#[tokio::test]
async fn request_and_response_bodies_flow_at_the_same_time() {
    const LEN: usize = 8 << 20;
    let upstream = Upstream::bind().await;
    // Sends back each byte as it comes: with one direction waiting for the other, the sockets' buffers fill and all stops.
    let echo = async {
        let mut peer = upstream.accept().await;
        peer.head().await;
        peer.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: {LEN}\r\n\r\n")).await;
        let mut buffer = vec![0; 1 << 16];
        let mut left = LEN;
        while left > 0 {
            let got = peer.0.read(&mut buffer).await.unwrap();
            peer.0.write_all(&buffer[..got]).await.unwrap();
            left -= got;
        }
        peer
    };
    let client = client();
    let bytes: Bytes = (0..LEN).map(|at| u8::try_from(at % 251).unwrap()).collect::<Vec<_>>().into();
    let request = Request::post("/").body(Body::from(bytes.clone())).unwrap();
    let ask = async {
        let body = client.send(&upstream.target, request).await.unwrap().into_body();
        proxy::body::collect(body, LEN).await.unwrap()
    };
    let (_peer, answer) = within(async { tokio::join!(echo, ask) }).await;
    assert!(answer == bytes, "the echo differs");
    assert_eq!(client.stats().idle, 1);
}

#[tokio::test]
async fn an_upstream_that_stops_reading_can_still_answer() {
    let upstream = Upstream::bind().await;
    let refuse = async {
        let mut peer = upstream.accept().await;
        peer.head().await;
        peer.send("HTTP/1.1 413 Payload Too Large\r\nconnection: close\r\ncontent-length: 3\r\n\r\nbig").await;
        peer.0.shutdown().await.unwrap();
        peer
    };
    let client = client();
    let request = Request::post("/").body(Body::from(vec![b'x'; 32 << 20])).unwrap();
    let (_peer, response) = tokio::join!(refuse, client.send(&upstream.target, request));
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(text(response.into_body()).await, "big");
    assert_eq!(client.stats().idle, 0);
}

#[tokio::test]
async fn a_request_that_says_close_is_the_last_of_its_connection() {
    let upstream = Upstream::bind().await;
    let client = client();
    let request = Request::get("/").header("connection", "close").body(Body::Empty).unwrap();
    let (mut peer, response) = tokio::join!(upstream.answer(OK), client.send(&upstream.target, request));
    assert_eq!(text(response.unwrap().into_body()).await, "ok");
    assert_eq!(peer.rest().await, "");
    assert_eq!(client.stats().idle, 0);
}
