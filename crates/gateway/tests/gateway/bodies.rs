//! What clients send as a body, and what of it reaches the engine.

use crate::support::{Engine, Gateway, count};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_body_goes_on_byte_for_byte() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let body = "{ \"model\":\"tiny\",\"temperature\":1.50e0,\n \"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9\"}],\"seed\":12345678901234567890 }";
    let mut client = gateway.client().await;
    client.post(CHAT, body).await;
    let call = engine.call().await;
    assert_eq!(call.head.start, format!("POST {CHAT} HTTP/1.1"));
    assert_eq!(call.body, body);
    call.answer(200, "{}").await;
    assert_eq!(client.answer().await.text(), "{}");
}

#[tokio::test]
async fn a_chunked_body_goes_on_too() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    let head = "POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    client.wire.write(format!("{head}8\r\n{{\"model\"\r\n8\r\n:\"tiny\"}}\r\n0\r\n\r\n")).await;
    let call = engine.call().await;
    assert_eq!(call.body, "{\"model\":\"tiny\"}");
    assert_eq!(call.head.get("content-length"), Some("16"));
    call.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn hosts_in_a_body_are_not_for_clients_to_name() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client
        .post(CHAT, r#"{"model":"tiny","kv_transfer_params":{"remote_host":"evil"},"bootstrap_host":"evil","bootstrap_room":7,"ec_transfer_params":{}}"#)
        .await;
    let call = engine.call().await;
    assert_eq!(call.body, r#"{"model":"tiny"}"#);
    call.answer(200, "{}").await;
    client.answer().await;
}

#[tokio::test]
async fn a_body_that_makes_no_sense_is_answered_with_where_and_never_sent() {
    let engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    let deep = "[".repeat(100_000);
    let deep = format!("{{\"a\":{deep}");
    for (body, what) in [
        ("{\"model\": tiny}", "at byte 10"),
        ("", "at byte 0"),
        ("[1]", "at byte 0"),
        ("{\"model\":\"tiny\"} x", "at byte 17"),
        ("{\"model\":1}", "`model` at byte 9"),
        ("{\"stream\":\"true\"}", "`stream` at byte 10"),
        ("{\"max_tokens\":-1}", "`max_tokens` at byte 14"),
        (deep.as_str(), "at byte"),
    ] {
        client.post(CHAT, body).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 400, "{answer:?}");
        assert_eq!(answer.head.get("x-candor-error"), Some("receive"));
        let message = answer.error();
        assert!(message.contains(what), "{body}: {message}");
    }
    assert!(engine.is_idle());
}

#[tokio::test]
async fn the_member_at_fault_is_named() {
    let gateway = Gateway::neutral(&["127.0.0.1:1"]).await;
    let mut client = gateway.client().await;
    client.post(CHAT, r#"{"stream":1}"#).await;
    assert_eq!(client.answer().await.json()["error"]["param"], "stream");
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_refused_before_a_byte_is_read() {
    let gateway = Gateway::neutral(&["127.0.0.1:1"]).await;
    let mut client = gateway.client().await;
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 104857600\r\n\r\n");
    client.wire.write(head).await;
    let answer = client.answer().await;
    assert_eq!(answer.status(), 413);
    assert!(answer.error().contains("67108864 bytes"));
}

#[tokio::test]
async fn a_body_of_unknown_length_is_refused_at_the_limit() {
    let gateway =
        Gateway::with(|args| args.with("neutral-endpoints", "127.0.0.1:1").with("max-body-bytes", "100000")).await;
    let mut client = gateway.client().await;
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    client.wire.write(head).await;
    let piece = "x".repeat(0x4000);
    for _ in 0..7 {
        client.wire.write(format!("4000\r\n{piece}\r\n")).await;
    }
    assert_eq!(client.answer().await.status(), 413);
}

#[tokio::test]
async fn a_hundred_megabytes_sent_regardless_are_answered_413() {
    let gateway = Gateway::neutral(&["127.0.0.1:1"]).await;
    let mut client = gateway.client().await;
    client.wire.write(format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 104857600\r\n\r\n")).await;
    let megabyte = vec![b' '; 1 << 20];
    let mut sent = 0;
    // A client that writes on without reading is cut off at some point; what it then reads is the answer.
    while sent < 100 && client.wire.write(&megabyte).await {
        sent += 1;
    }
    let answered = client.wire.head().await;
    assert!(answered.is_none_or(|head| head.status() == 413));
    // What matters more: the next request is served as if nothing had been.
    assert_eq!(gateway.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn a_body_that_breaks_http_is_answered_400() {
    let gateway = Gateway::neutral(&["127.0.0.1:1"]).await;
    let mut client = gateway.client().await;
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    client.wire.write(format!("{head}zz\r\n{{}}\r\n0\r\n\r\n")).await;
    assert_eq!(client.answer().await.status(), 400);
    assert_eq!(count(&gateway.settled(1).await, "unknown", 400), 1);
}

#[tokio::test]
async fn a_client_that_leaves_within_its_body_reaches_no_engine() {
    let engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.wire.write(format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{")).await;
    drop(client);
    assert_eq!(count(&gateway.settled(1).await, "unknown", 499), 1);
    assert!(engine.is_idle());
}
