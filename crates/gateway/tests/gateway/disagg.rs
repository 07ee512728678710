//! P/D protocols that the gateway runs itself: the legs, and what a client sees when one of them fails.

use serde_json::{Value, json};

use super::support::{
    CHAT, Call, Engine, Gateway, LAST, STREAM, Scheduler, USAGE, count, instance, nobody, soon, token,
};

const PLAIN: &str = r#"{"model":"tiny","messages":[],"max_tokens":9}"#;

/// What a NIXL prefill answers.
const PREFILLED: &str = r#"{"usage":{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":4}},"kv_transfer_params":{"remote_block_ids":[[1, 2]],"remote_engine_id":"e","remote_host":"10.0.0.1","remote_port":5600}}"#;

/// A gateway between prefill and decode engines, and settings beside.
async fn gateway(protocol: &str, prefill: &[String], decode: &[String], settings: &[(&str, &str)]) -> Gateway {
    Gateway::with(|args| {
        let args = args.with("pd-disagg-protocol", protocol).with("prefill-endpoints", prefill.join(","));
        let args = args.with("decode-endpoints", decode.join(","));
        settings.iter().fold(args, |args, (name, value)| args.with(name, *value))
    })
    .await
}

struct World {
    prefill: Engine,
    decode: Engine,
    gateway: Gateway,
}

impl World {
    async fn start(protocol: &str, settings: &[(&str, &str)]) -> Self {
        let (prefill, decode) = (Engine::start().await, Engine::start().await);
        let gateway = gateway(protocol, &[prefill.addr.to_string()], &[decode.addr.to_string()], settings).await;
        Self { prefill, decode, gateway }
    }

    async fn prefilled(&mut self) {
        soon(self.prefill.call()).await.answer(200, PREFILLED).await;
    }
}

async fn finish(call: Call) {
    call.end_after(&[LAST, USAGE, "[DONE]"]).await;
}

#[tokio::test]
async fn prefill_then_decode_with_what_was_handed_over() {
    let mut world = World::start("nixlv2", &[]).await;
    let mut client = world.gateway.client().await;
    client.send("POST", CHAT, "te: trailers\r\nx-request-id: r-1\r\n", STREAM).await;
    let prefill = soon(world.prefill.call()).await;
    let (first, id) = (prefill.json(), prefill.head.get("x-request-id").unwrap().to_owned());
    let trace = |call: &Call| call.head.get("traceparent").unwrap()[3..35].to_owned();
    let prefill_trace = trace(&prefill);
    assert_eq!((&first["stream"], &first["max_tokens"], first.get("stream_options")), (&json!(false), &json!(1), None));
    assert_eq!(first["kv_transfer_params"]["do_remote_decode"], true);
    assert!(world.decode.is_idle(), "not before the prefill is done");
    prefill.answer(200, PREFILLED).await;

    let mut decode = soon(world.decode.call()).await;
    let second = decode.json();
    assert_eq!(second["kv_transfer_params"]["remote_block_ids"], json!([[1, 2]]));
    assert_eq!((&second["stream"], &second["stream_options"]["include_usage"]), (&json!(true), &json!(true)));
    assert_eq!((decode.head.get("x-request-id"), trace(&decode)), (Some("r-1"), prefill_trace));
    assert_eq!(id, "r-1");
    assert!(decode.head.get("x-prefiller-host-port").is_none() && decode.head.get("x-candor-elapsed-us").is_none());
    decode.open().await;
    for text in ["a", "b", "c"] {
        decode.event(&token(text)).await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    finish(decode).await;
    let answer = client.answer().await;
    assert!(answer.text().contains("\"c\"") && !answer.text().contains("usage"), "{answer:?}");

    let scrape = world.gateway.settled(1).await;
    let part =
        |name| scrape.value("request_ttft_component_milliseconds_count", &[("model", "tiny"), ("component", name)]);
    for name in ["dispatch", "prefill", "kv_transfer", "first_decode", "relay"] {
        assert_eq!(part(name), Some(1.0), "{name}");
    }
    assert_eq!(part("upstream"), Some(0.0), "all of it is split");
    assert_eq!(scrape.value("pd_proxy_true_ttft_milliseconds_count", &[("connector", "nixlv2")]), Some(1.0));
    assert_eq!(scrape.sum("pd_proxy_requests_total", &[("outcome", "completed")]), Some(1.0));
    let spans = world.gateway.spans().await;
    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name}"));
    let (top, legs) = (find("gateway.request"), find("llm_d.pd_proxy.request"));
    let below = |span: &telemetry::span::SpanRecord| span.context.trace_id == top.context.trace_id;
    assert!(below(legs) && below(find("llm_d.pd_proxy.prefill")) && below(find("llm_d.pd_proxy.decode")));
    assert_eq!(find("llm_d.pd_proxy.decode").get("llm_d.pd_proxy.ttft_origin"), Some(&"gateway".into()));
}

