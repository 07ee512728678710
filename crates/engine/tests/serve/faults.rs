//! Every fault, and that the engine behind it is none the worse.

use crate::support::{Engine, events, read};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

const STREAM: &str = r#"{"messages": [{"role": "user", "content": "hi"}], "max_tokens": 6, "stream": true}"#;

async fn faulty(engine: &Engine, fault: &str) -> http::Response<proxy::client::UpstreamBody> {
    let headers = [("x-candor-fault", fault)];
    engine.send(Method::POST, "/v1/chat/completions", &headers, STREAM.to_owned()).await.unwrap()
}

/// Token events among the whole events of a broken stream.
fn tokens(text: &str) -> usize {
    let whole = text.split_inclusive("\n\n").filter(|event| event.ends_with("\n\n"));
    whole.filter(|event| event.contains("\"content\"") && !event.contains("\"role\"")).count()
}

#[tokio::test]
async fn a_status_instead_of_an_answer() {
    let engine = Engine::start("").await;
    let response = faulty(&engine, "status=503").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body: Value = serde_json::from_str(&read(response.into_body()).await.unwrap()).unwrap();
    assert_eq!(body["error"]["code"], 503);
    engine.stop().await;
}

#[tokio::test]
async fn a_delay_before_the_answer() {
    let engine = Engine::start("").await;
    let started = telemetry::clock::now();
    let response = faulty(&engine, "delay=60ms").await;
    assert!(telemetry::clock::now() - started >= Duration::from_millis(60));
    assert_eq!(events(&read(response.into_body()).await.unwrap()).len(), 7);
    engine.stop().await;
}

#[tokio::test]
async fn silence() {
    let engine = Engine::start("").await;
    let silent = tokio::time::timeout(Duration::from_millis(100), faulty(&engine, "hang"));
    assert!(silent.await.is_err());
    let mut body = faulty(&engine, "hang-after-tokens=2").await.into_body();
    let mut text = String::new();
    let reading = async {
        while let Some(frame) = proxy::body::next_frame(&mut body).await {
            text.push_str(&String::from_utf8_lossy(&frame.unwrap().into_data().unwrap()));
        }
    };
    assert!(tokio::time::timeout(Duration::from_millis(200), reading).await.is_err());
    assert_eq!(tokens(&text), 2);
    drop(body);
    engine.stop().await;
}

#[tokio::test]
async fn a_broken_connection_after_some_tokens() {
    let engine = Engine::start("").await;
    let (text, _error) = read(faulty(&engine, "reset-after-tokens=3").await.into_body()).await.unwrap_err();
    assert_eq!(tokens(&text), 3);
    assert!(!text.contains("[DONE]"));
    engine.stop().await;
}

#[tokio::test]
async fn half_an_event() {
    let engine = Engine::start("").await;
    let text = read(faulty(&engine, "half-event=2").await.into_body()).await.unwrap();
    assert_eq!(tokens(&text), 2);
    assert!(!text.ends_with("\n\n") && text.rsplit("\n\n").next().unwrap().starts_with("data: {"), "{text}");
    engine.stop().await;
}

#[tokio::test]
async fn garbage() {
    let engine = Engine::start("").await;
    let text = read(faulty(&engine, "garbage").await.into_body()).await.unwrap();
    assert!(text.contains("nonsense") && !text.contains("[DONE]"));
    let headers = [("x-candor-fault", "garbage")];
    let (status, body) = engine.post_with("/v1/completions", &headers, &json!({"prompt": "x"})).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.is_string(), "not JSON: {body}");
    engine.stop().await;
}

#[tokio::test]
async fn a_slow_drip_is_whole_in_the_end() {
    let engine = Engine::start("").await;
    let mut body = faulty(&engine, "drip=1ms").await.into_body();
    let mut text = String::new();
    while let Some(frame) = proxy::body::next_frame(&mut body).await {
        let data = frame.unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&data).unwrap());
    }
    assert_eq!(events(&text).len(), 7);
    drop(body);
    engine.stop().await;
}

#[tokio::test]
async fn rules_are_set_read_and_removed() {
    let engine = Engine::start("").await;
    let rules = json!([{"fault": "status=500", "path": "/v1/completions", "count": 2}]);
    assert_eq!(engine.post("/admin/faults", &rules).await.0, StatusCode::OK);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(engine.post("/v1/completions", &json!({"prompt": "x"})).await.0.as_u16());
    }
    assert_eq!(statuses, [500, 500, 200]);
    let (_, left) = engine.get("/admin/faults").await;
    assert!(left.contains("\"count\":0"), "{left}");
    let wrong = json!([{"fault": "explode"}]);
    assert_eq!(engine.post("/admin/faults", &wrong).await.0, StatusCode::BAD_REQUEST);
    let response = engine.send(Method::DELETE, "/admin/faults", &[], String::new()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    drop(response);
    assert_eq!(engine.get("/admin/faults").await.1, "[]");
    engine.stop().await;
}

#[tokio::test]
async fn connections_are_refused_for_a_while() {
    let engine = Engine::start("").await;
    engine.post("/admin/refuse?ms=200", &json!({})).await;
    let connect = || tokio::net::TcpStream::connect(engine.addr());
    let mut refused = false;
    for _ in 0..100 {
        refused = connect().await.is_err();
        if refused {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(refused);
    while connect().await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    engine.stop().await;
}
