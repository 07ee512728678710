//! Usage: asked of every stream, read from every answer, shown to those who asked.

use crate::support::{CHAT, Client, Engine, Gateway, LAST, STREAM, USAGE, token};

/// Sends a stream in pieces cut after every `step` bytes; returns what the client got of it.
async fn through(engine: &mut Engine, client: &mut Client, body: &str, stream: &str, step: usize) -> String {
    client.post(CHAT, body).await;
    let mut call = engine.call().await;
    call.open().await;
    for piece in stream.as_bytes().chunks(step) {
        call.send(std::str::from_utf8(piece).unwrap()).await;
    }
    call.end().await;
    client.head().await;
    client.rest().await.0
}

fn stream() -> String {
    format!("data: {}\n\ndata: {LAST}\n\ndata: {USAGE}\n\ndata: [DONE]\n\n", token("a"))
}

#[tokio::test]
async fn a_client_that_did_not_ask_for_usage_sees_none_however_the_stream_is_cut() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    let want = stream().replace(&format!("data: {USAGE}\n\n"), "");
    let steps = [1, 2, 3, 7, 64, 4096];
    for step in steps {
        assert_eq!(through(&mut engine, &mut client, STREAM, &stream(), step).await, want, "step {step}");
    }
    let scrape = gateway.settled(steps.len() as u64).await;
    let labels = [("model", "tiny")];
    assert_eq!(scrape.value("request_output_tokens_total", &labels), Some(3.0 * steps.len() as f64));
    assert_eq!(scrape.value("request_input_tokens_total", &labels), Some(5.0 * steps.len() as f64));
}

#[tokio::test]
async fn every_stream_is_asked_for_usage() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    assert_eq!(call.json()["stream_options"], serde_json::json!({"include_usage": true}));
    call.open().await;
    call.event("[DONE]").await;
    call.end().await;
    client.answer().await;
}

#[tokio::test]
async fn a_client_that_asked_for_usage_gets_it() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    let body = r#"{"model":"tiny","stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(through(&mut engine, &mut client, body, &stream(), 10).await, stream());
}

#[tokio::test]
async fn exact_accounting_counts_tokens_by_the_engines_running_total_and_hides_it() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::with(|args| {
        args.with("neutral-endpoints", engine.addr.to_string()).with("exact-token-accounting", "true")
    })
    .await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    let options = serde_json::json!({"include_usage": true, "continuous_usage_stats": true});
    assert_eq!(call.json()["stream_options"], options);
    call.open().await;
    for (text, total) in [("a", 1), ("bcd", 4), ("e", 5)] {
        let usage = format!(r#","usage":{{"prompt_tokens":2,"completion_tokens":{total}}}}}"#);
        call.event(&token(text).replace("]}", &format!("]{usage}"))).await;
    }
    call.event(r#"{"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":5}}"#).await;
    call.event("[DONE]").await;
    call.end().await;
    let answer = client.answer().await;
    assert!(!answer.text().contains("usage"), "{}", answer.text());
    assert!(answer.text().contains(r#""content":"bcd""#));
    let scrape = gateway.settled(1).await;
    // Five tokens in three chunks: four gaps between tokens.
    assert_eq!(scrape.histogram("request_itl_milliseconds", &[("model", "tiny")]).unwrap().count, 4.0);
    assert_eq!(scrape.histogram("request_output_tokens", &[("model", "tiny")]).unwrap().sum, 5.0);
}

#[tokio::test]
async fn the_usage_of_an_answer_without_a_stream_is_read_too() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post("/v1/completions", r#"{"model":"tiny"}"#).await;
    let call = engine.call().await;
    assert_eq!(call.body, r#"{"model":"tiny"}"#, "nothing is asked for");
    let body = r#"{"choices":[{"text":"x"}],"usage":{"prompt_tokens":11,"completion_tokens":7}}"#;
    call.answer(200, body).await;
    assert_eq!(client.answer().await.text(), body);
    let scrape = gateway.settled(1).await;
    assert_eq!(scrape.histogram("request_input_tokens", &[("model", "tiny")]).unwrap().sum, 11.0);
    assert_eq!(scrape.histogram("request_output_tokens", &[("model", "tiny")]).unwrap().sum, 7.0);
    assert_eq!(scrape.sum("request_ttft_milliseconds_count", &[]), Some(0.0), "no stream, no first token");
}
