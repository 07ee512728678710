//! SGLang's rooms and the shared store, over real sockets.

mod support;

use serde_json::json;
use support::{World, prefilled, token_event};

#[tokio::test]
async fn both_sglang_legs_run_at_once_and_meet_in_a_room_of_ours() {
    let mut world = World::start("sglang", &["--sglang-bootstrap-port=9111"]).await;
    let body = r#"{"model":"m","prompt":"p","stream":true,"max_tokens":5,"bootstrap_room":1,"bootstrap_host":"evil"}"#;
    let sent = world.sending(world.disaggregated(body));
    let mut decode = world.decode.next().await;
    let mut prefill = world.prefill.next().await;
    let (one, other) = (prefill.json(), decode.json());
    assert_eq!(one, other);
    assert_eq!((&one["bootstrap_host"], &one["bootstrap_port"]), (&json!("127.0.0.1"), &json!(9111)));
    let room = one["bootstrap_room"].as_i64().expect("a signed 64-bit integer");
    assert!(room > 1);
    assert_eq!((&one["stream"], &one["max_tokens"]), (&json!(true), &json!(5)), "as the client wished");

    // The prefill is slower than the decode, and streams: it is read and dropped.
    decode.begin_stream().await;
    decode.token("a").await;
    let mut reply = sent.await.unwrap();
    assert_eq!(reply.until("a").await, token_event("a"));
    prefill.begin_stream().await;
    prefill.token("never seen").await;
    prefill.finish_stream().await;
    decode.token("b").await;
    decode.finish_stream().await;
    let rest = reply.rest().await;
    assert!(rest.starts_with(&token_event("b")) && rest.ends_with("data: [DONE]\n\n"), "{rest}");
    assert_eq!(world.outcome().await, ("completed".into(), "none".into()));
    let spans = world.spans().await;
    let decode = spans.iter().find(|span| span.name == "llm_d.pd_proxy.decode").unwrap();
    assert!(decode.get("llm_d.pd_proxy.true_ttft_ms").is_some());
}

#[tokio::test]
async fn a_prefill_that_ends_after_the_decode_changes_nothing() {
    let mut world = World::start("sglang", &[]).await;
    let sent = world.sending(world.disaggregated(r#"{"prompt":"p"}"#));
    let prefill = world.prefill.next().await;
    world.decode.next().await.json_answer(200, r#"{"choices":[]}"#).await;
    assert_eq!(sent.await.unwrap().text().await, r#"{"choices":[]}"#);
    prefill.json_answer(200, "{}").await;
    assert!(world.sidecar.shutdown().await.complete);
}

#[tokio::test]
async fn a_shared_store_is_filled_first() {
    for name in ["lmcache", "shared-storage"] {
        let mut world = World::start(name, &[]).await;
        let sent = world.sending(world.disaggregated(r#"{"prompt":"p","max_tokens":9,"min_tokens":3}"#));
        let prefill = world.prefill.next().await;
        let expected =
            json!({"prompt":"p","max_tokens":1,"min_tokens":1,"max_completion_tokens":1,"cache_hit_threshold":0});
        assert_eq!(prefill.json(), expected);
        prefill.json_answer(200, "not json, and nobody cares").await;
        let decode = world.decode.next().await;
        assert_eq!(decode.json(), json!({"prompt":"p","max_tokens":9,"min_tokens":3,"cache_hit_threshold":0}));
        let usage = r#"{"usage":{"prompt_tokens_details":{"cached_tokens":5}}}"#;
        decode.json_answer(200, usage).await;
        assert_eq!(sent.await.unwrap().text().await, usage, "the decoder's own count stands");
    }
}

#[tokio::test]
async fn with_a_threshold_the_decoder_is_tried_first_and_may_serve() {
    for streaming in [false, true] {
        let mut world = World::start("lmcache", &[]).await;
        let body = format!(r#"{{"prompt":"p","cache_hit_threshold":0.8,"stream":{streaming}}}"#);
        let sent = world.sending(world.disaggregated(&body));
        let mut decode = world.decode.next().await;
        assert_eq!(decode.text(), body, "as the client wrote it");
        if streaming {
            decode.begin_stream().await;
            decode.token("a").await;
            decode.token("b").await;
            decode.finish_stream().await;
        } else {
            decode.json_answer(200, r#"{"choices":[{"finish_reason":"stop"}]}"#).await;
        }
        let text = sent.await.unwrap().text().await;
        let start = if streaming { token_event("a") + &token_event("b") } else { r#"{"choices":"#.to_owned() };
        assert!(text.starts_with(&start), "{text}");
        world.prefill.expect_none().await;
        let scrape = world.ended(1).await;
        assert_eq!(
            scrape.value("pd_proxy_disaggregated_total", &[("decision", "decode_only"), ("connector", "lmcache")]),
            Some(1.0)
        );
    }
}

#[tokio::test]
async fn or_it_asks_for_a_prefill() {
    for streaming in [false, true] {
        let mut world = World::start("lmcache", &[]).await;
        let body = format!(r#"{{"prompt":"p","cache_hit_threshold":0.8,"stream":{streaming}}}"#);
        let sent = world.sending(world.disaggregated(&body));
        let asks = r#"{"choices":[{"text":"","finish_reason":"cache_threshold"}]}"#;
        let mut probe = world.decode.next().await;
        if streaming {
            probe.begin_stream().await;
            probe.chunk(&format!("data: {asks}\n\n")).await;
            probe.finish_stream().await;
        } else {
            probe.json_answer(200, asks).await;
        }
        world.prefill.next().await.json_answer(200, &prefilled()).await;
        let decode = world.decode.next().await;
        assert_eq!(decode.json()["cache_hit_threshold"], json!(0));
        decode.json_answer(200, r#"{"choices":[]}"#).await;
        assert_eq!(sent.await.unwrap().text().await, r#"{"choices":[]}"#);
        let scrape = world.ended(1).await;
        assert_eq!(
            scrape.value("pd_proxy_disaggregated_total", &[("decision", "disaggregated"), ("connector", "lmcache")]),
            Some(1.0)
        );
    }
}