#[tokio::test]
async fn a_plain_answer_has_the_prefills_count_of_cached_tokens() {
    let mut world = World::start("vllm-mooncake", &[]).await;
    let mut client = world.gateway.client().await;
    client.post(CHAT, PLAIN).await;
    world.prefilled().await;
    let usage = r#"{"usage":{"prompt_tokens":5,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":5}}}"#;
    soon(world.decode.call()).await.answer(200, usage).await;
    assert_eq!(client.answer().await.json()["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
    assert_eq!(count(&world.gateway.settled(1).await, "tiny", 200), 1);
}

#[tokio::test]
async fn both_legs_of_sglang_meet_in_one_room() {
    let mut world = World::start("sglang-mooncake", &[("pd-bootstrap-port", "9123")]).await;
    let mut client = world.gateway.client().await;
    client.post(CHAT, STREAM).await;
    let (mut decode, prefill) = (soon(world.decode.call()).await, soon(world.prefill.call()).await);
    assert_eq!(prefill.json(), decode.json());
    assert_eq!(
        (&decode.json()["bootstrap_host"], &decode.json()["bootstrap_port"]),
        (&json!("127.0.0.1"), &json!(9123))
    );
    decode.open().await;
    decode.event(&token("a")).await;
    prefill.answer(200, "{}").await;
    finish(decode).await;
    assert_eq!(client.answer().await.status(), 200);
    assert_eq!(count(&world.gateway.settled(1).await, "tiny", 200), 1);
}

#[tokio::test]
async fn the_room_of_sglangs_legs_is_one_of_the_rank_that_was_chosen() {
    let (mut prefill, mut decode) = (Engine::start().await, Engine::start().await);
    let mut scheduler = Scheduler::start().await;
    let chooses = scheduler.addr.to_string();
    let settings = [("scheduler-endpoints", chooses.as_str())];
    let gateway = gateway("sglang", &[prefill.addr.to_string()], &[decode.addr.to_string()], &settings).await;
    let mut client = gateway.client().await;
    for rank in [2, 5, 0, 2, 5, 0] {
        client.post(CHAT, PLAIN).await;
        let mut chosen = instance("prefill", prefill.addr);
        (chosen["dp_rank"], chosen["dp_size"]) = (json!(rank), json!(7));
        scheduler.call_to("/schedule").await.place(&[chosen, instance("decode", decode.addr)]).await;
        let (on_decode, on_prefill) = (soon(decode.call()).await, soon(prefill.call()).await);
        let room = on_prefill.json()["bootstrap_room"].as_u64().unwrap();
        assert_eq!((room % 7, on_decode.json()["bootstrap_room"].as_u64()), (rank, Some(room)));
        on_prefill.answer(200, "{}").await;
        on_decode.answer(200, "{}").await;
        assert_eq!(client.answer().await.status(), 200);
    }
}

#[tokio::test]
async fn kvt_in_batch_sends_the_decoder_alone_to_the_prefill_instances_connector() {
    // Llumnix's rule has no room for ports higher than this: of such an instance the connector is not known.
    let mut world = loop {
        let world = World::start("vllm-kvt", &[]).await;
        if world.prefill.addr.port() <= 65_535 - 20_000 {
            break world;
        }
    };
    let mut client = world.gateway.client().await;
    client.post(CHAT, PLAIN).await;
    let decode = soon(world.decode.call()).await;
    let port = world.prefill.addr.port() + 20_000;
    let expected = json!({"remote_host": "127.0.0.1", "remote_port": port});
    assert_eq!(decode.json()["kv_transfer_params"], expected);
    decode.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
    assert!(world.prefill.is_idle());
}

#[tokio::test]
async fn an_embedding_is_not_split() {
    let mut world = World::start("nixlv2", &[]).await;
    let mut client = world.gateway.client().await;
    client.post("/v1/embeddings", r#"{"model":"tiny","input":"x"}"#).await;
    let call = soon(world.decode.call()).await;
    assert_eq!(call.json(), json!({"model": "tiny", "input": "x"}));
    call.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
    assert!(world.prefill.is_idle());
}

#[tokio::test]
async fn a_prefill_that_refuses_is_heard_and_one_that_fails_is_named() {
    for (status, body) in [(400, r#"{"error":"too long"}"#), (500, r#"{"error":"out of memory"}"#)] {
        let mut world = World::start("nixlv2", &[]).await;
        let mut client = world.gateway.client().await;
        client.post(CHAT, PLAIN).await;
        soon(world.prefill.call()).await.answer(status, body).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.text()), (status, body));
        assert!(world.decode.is_idle());
        assert_eq!(count(&world.gateway.settled(1).await, "tiny", status), 1);
    }
    let mut world = World::start("nixlv2", &[]).await;
    let mut client = world.gateway.client().await;
    client.post(CHAT, PLAIN).await;
    soon(world.prefill.call()).await.answer(200, "<html>").await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.json()["error"]["code"].clone()), (502, json!("prefill_failed")));
    assert_eq!(answer.head.get("x-candor-error"), Some("prefill"));
}

