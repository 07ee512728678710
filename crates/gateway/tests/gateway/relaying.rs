//! An answer on its way: as it comes, chunk by chunk, at the client's pace.

use std::time::Duration;

use crate::support::{CHAT, Engine, Gateway, LAST, STREAM, soon, token};

#[tokio::test]
async fn each_chunk_is_passed_on_before_the_next_one_exists() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    let head = soon(client.head()).await;
    assert_eq!(head.get("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(head.get("transfer-encoding"), Some("chunked"));
    for text in ["a", "b", "c"] {
        call.event(&token(text)).await;
        assert_eq!(soon(client.data()).await, Some(format!("data: {}\n\n", token(text))));
    }
    call.event("[DONE]").await;
    assert_eq!(soon(client.data()).await.as_deref(), Some("data: [DONE]\n\n"));
    call.end().await;
    assert_eq!(soon(client.data()).await, None);
}

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    for _ in 0..5 {
        client.post(CHAT, STREAM).await;
        let mut call = engine.call().await;
        call.open().await;
        call.end_after(&[LAST, "[DONE]"]).await;
        client.answer().await;
    }
    assert_eq!(engine.connections(), 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_engine() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    let event = format!("data: {}\n\n", token(&"x".repeat(60_000)));
    let mut sent = 0_u64;
    // The sockets on the way hold some megabytes; an engine that can send much more is being buffered without bound.
    while tokio::time::timeout(Duration::from_millis(500), call.send(&event)).await.is_ok() {
        sent += 1;
        assert!(sent < 2_000, "{sent} events were taken though nobody reads them");
    }
    client.head().await;
    drop(client);
    soon(call.closed()).await;
    assert_eq!(gateway.settled(1).await.value("gateway_current_requests", &[]), Some(0.0));
}

#[tokio::test]
async fn a_slow_client_gets_every_byte() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    let event = format!("data: {}\n\n", token(&"x".repeat(60_000)));
    let want = event.repeat(300).len();
    let send = async {
        call.open().await;
        for _ in 0..300 {
            call.send(&event).await;
        }
        call.event("[DONE]").await;
        call.end().await;
    };
    let read = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.answer().await
    };
    let ((), answer) = tokio::join!(send, read);
    assert_eq!(answer.body.len(), want + "data: [DONE]\n\n".len());
}

#[tokio::test]
async fn an_answer_without_a_stream_keeps_its_length() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(3 << 20));
    for body in ["{}", long.as_str()] {
        client.post(CHAT, r#"{"model":"tiny"}"#).await;
        engine.call().await.answer(200, body).await;
        let answer = client.answer().await;
        assert_eq!(answer.head.get("content-length").unwrap(), body.len().to_string());
        assert_eq!(answer.text(), body);
    }
}

#[tokio::test]
async fn a_stream_that_was_not_asked_for_passes_as_it_is() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, r#"{"model":"tiny"}"#).await;
    let mut call = engine.call().await;
    call.open().await;
    call.event("half").await;
    call.end().await;
    assert_eq!(client.answer().await.text(), "data: half\n\n");
}

#[tokio::test]
async fn a_compressed_stream_passes_as_it_is() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open_with("content-encoding: gzip\r\n").await;
    call.send("\u{1f}opaque").await;
    call.end().await;
    let answer = client.answer().await;
    assert_eq!(answer.text(), "\u{1f}opaque");
    assert_eq!(answer.head.get("content-encoding"), Some("gzip"));
}

#[tokio::test]
async fn comments_and_keep_alives_pass() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    call.send(": keep-alive\n\n").await;
    client.head().await;
    assert_eq!(soon(client.data()).await.as_deref(), Some(": keep-alive\n\n"));
    call.event("[DONE]").await;
    call.end().await;
    client.rest().await;
}

#[tokio::test]
async fn a_client_that_speaks_http2_is_served_the_same() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let client = proxy::Client::new(proxy::ClientConfig::default());
    let target = proxy::Target::from_addr(gateway.addr).with_http2();
    let ask = |body: &'static str| {
        let request = http::Request::post(CHAT).body(proxy::Body::from(body)).unwrap();
        client.send(&target, request)
    };
    let asking = ask(STREAM);
    let answering = async {
        let mut call = engine.call().await;
        assert!(call.head.start.ends_with("HTTP/1.1"), "engines are spoken to in HTTP/1.1");
        call.open().await;
        call.end_after(&[LAST, "[DONE]"]).await;
    };
    let (response, ()) = tokio::join!(asking, answering);
    let response = response.unwrap();
    assert_eq!((response.status(), response.version()), (http::StatusCode::OK, http::Version::HTTP_2));
    let body = soon(proxy::body::collect(response.into_body(), 1 << 20)).await.unwrap();
    assert_eq!(body, format!("data: {LAST}\n\ndata: [DONE]\n\n"));
    let refused = ask("{nonsense").await.unwrap();
    assert_eq!(refused.status(), 400);
}
