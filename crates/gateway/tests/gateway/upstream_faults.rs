//! Engines that are down, refuse, hang, break off or talk nonsense. Whatever happens: a clear answer, and the next request is
//! served.

use crate::support::{CHAT, Engine, Gateway, STREAM, count, soon, token};

#[tokio::test]
async fn an_engine_that_is_down_is_a_503_in_openai_shape() {
    let gateway = Gateway::neutral(&["127.0.0.1:1"]).await;
    let mut client = gateway.client().await;
    for body in [STREAM, r#"{"model":"tiny"}"#] {
        client.post(CHAT, body).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.head.get("x-candor-error"), Some("dispatch"));
        assert!(answer.error().contains("127.0.0.1:1"));
        assert_eq!(answer.json()["error"]["code"], "connect");
    }
    assert_eq!(count(&gateway.settled(2).await, "unknown", 503), 2);
}

#[tokio::test]
async fn an_engines_own_errors_pass_with_status_and_body() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    let statuses = [400, 404, 422, 429, 500, 503];
    for status in statuses {
        client.post(CHAT, STREAM).await;
        let body = format!(r#"{{"error":{{"message":"m","code":{status}}}}}"#);
        engine.call().await.answer(status, &body).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.text()), (status, body.as_str()));
        assert_eq!(answer.head.get("x-candor-error"), None, "it was not the gateway's");
    }
    let scrape = gateway.settled(statuses.len() as u64).await;
    for status in statuses {
        assert_eq!(count(&scrape, "tiny", status), 1, "{status}");
    }
}

#[tokio::test]
async fn an_engine_that_closes_before_answering_is_a_502() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    // The first time on a fresh connection, then on a fresh one again: nothing was pooled.
    for _ in 0..2 {
        client.post(CHAT, STREAM).await;
        // The survey's pooled connection may be tried first and found closed: then the request comes again.
        let call = engine.call().await;
        call.close();
        if let Ok(again) = tokio::time::timeout(std::time::Duration::from_millis(200), engine.call()).await {
            again.close();
        }
        let answer = client.answer().await;
        assert_eq!(answer.status(), 502);
        answer.error();
    }
}

#[tokio::test]
async fn an_engine_that_talks_nonsense_is_a_502() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.raw("SSH-2.0-OpenSSH\r\n\r\n").await;
    assert_eq!(client.answer().await.status(), 502);
}

#[tokio::test]
async fn an_engine_that_does_not_begin_to_answer_is_a_504_and_let_go_of() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::with(|args| {
        args.with("neutral-endpoints", engine.addr.to_string()).with("response-header-timeout", "100ms")
    })
    .await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let call = engine.call().await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.json()["error"]["code"].as_str()), (504, Some("response_timeout")));
    soon(call.closed()).await;
}

/// Reads what a broken stream became: what the engine said, then one error event, then the end in good order.
async fn broken(client: &mut crate::support::Client, said: &str, code: &str) {
    assert_eq!(client.head().await.status(), 200);
    let (text, _) = soon(client.rest()).await;
    let error = text.strip_prefix(said).unwrap_or_else(|| panic!("{text}"));
    let data = error.strip_prefix("event: error\ndata: ").unwrap_or_else(|| panic!("{text}"));
    let json: serde_json::Value = serde_json::from_str(data.trim_end()).unwrap();
    assert_eq!(json["error"]["code"], code);
    assert!(data.ends_with("\n\n"));
    // The connection lives on.
    client.send("GET", "/healthz", "", "").await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_in_an_error_event() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    call.event(&token("a")).await;
    client.head().await;
    let said = client.data().await.unwrap();
    assert_eq!(said, format!("data: {}\n\n", token("a")));
    call.reset();
    let (text, _) = soon(client.rest()).await;
    assert!(text.starts_with("event: error\ndata: {\"error\":") && text.contains("stream_lost"), "{text}");
    let scrape = gateway.settled(1).await;
    let labels = [("outcome", "failed"), ("stage", "relay")];
    assert_eq!(scrape.sum("request_outcome_total", &labels), Some(1.0));
}

#[tokio::test]
async fn a_stream_that_ends_too_early_in_good_order_is_not_taken_for_whole() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    call.event(&token("a")).await;
    call.end().await;
    broken(&mut client, &format!("data: {}\n\n", token("a")), "stream_truncated").await;
}

#[tokio::test]
async fn half_an_event_does_not_swallow_the_error() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    let asked = r#"{"model":"tiny","stream":true,"stream_options":{"include_usage":true}}"#;
    for (body, said) in [(STREAM, "\n\n"), (asked, "data: {\"choi\n\n")] {
        client.post(CHAT, body).await;
        let mut call = engine.call().await;
        call.open().await;
        call.send("data: {\"choi").await;
        call.end().await;
        broken(&mut client, said, "stream_truncated").await;
    }
}

#[tokio::test]
async fn garbage_in_a_stream_passes_and_is_followed_by_an_error() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    call.send("data: {{{\n\n\n\n::::\n\n").await;
    call.end().await;
    broken(&mut client, "data: {{{\n\n\n\n::::\n\n", "stream_truncated").await;
}

#[tokio::test]
async fn a_stream_that_falls_silent_ends_in_an_error_event_and_lets_go_of_the_engine() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::with(|args| {
        args.with("neutral-endpoints", engine.addr.to_string()).with("stream-idle-timeout", "100ms")
    })
    .await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    broken(&mut client, "", "stream_silent").await;
    soon(call.closed()).await;
}

#[tokio::test]
async fn the_coordinators_own_error_event_is_passed_on_alone() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    let event = "event: error\ndata: {\"error\":{\"message\":\"m\"}}\n\n";
    call.send(event).await;
    call.end().await;
    assert_eq!(client.answer().await.text(), event);
    let scrape = gateway.settled(1).await;
    assert_eq!(scrape.sum("request_outcome_total", &[("outcome", "failed"), ("stage", "decode")]), Some(1.0));
}

#[tokio::test]
async fn an_answer_cut_short_is_cut_short_for_the_client_too() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, r#"{"model":"tiny"}"#).await;
    let mut call = engine.call().await;
    call.raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"half\":").await;
    let head = client.head().await;
    call.close();
    assert!(client.wire.body(&head).await.is_none());
    let scrape = gateway.settled(1).await;
    assert_eq!(scrape.sum("request_outcome_total", &[("outcome", "failed")]), Some(1.0));
}

#[tokio::test]
async fn a_connection_that_closed_while_pooled_costs_no_request() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    for _ in 0..3 {
        client.post(CHAT, r#"{"model":"tiny"}"#).await;
        let mut call = engine.call().await;
        call.raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        assert_eq!(client.answer().await.status(), 200);
        // Closed only now, without having said so.
        call.close();
    }
}