#[tokio::test]
async fn a_prefill_that_is_silent_for_too_long_is_a_504_and_cancelled() {
    let mut world = World::start("nixlv2", &[("prefill-timeout", "100ms")]).await;
    let mut client = world.gateway.client().await;
    client.post(CHAT, PLAIN).await;
    let call = soon(world.prefill.call()).await;
    assert_eq!(client.answer().await.status(), 504);
    soon(call.closed()).await;
}

#[tokio::test]
async fn instances_that_are_not_there_cost_no_request_while_others_are() {
    let (mut prefill, mut decode) = (Engine::start().await, Engine::start().await);
    for protocol in ["nixlv2", "sglang"] {
        let prefills = [nobody().await.to_string(), prefill.addr.to_string()];
        let decodes = [nobody().await.to_string(), decode.addr.to_string()];
        let gateway = gateway(protocol, &prefills, &decodes, &[]).await;
        let mut client = gateway.client().await;
        for _ in 0..4 {
            client.post(CHAT, PLAIN).await;
            // A leg may be sent a second time, when the other one of its attempt found nobody.
            let serving = async {
                loop {
                    tokio::select! {
                        call = prefill.call() => call.answer(200, PREFILLED).await,
                        call = decode.call() => call.answer(200, "{}").await,
                    }
                }
            };
            let status = tokio::select! {
                answer = soon(client.answer()) => answer.status(),
                () = serving => unreachable!("it goes on for ever"),
            };
            assert_eq!(status, 200, "{protocol}");
        }
        assert_eq!(count(&gateway.settled(4).await, "tiny", 200), 4, "{protocol}");
    }
}

#[tokio::test]
async fn a_prefill_instance_that_failed_is_left_for_another_and_its_decode_instance_is_not() {
    for said in [(500, "{}"), (200, "<html>")] {
        let [mut first, mut second, mut decode] = [Engine::start().await, Engine::start().await, Engine::start().await];
        let prefills = [first.addr.to_string(), second.addr.to_string()];
        let gateway = gateway("nixlv2", &prefills, &[decode.addr.to_string()], &[("retry-max-count", "2")]).await;
        let mut client = gateway.client().await;
        client.post(CHAT, PLAIN).await;
        // Turn 0 is the first one's; turn 1 would be too, were it not excluded: the list is shifted after each cycle of pairs.
        soon(first.call()).await.answer(said.0, said.1).await;
        soon(second.call()).await.answer(200, PREFILLED).await;
        soon(decode.call()).await.answer(200, "{}").await;
        assert_eq!(client.answer().await.status(), 200);
        assert!(first.is_idle());
        assert_eq!(gateway.settled(1).await.sum("request_retry_total", &[]), Some(1.0));
    }
}

