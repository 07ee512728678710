//! Attempts that fail, and what the client sees of them: nothing but time.

use super::support::{CHAT, Engine, Gateway, LAST, STREAM, nobody, soon};

const PLAIN: &str = r#"{"model":"tiny"}"#;

async fn retrying(engines: &[String], max: u32) -> Gateway {
    let engines = engines.join(",");
    Gateway::with(|args| args.with("neutral-endpoints", engines).with("retry-max-count", max.to_string())).await
}

#[tokio::test]
async fn an_engine_that_is_not_there_costs_no_request_while_another_is() {
    let mut engine = Engine::start().await;
    let engines = [nobody().await.to_string(), nobody().await.to_string(), engine.addr.to_string()];
    let gateway = retrying(&engines, 0).await;
    let mut client = gateway.client().await;
    for _ in 0..6 {
        client.post(CHAT, PLAIN).await;
        engine.call().await.answer(200, "{}").await;
        assert_eq!(client.answer().await.status(), 200);
    }
    let scrape = gateway.settled(6).await;
    let retries = scrape.value("request_retry_total", &[("model", "tiny"), ("status_code", "network_error")]);
    assert!(retries.is_some_and(|retries| retries >= 3.0), "{retries:?}");
    let spans = gateway.spans().await;
    let events = spans.iter().flat_map(|span| &span.events).filter(|event| event.name == "retry").count();
    assert_eq!(events as f64, retries.unwrap(), "each one is an event of its request's span");
}

#[tokio::test]
async fn a_failing_engine_is_left_for_another_one() {
    for status in [500, 502, 503, 504] {
        let (mut first, mut second) = (Engine::start().await, Engine::start().await);
        let gateway = retrying(&[first.addr.to_string(), second.addr.to_string()], 1).await;
        let mut client = gateway.client().await;
        client.post(CHAT, STREAM).await;
        let call = soon(first.call()).await;
        let body = call.body.clone();
        call.answer(status, r#"{"error":"no"}"#).await;
        let mut call = soon(second.call()).await;
        assert_eq!(call.body, body);
        call.open().await;
        call.end_after(&[LAST, "[DONE]"]).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 200);
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{answer:?}");
        let scrape = gateway.settled(1).await;
        let labels = [("model", "tiny"), ("status_code", &status.to_string())];
        assert_eq!(scrape.value("request_retry_total", &labels), Some(1.0), "{status}");
        assert_eq!(scrape.sum("request_outcome_total", &[("outcome", "completed")]), Some(1.0));
    }
}

#[tokio::test]
async fn an_engine_that_breaks_off_before_its_answer_is_left_for_another_one() {
    let (mut first, mut second) = (Engine::start().await, Engine::start().await);
    let gateway = retrying(&[first.addr.to_string(), second.addr.to_string()], 1).await;
    let mut client = gateway.client().await;
    client.post(CHAT, PLAIN).await;
    // More than once, where the connection came from the pool: it might have been closed before the request came.
    let breaking = async {
        loop {
            first.call().await.reset();
        }
    };
    let call = tokio::select! {
        () = breaking => unreachable!("it goes on for ever"),
        call = soon(second.call()) => call,
    };
    call.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn when_the_retries_are_used_up_the_last_answer_is_the_answer() {
    let mut engine = Engine::start().await;
    let gateway = retrying(&[engine.addr.to_string()], 2).await;
    let mut client = gateway.client().await;
    client.post(CHAT, PLAIN).await;
    for attempt in 0..3 {
        soon(engine.call()).await.answer(503, &format!(r#"{{"attempt":{attempt}}}"#)).await;
    }
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.text()), (503, r#"{"attempt":2}"#));
    let scrape = gateway.settled(1).await;
    assert_eq!(scrape.sum("request_retry_total", &[]), Some(2.0));
}

#[tokio::test]
async fn what_is_not_the_engines_fault_is_not_tried_again() {
    for status in [400, 401, 404, 422, 429, 501] {
        let (mut first, second) = (Engine::start().await, Engine::start().await);
        let gateway = retrying(&[first.addr.to_string(), second.addr.to_string()], 3).await;
        let mut client = gateway.client().await;
        client.post(CHAT, PLAIN).await;
        soon(first.call()).await.answer(status, "{}").await;
        assert_eq!(client.answer().await.status(), status);
        assert!(second.is_idle());
        let scrape = gateway.settled(1).await;
        assert_eq!(scrape.sum("request_retry_total", &[]).unwrap_or(0.0), 0.0, "{status}");
    }
}

#[tokio::test]
async fn a_stream_that_has_begun_is_not_begun_again() {
    let (mut first, second) = (Engine::start().await, Engine::start().await);
    let gateway = retrying(&[first.addr.to_string(), second.addr.to_string()], 3).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = soon(first.call()).await;
    call.open().await;
    let head = client.head().await;
    assert_eq!(head.status(), 200);
    call.reset();
    assert!(client.rest().await.0.starts_with("event: error\n"));
    assert!(second.is_idle());
}
