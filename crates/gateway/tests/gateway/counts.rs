//! What was counted equals what clients saw, whatever became of each request.

use std::collections::BTreeMap;

use crate::support::{CHAT, Call, Client, Engine, Gateway, LAST, STREAM, USAGE, count, first_token, soon};

const WHOLE: &str = r#"{"model":"tiny"}"#;

async fn finish(call: Call) {
    call.end_after(&[LAST, USAGE, "[DONE]"]).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_token_is_felt_by_the_engine_and_counted() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    // Before the head of the answer, and between head and first token.
    for opened in [false, true] {
        let mut client = gateway.client().await;
        client.post(CHAT, STREAM).await;
        let mut call = engine.call().await;
        if opened {
            call.open().await;
            client.head().await;
        }
        drop(client);
        soon(call.closed()).await;
    }
    let scrape = gateway.settled(2).await;
    assert_eq!(count(&scrape, "tiny", 499), 2);
    assert_eq!(scrape.sum("request_outcome_total", &[("outcome", "cancelled")]), Some(2.0));
    assert_eq!(scrape.sum("request_ttft_milliseconds_count", &[]), Some(0.0));
    assert_eq!(scrape.sum("request_e2e_latency_seconds_count", &[]), Some(0.0));
}

#[tokio::test]
async fn a_client_that_leaves_mid_stream_is_felt_by_the_engine_and_counted() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    first_token(&mut client, &mut call).await;
    drop(client);
    soon(call.closed()).await;
    let scrape = gateway.settled(1).await;
    assert_eq!(count(&scrape, "tiny", 499), 1);
    assert_eq!(scrape.sum("request_ttft_milliseconds_count", &[]), Some(1.0), "it had its first token");
}

#[tokio::test]
async fn a_client_that_leaves_after_the_last_event_was_served() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    call.event(LAST).await;
    call.event("[DONE]").await;
    client.head().await;
    while !client.data().await.unwrap().contains("[DONE]") {}
    // The engine has not ended its stream yet; the client does not wait for that.
    drop(client);
    soon(call.closed()).await;
    assert_eq!(count(&gateway.settled(1).await, "tiny", 200), 1);
}

#[tokio::test]
async fn a_client_that_leaves_a_whole_answer_waiting_is_counted() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, WHOLE).await;
    let call = engine.call().await;
    drop(client);
    soon(call.closed()).await;
    assert_eq!(count(&gateway.settled(1).await, "tiny", 499), 1);
}

/// One way for a request to go, and the status it is counted under.
async fn go(way: usize, client: &mut Client, engine: &mut Engine) -> u16 {
    match way % 6 {
        0 => {
            client.post(CHAT, STREAM).await;
            let mut call = engine.call().await;
            call.open().await;
            finish(call).await;
            client.answer().await.status()
        }
        1 => {
            client.post("/v1/completions", WHOLE).await;
            engine.call().await.answer(200, "{}").await;
            client.answer().await.status()
        }
        2 => {
            client.post(CHAT, "{nonsense").await;
            client.answer().await.status()
        }
        3 => {
            client.post(CHAT, WHOLE).await;
            engine.call().await.answer(500, "{}").await;
            client.answer().await.status()
        }
        4 => {
            client.post(CHAT, WHOLE).await;
            engine.call().await.answer(429, "{}").await;
            client.answer().await.status()
        }
        _ => {
            client.post(CHAT, STREAM).await;
            let mut call = engine.call().await;
            first_token(client, &mut call).await;
            499
        }
    }
}

#[tokio::test]
async fn a_mix_of_everything_is_counted_once_each_under_its_status() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut seen: BTreeMap<u16, u64> = BTreeMap::new();
    let total = 60;
    for way in 0..total {
        let mut client = gateway.client().await;
        *seen.entry(go(way, &mut client, &mut engine).await).or_default() += 1;
    }
    let scrape = gateway.settled(total as u64).await;
    for (status, requests) in seen {
        let status = status.to_string();
        assert_eq!(scrape.sum("request_total", &[("status_code", status.as_str())]), Some(requests as f64), "{status}");
    }
    assert_eq!(scrape.value("gateway_pending_requests", &[]), Some(0.0));
    // Those that left took their connection to the engine with them; the others shared.
    soon(async {
        while engine.connections() > 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    let completed = scrape.sum("request_outcome_total", &[("outcome", "completed")]).unwrap();
    assert_eq!(scrape.sum("request_e2e_latency_seconds_count", &[]), Some(completed));
}

#[tokio::test]
async fn a_model_that_no_engine_serves_is_no_label() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, r#"{"model":"made-up-by-a-client"}"#).await;
    engine.call().await.answer(404, "{}").await;
    client.answer().await;
    assert_eq!(count(&gateway.settled(1).await, "unknown", 404), 1);
    assert!(!gateway.get("/metrics").await.text().contains("made-up"));
}

#[tokio::test]
async fn gauges_tell_waiting_from_running() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let call = engine.call().await;
    let scrape = gateway.scrape().await;
    assert_eq!(scrape.value("gateway_current_requests", &[]), Some(1.0));
    assert_eq!(scrape.value("gateway_pending_requests", &[]), Some(0.0), "it was dispatched");
    let mut stuck = gateway.client().await;
    stuck.wire.write(format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{{")).await;
    loop {
        let scrape = gateway.scrape().await;
        if scrape.value("gateway_pending_requests", &[]) == Some(1.0) {
            break;
        }
        tokio::task::yield_now().await;
    }
    drop((client, stuck, call));
    gateway.settled(2).await;
}
