//! The admission queue from outside. A long routing delay keeps the only slot taken.

use telemetry::span::SpanRecord;

use super::support::{Answer, CHAT, Client, Engine, Gateway, soon};

const PLAIN: &str = r#"{"model":"tiny"}"#;

/// A gateway whose one slot the first request keeps for longer than a test takes.
async fn jammed(engine: &Engine, places: usize, patience: &str) -> Gateway {
    Gateway::with(|args| {
        args.with("neutral-endpoints", engine.addr.to_string())
            .with("wait-queue-threads", "1")
            .with("max-queue-size", places.to_string())
            .with("queue-timeout", patience)
            .with("wait-queue-interval", "2500ms")
            .with("inject-routing-delay", "10m")
    })
    .await
}

async fn asking(gateway: &Gateway) -> Client {
    let mut client = gateway.client().await;
    client.post(CHAT, PLAIN).await;
    client
}

/// The answer of whichever client gets one first; the others leave.
async fn first(clients: Vec<Client>) -> Answer {
    let mut answers = tokio::task::JoinSet::new();
    for mut client in clients {
        answers.spawn(async move { client.answer().await });
    }
    soon(answers.join_next()).await.unwrap().unwrap()
}

fn has(spans: &[SpanRecord], name: &str) -> usize {
    spans.iter().filter(|span| span.name == name).count()
}

#[tokio::test]
async fn a_full_queue_answers_429_and_says_when_to_come_back() {
    let engine = Engine::start().await;
    let gateway = jammed(&engine, 1, "10m").await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(asking(&gateway).await);
    }
    let answer = first(clients).await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.head.get("retry-after"), Some("3"), "whole seconds, not too early");
    assert_eq!(answer.head.get("x-candor-error"), Some("queue"));
    assert_eq!(answer.json()["error"]["code"], "queue_full");
    assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
    // The other two left: one with the slot, one in the queue.
    let scrape = gateway.settled(3).await;
    assert_eq!(scrape.value("gateway_rejected_total", &[("model", "tiny"), ("reason", "queue_full")]), Some(1.0));
    for stage in ["queue", "schedule"] {
        assert_eq!(
            scrape.sum("request_outcome_total", &[("outcome", "cancelled"), ("stage", stage)]),
            Some(1.0),
            "{stage}"
        );
    }
    assert_eq!(scrape.sum("request_queue_duration_milliseconds_count", &[]), Some(1.0), "who left was never admitted");
    assert_eq!(scrape.value("gateway_pending_requests", &[]), Some(0.0));
    let spans = gateway.spans().await;
    assert_eq!(
        (has(&spans, "gateway.queue"), has(&spans, "gateway.schedule"), has(&spans, "gateway.dispatch")),
        (2, 1, 0)
    );
}

#[tokio::test]
async fn who_waits_too_long_is_answered_503() {
    let engine = Engine::start().await;
    let gateway = jammed(&engine, 8, "50ms").await;
    let clients = vec![asking(&gateway).await, asking(&gateway).await];
    let answer = first(clients).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.error(), "the request was not admitted within 50ms");
    assert_eq!(answer.json()["error"]["code"], "queue_timeout");
    let scrape = gateway.settled(2).await;
    assert_eq!(scrape.sum("gateway_rejected_total", &[("reason", "queue_timeout")]), Some(1.0));
    assert_eq!(scrape.sum("request_outcome_total", &[("outcome", "failed"), ("stage", "queue")]), Some(1.0));
}

#[tokio::test]
async fn who_leaves_frees_the_slot_for_the_next() {
    let engine = Engine::start().await;
    let gateway = jammed(&engine, 1, "10m").await;
    // Each finds the slot free, or waits for it: none is refused, though there is one place only.
    for left in 1..=4 {
        drop(asking(&gateway).await);
        gateway.settled(left).await;
    }
    let scrape = gateway.scrape().await;
    assert_eq!(scrape.sum("request_outcome_total", &[("outcome", "cancelled"), ("stage", "schedule")]), Some(4.0));
}

#[tokio::test]
async fn an_admitted_requests_stages_tile_its_span() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, PLAIN).await;
    engine.call().await.answer(200, "{}").await;
    client.answer().await;
    let spans = gateway.spans().await;
    let span = |name| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name}"));
    let (request, queue) = (span("gateway.request"), span("gateway.queue"));
    let (schedule, dispatch) = (span("gateway.schedule"), span("gateway.dispatch"));
    for stage in [queue, schedule, dispatch] {
        assert_eq!(stage.parent, Some(request.context.span_id));
        assert_eq!(stage.context.trace_id, request.context.trace_id);
    }
    assert_eq!(queue.end, queue.start, "it was admitted at once");
    assert_eq!((queue.end, schedule.end), (schedule.start, dispatch.start));
    assert!(request.start <= queue.start && dispatch.end <= request.end);
}