#[tokio::test]
async fn a_decoder_that_is_not_there_is_a_503_when_there_is_no_other() {
    let mut prefill = Engine::start().await;
    let gateway = gateway("nixlv2", &[prefill.addr.to_string()], &[nobody().await.to_string()], &[]).await;
    let mut client = gateway.client().await;
    client.post(CHAT, PLAIN).await;
    soon(prefill.call()).await.answer(200, PREFILLED).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.head.get("x-candor-error")), (503, Some("decode")));
    assert!(answer.error().contains("not ready"));
}

#[tokio::test]
async fn a_decoder_that_dies_mid_stream_ends_it_with_an_error_event() {
    let mut world = World::start("nixlv2", &[]).await;
    let mut client = world.gateway.client().await;
    client.post(CHAT, STREAM).await;
    world.prefilled().await;
    let mut decode = soon(world.decode.call()).await;
    decode.open().await;
    decode.event(&token("a")).await;
    decode.reset();
    let answer = client.answer().await;
    assert!(answer.text().contains("\"a\"") && answer.text().contains("\"error\""), "{answer:?}");
    let scrape = world.gateway.settled(1).await;
    assert_eq!(scrape.sum("request_outcome_total", &[("outcome", "completed")]).unwrap_or(0.0), 0.0);
}

#[tokio::test]
async fn a_concurrent_prefill_that_fails_ends_the_stream_at_once() {
    let mut world = World::start("sglang", &[]).await;
    let mut client = world.gateway.client().await;
    client.post(CHAT, STREAM).await;
    let (mut decode, prefill) = (soon(world.decode.call()).await, soon(world.prefill.call()).await);
    decode.open().await;
    decode.event(&token("a")).await;
    prefill.answer(500, r#"{"error":"no"}"#).await;
    let answer = client.answer().await;
    assert!(answer.text().contains("prefill answered 500"), "{answer:?}");
    soon(decode.closed()).await;
}

#[tokio::test]
async fn a_failed_prefill_may_be_made_up_for_by_the_decoder() {
    let mut world = World::start("nixlv2", &[("on-prefill-failure", "decode-only")]).await;
    let mut client = world.gateway.client().await;
    client.post(CHAT, PLAIN).await;
    soon(world.prefill.call()).await.answer(500, "{}").await;
    let decode = soon(world.decode.call()).await;
    assert_eq!(decode.json(), serde_json::from_str::<Value>(PLAIN).unwrap());
    decode.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn a_client_that_leaves_cancels_a_serial_prefill_and_leaves_a_concurrent_one_alone() {
    let mut world = World::start("nixlv2", &[]).await;
    let mut client = world.gateway.client().await;
    client.post(CHAT, PLAIN).await;
    let prefill = soon(world.prefill.call()).await;
    drop(client);
    soon(prefill.closed()).await;
    assert_eq!(count(&world.gateway.settled(1).await, "tiny", 499), 1);

    let mut world = World::start("sglang", &[]).await;
    let mut client = world.gateway.client().await;
    client.post(CHAT, PLAIN).await;
    let (decode, prefill) = (soon(world.decode.call()).await, soon(world.prefill.call()).await);
    drop(client);
    soon(decode.closed()).await;
    // Still connected: its answer is taken.
    prefill.answer(200, "{}").await;
    assert_eq!(count(&world.gateway.settled(1).await, "tiny", 499), 1);
}

#[tokio::test]
async fn a_client_that_leaves_between_the_stages_has_the_blocks_freed() {
    let mut world = World::start("nixlv2", &[]).await;
    let mut client = world.gateway.client().await;
    client.post(CHAT, STREAM).await;
    world.prefilled().await;
    let decode = soon(world.decode.call()).await;
    drop(client);
    soon(decode.closed()).await;
    let release = soon(world.decode.call()).await;
    let body = release.json();
    assert_eq!((&body["max_tokens"], &body["stream"]), (&json!(1), &json!(false)));
    assert_eq!(body["kv_transfer_params"]["remote_block_ids"], json!([[1, 2]]));
    release.answer(200, "{}").await;
}
