//! What the gateway says of time, to the client and in its metrics.

use telemetry::server_timing::ServerTiming;
use telemetry::span::Value;

use crate::support::{CHAT, Engine, Gateway, LAST, STREAM, soon, token};

fn timing(fields: &[(String, String)]) -> ServerTiming {
    let value = fields.iter().find(|(name, _)| name == "server-timing").map(|(_, value)| value.as_str());
    ServerTiming::parse(value.unwrap_or_else(|| panic!("no timing: {fields:?}")))
}

#[tokio::test]
async fn the_head_says_what_is_known_by_then() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    let head = timing(&client.head().await.fields);
    for stage in ["preprocess", "schedule"] {
        assert!(head.nanos(stage).is_some(), "{stage}: {head:?}");
    }
    call.event("[DONE]").await;
    call.end().await;
    assert_eq!(client.rest().await.1, [], "a client that does not ask for trailers gets none");
}

#[tokio::test]
async fn the_trailer_splits_the_first_token_as_the_coordinator_said() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::with(|args| {
        args.with("prefill-endpoints", "127.0.0.1:1").with("decode-endpoints", engine.addr.to_string())
    })
    .await;
    let mut client = gateway.client().await;
    client.send("POST", CHAT, "te: trailers\r\n", STREAM).await;
    let mut call = engine.call().await;
    call.open_with("trailer: server-timing\r\n").await;
    // Long enough for the parts below to fit into it.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    call.event(&token("a")).await;
    call.event(LAST).await;
    call.event("[DONE]").await;
    call.end_with("server-timing: prefill;dur=5.000, kv_transfer;dur=3.000, first_decode;dur=2.000\r\n").await;
    let head = client.head().await;
    assert_eq!(head.get("trailer"), Some("server-timing"));
    let (_, trailers) = client.rest().await;
    let trailer = timing(&trailers);
    let parts = ["prefill", "kv_transfer", "first_decode"].map(|part| trailer.nanos(part).unwrap());
    assert_eq!(parts, [5_000_000, 3_000_000, 2_000_000]);
    let scrape = gateway.settled(1).await;
    let ttft = scrape.histogram("request_ttft_milliseconds", &[]).unwrap();
    let components = scrape.histogram("request_ttft_component_milliseconds", &[]).unwrap();
    assert!(ttft.sum >= 20.0 && (ttft.sum - components.sum).abs() < 1e-6, "{} {}", ttft.sum, components.sum);
    let prefill = scrape.histogram("request_ttft_component_milliseconds", &[("component", "prefill")]).unwrap();
    assert!((prefill.sum - 5.0).abs() < 1e-9);
}

#[tokio::test]
async fn an_injected_delay_counts_as_scheduling() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::with(|args| {
        args.with("neutral-endpoints", engine.addr.to_string()).with("inject-routing-delay", "15ms")
    })
    .await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    let elapsed: u64 = call.head.get("x-candor-elapsed-us").unwrap().parse().unwrap();
    assert!(elapsed >= 15_000, "{elapsed}");
    call.open().await;
    call.end_after(&[LAST, "[DONE]"]).await;
    assert!(timing(&client.answer().await.head.fields).nanos("schedule").unwrap() >= 15_000_000);
    let scrape = gateway.settled(1).await;
    assert!(scrape.histogram("request_schedule_duration_milliseconds", &[]).unwrap().sum >= 15.0);
}

#[tokio::test]
async fn an_opening_chunk_without_a_token_is_not_the_first_token() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    call.event(r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#).await;
    client.head().await;
    client.data().await;
    assert_eq!(gateway.scrape().await.sum("request_ttft_milliseconds_count", &[]).unwrap_or(0.0), 0.0);
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    call.end_after(&[LAST, "[DONE]"]).await;
    client.rest().await;
    let ttft = soon(gateway.settled(1)).await.histogram("request_ttft_milliseconds", &[]).unwrap();
    assert!(ttft.count == 1.0 && ttft.sum >= 30.0, "{ttft:?}");
}

#[tokio::test]
async fn the_gateways_span_is_the_root_and_says_what_the_trailer_says() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.send("POST", CHAT, "te: trailers\r\nx-request-id: r1\r\n", STREAM).await;
    let mut call = engine.call().await;
    let sent = call.head.get("traceparent").unwrap().to_owned();
    call.open().await;
    call.end_after(&[LAST, "[DONE]"]).await;
    let trailer = timing(&client.answer().await.trailers);
    gateway.settled(1).await;
    let spans = gateway.spans().await;
    let roots: Vec<_> = spans.iter().filter(|span| span.parent.is_none()).collect();
    let [span] = roots.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.name, "gateway.request");
    let context = &span.context;
    assert_eq!(sent, format!("00-{}-{}-{:02x}", context.trace_id, context.span_id, context.flags.byte()));
    assert_eq!(span.get("candor.gateway.ttft_us"), Some(&Value::Int((trailer.nanos("ttft").unwrap() / 1000) as i64)));
    assert_eq!(span.get("candor.gateway.decode_target"), Some(&Value::from(engine.addr.to_string())));
}
