//! KV from one instance to another, in every protocol, and what goes wrong with it.

use crate::support::Engine;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

const PROMPT: &str = "a prompt that is long enough to fill more than a single block of sixteen tokens, because every \
                      word of it is one token or even more than one of them";

fn prefill_leg() -> Value {
    let kv = json!({"do_remote_decode": true, "do_remote_prefill": false, "remote_engine_id": null, "remote_block_ids": null,
        "remote_host": null, "remote_port": null});
    json!({"prompt": PROMPT, "max_tokens": 1, "stream": false, "kv_transfer_params": kv})
}

fn decode_leg(kv: &Value) -> Value {
    json!({"prompt": PROMPT, "max_tokens": 4, "kv_transfer_params": kv})
}

async fn pair() -> (Engine, Engine) {
    (Engine::start("--role prefill").await, Engine::start("--role decode").await)
}

/// Runs the prefill leg; the parameters for decode.
async fn prefill(engine: &Engine) -> Value {
    engine.complete(&prefill_leg()).await["kv_transfer_params"].clone()
}

#[tokio::test]
async fn nixl_prefill_holds_until_decode_has_pulled() {
    let (p, d) = pair().await;
    let (status, answer) = p.post_with("/v1/completions", &[("x-request-id", "pd")], &prefill_leg()).await;
    assert_eq!(status, StatusCode::OK);
    let kv = &answer["kv_transfer_params"];
    let members: Vec<_> = kv.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "do_remote_prefill",
        "do_remote_decode",
        "remote_block_ids",
        "remote_engine_id",
        "remote_request_id",
        "remote_host",
        "remote_port",
        "tp_size",
        "dcp_size",
        "pp_size",
        "remote_num_tokens",
        "remote_blocks_expiry_time",
        "transfer_mode",
        "remote_prefill_cached_tokens",
    ];
    expected.sort_unstable();
    let mut members = members;
    members.sort_unstable();
    assert_eq!(members, expected);
    assert!(kv["remote_request_id"].as_str().unwrap().starts_with("cmpl-pd-0-"));
    let blocks = kv["remote_block_ids"][0].as_array().unwrap().len() as u64;
    let tokens = answer["usage"]["prompt_tokens"].as_u64().unwrap();
    assert_eq!(blocks, tokens.div_ceil(16));
    let state = p.state().await;
    assert_eq!((&state["kv_blocks"]["held"], &state["leases"]), (&json!(blocks), &json!(1)));

    let decoded = d.complete(&decode_leg(kv)).await;
    assert_eq!(decoded["usage"]["completion_tokens"], 4);
    assert_eq!(d.metric("vllm:nixl_xfer_time_seconds_count").await, 1.0);
    assert_eq!(d.metric("vllm:external_prefix_cache_hits_total").await, tokens as f64);
    assert!(d.metric("vllm:request_queue_time_seconds_sum").await >= 0.001, "queue time contains the pull");
    p.stop().await;
    d.stop().await;
}

#[tokio::test]
async fn decode_says_what_a_single_instance_would_have_said() {
    let (p, d) = pair().await;
    let kv = prefill(&p).await;
    let decoded = d.complete(&decode_leg(&kv)).await;
    let alone = p.complete(&json!({"prompt": PROMPT, "max_tokens": 4})).await;
    assert_eq!(decoded["choices"], alone["choices"]);
    p.stop().await;
    d.stop().await;
}

#[tokio::test]
async fn decode_with_one_token_frees_the_prefill_too() {
    let (p, d) = pair().await;
    let mut leg = decode_leg(&prefill(&p).await);
    leg["max_tokens"] = json!(1);
    d.complete(&leg).await;
    p.comes_to_rest().await;
    p.stop().await;
    d.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_right_after_the_decode_leg_still_frees_the_prefill() {
    let (p, d) = pair().await;
    for _ in 0..5 {
        let body = decode_leg(&prefill(&p).await).to_string();
        let mut socket = tokio::net::TcpStream::connect(d.addr()).await.unwrap();
        let head = format!("POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(head.as_bytes()).await.unwrap();
        // The engine has it once it shows up in any of its accounts.
        d.waits_for("decode", |state| {
            state["fetching"] == 1 || state["running"] == 1 || state["totals"]["external_hits"] != 0
        })
        .await;
        drop(socket);
        p.comes_to_rest().await;
        d.comes_to_rest().await;
    }
    p.stop().await;
    d.stop().await;
}

#[tokio::test]
async fn a_decode_given_up_in_the_queue_frees_the_prefill() {
    let p = Engine::start("--role prefill").await;
    let d = Engine::start("--role decode --max-num-seqs 1 --decode-step 20ms").await;
    let busy = json!({"prompt": "busy", "max_tokens": 1000, "stream": true}).to_string();
    let busy = d.send(Method::POST, "/v1/completions", &[], busy).await.unwrap();
    d.waits_for("busy engine", |state| state["running"] == 1).await;
    let mut leg = decode_leg(&prefill(&p).await);
    leg["stream"] = json!(true);
    let queued = d.send(Method::POST, "/v1/completions", &[], leg.to_string()).await.unwrap();
    drop(queued);
    p.comes_to_rest().await;
    drop(busy);
    p.stop().await;
    d.stop().await;
}

#[tokio::test]
async fn an_unknown_engine_is_an_internal_error() {
    let (p, d) = pair().await;
    let mut kv = prefill(&p).await;
    kv["remote_engine_id"] = json!("somebody-else");
    let (status, answer) = d.post("/v1/completions", &decode_leg(&kv)).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer["error"]["message"], "Internal server error");
    assert_eq!(d.metric("vllm:nixl_num_failed_transfers_total").await, 1.0);
    assert_eq!(p.state().await["holds"], 1, "the prefill's KV stays");
    let mut streamed = decode_leg(&kv);
    streamed["stream"] = json!(true);
    let events = d.stream("/v1/completions", &streamed).await;
    assert_eq!(events.last().unwrap()["error"]["code"], 500, "the head was sent: the error is an event");
    kv["remote_port"] = json!(1);
    assert_eq!(d.post("/v1/completions", &decode_leg(&kv)).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(d.metric("vllm:nixl_num_failed_transfers_total").await, 3.0);
    d.stop().await;
    p.running.shutdown().await;
}

#[tokio::test]
async fn decoding_twice_succeeds_twice_and_is_noticed() {
    let (p, d) = pair().await;
    let kv = prefill(&p).await;
    for _ in 0..2 {
        d.complete(&decode_leg(&kv)).await;
        p.comes_to_rest().await;
    }
    for _ in 0..200 {
        if p.metric("vllm:nixl_num_notifications_after_expiry_total").await == 1.0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(p.metric("vllm:nixl_num_notifications_after_expiry_total").await, 1.0);
    p.stop().await;
    d.stop().await;
}

#[tokio::test]
async fn an_unpulled_prefill_frees_itself_and_cannot_be_decoded_any_more() {
    let p = Engine::start("--role prefill --nixl-abort-timeout 150ms").await;
    let d = Engine::start("--role decode").await;
    let kv = prefill(&p).await;
    assert!(p.used_blocks().await > 0);
    p.comes_to_rest().await;
    assert_eq!(p.metric("vllm:nixl_num_kv_expired_reqs_total").await, 1.0);
    assert_eq!(d.post("/v1/completions", &decode_leg(&kv)).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    p.stop().await;
    d.stop().await;
}

#[tokio::test]
async fn a_streamed_prefill_never_names_its_blocks() {
    let p = Engine::start("--role prefill --nixl-abort-timeout 100ms").await;
    let mut leg = prefill_leg();
    leg["stream"] = json!(true);
    let events = p.stream("/v1/completions", &leg).await;
    assert!(events.iter().all(|event| event.get("kv_transfer_params").is_none()));
    p.waits_for("expiry", |state| state["totals"]["expired_holds"] == 1).await;
    p.stop().await;
}

#[tokio::test]
async fn parameters_without_names_are_ignored() {
    let d = Engine::start("--role decode").await;
    d.complete(&decode_leg(&json!({"do_remote_prefill": true}))).await;
    assert_eq!(d.metric("vllm:nixl_num_failed_transfers_total").await, 0.0);
    d.stop().await;
}

#[tokio::test]
async fn a_shared_store_saves_decode_the_prefill() {
    let p = Engine::start("--role prefill --kv-connector lmcache --shared-store self").await;
    let store = format!("--role decode --kv-connector lmcache --shared-store {}", p.running.side_channel_addr);
    let d = Engine::start(&store).await;
    for (leg, stream) in [("first", false), ("second", true)] {
        let prompt = format!("{leg}: {PROMPT}");
        let body = json!({"prompt": prompt, "max_tokens": 1, "stream": stream});
        if stream {
            p.stream("/v1/completions", &body).await;
        } else {
            p.complete(&body).await;
        }
        let before = d.state().await["totals"]["external_hits"].as_u64().unwrap();
        let answer = d.complete(&json!({"prompt": prompt, "max_tokens": 3, "cache_hit_threshold": 0.5})).await;
        let tokens = answer["usage"]["prompt_tokens"].as_u64().unwrap();
        assert_eq!(d.state().await["totals"]["external_hits"].as_u64().unwrap() - before, tokens / 16 * 16);
    }
    p.stop().await;
    d.stop().await;
}

#[tokio::test]
async fn a_prompt_that_is_not_cached_enough_is_handed_back() {
    let d = Engine::start("--kv-connector lmcache --shared-store self").await;
    let body = json!({"prompt": PROMPT, "max_tokens": 3, "cache_hit_threshold": 0.5});
    let answer = d.complete(&body).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "cache_threshold");
    assert_eq!(answer["usage"]["completion_tokens"], 0);
    let mut streamed = body;
    streamed["stream"] = json!(true);
    let events = d.stream("/v1/completions", &streamed).await;
    assert_eq!(events[0]["choices"][0]["finish_reason"], "cache_threshold");
    d.stop().await;
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_has_nothing() {
    let d = Engine::start("--kv-connector lmcache --shared-store 127.0.0.1:1").await;
    d.complete(&json!({"prompt": PROMPT, "max_tokens": 2})).await;
    d.stop().await;
}

fn room(engine: &Engine, room: u64) -> Value {
    json!({"prompt": PROMPT, "max_tokens": 4, "bootstrap_host": "127.0.0.1",
        "bootstrap_port": engine.running.bootstrap_addr.port(), "bootstrap_room": room})
}

#[tokio::test]
async fn sglang_rooms_wait_for_each_other_whoever_comes_first() {
    let p = Engine::start("--role prefill --dialect sglang").await;
    let d = Engine::start("--role decode --dialect sglang").await;
    for (number, prefill_first) in [(1, true), (2, false)] {
        let body = room(&p, number);
        let (early, late) = if prefill_first { (&p, &d) } else { (&d, &p) };
        let early = early.complete(&body);
        let late = async {
            p.waits_for("room", |state| state["rooms"] == 1).await;
            late.complete(&body).await
        };
        let (early, late) = tokio::join!(early, late);
        let (prefilled, decoded) = if prefill_first { (early, late) } else { (late, early) };
        assert_eq!(prefilled["usage"]["completion_tokens"], 1);
        assert_eq!(decoded["usage"]["completion_tokens"], 4);
        p.comes_to_rest().await;
    }
    p.stop().await;
    d.stop().await;
}

#[tokio::test]
async fn a_room_is_taken_only_once() {
    let p = Engine::start("--role prefill --dialect sglang --room-timeout 300ms").await;
    let body = room(&p, 7);
    let first = p.post("/v1/completions", &body);
    let second = async {
        p.waits_for("room", |state| state["rooms"] == 1).await;
        p.post("/v1/completions", &body).await
    };
    let ((first, _), (second, refusal)) = tokio::join!(first, second);
    assert_eq!(second, StatusCode::BAD_REQUEST, "{refusal}");
    assert_eq!(first, StatusCode::INTERNAL_SERVER_ERROR, "and nobody came");
    p.stop().await;
}

#[tokio::test]
async fn decode_waits_out_its_time_when_prefill_fails() {
    let p = Engine::start("--role prefill --dialect sglang").await;
    let d = Engine::start("--role decode --dialect sglang --room-timeout 250ms").await;
    let body = room(&p, 9);
    let failing = [("x-candor-fault", "status=500")];
    let started = telemetry::clock::now();
    let ((prefilled, _), (decoded, _)) =
        tokio::join!(p.post_with("/v1/completions", &failing, &body), d.post("/v1/completions", &body));
    assert_eq!((prefilled.as_u16(), decoded.as_u16()), (500, 500));
    assert!(telemetry::clock::now() - started >= std::time::Duration::from_millis(250));
    p.stop().await;
    d.stop().await;
}

#[tokio::test]
async fn a_decode_that_dies_frees_the_room() {
    let p = Engine::start("--role prefill --dialect sglang --prefill-base 100ms").await;
    let d = Engine::start("--role decode --dialect sglang").await;
    let body = room(&p, 11);
    let prefilling = p.complete(&body);
    let dying = async {
        let mut streamed = body.clone();
        streamed["stream"] = json!(true);
        let decode = d.send(Method::POST, "/v1/completions", &[], streamed.to_string()).await.unwrap();
        p.waits_for("prefill", |state| state["running"] == 1).await;
        drop(decode);
        d.running.shutdown().await;
    };
    tokio::join!(prefilling, dying);
    p.stop().await;
}

fn transfer(engine: &Engine, side: &str, engine_id: &Value) -> Value {
    let address = format!("http://{}", engine.running.bootstrap_addr);
    match side {
        "prefill" => json!({"prompt": PROMPT, "max_tokens": 1, "kv_transfer_params":
            {"do_remote_decode": true, "do_remote_prefill": false, "transfer_id": "xfer-1"}}),
        _ => json!({"prompt": PROMPT, "max_tokens": 4, "kv_transfer_params":
            {"do_remote_decode": false, "do_remote_prefill": true, "transfer_id": "xfer-1",
             "remote_bootstrap_addr": address, "remote_engine_id": engine_id}}),
    }
}

#[tokio::test]
async fn mooncake_legs_meet_by_the_transfers_name_whoever_comes_first() {
    for prefill_first in [true, false] {
        let p = Engine::start("--role prefill --kv-connector mooncake").await;
        let d = Engine::start("--role decode --kv-connector mooncake").await;
        let client = proxy::Client::new(proxy::ClientConfig::default());
        let query = http::Request::get("/query").body(proxy::Body::Empty).unwrap();
        let answer = client.send(&proxy::Target::from_addr(p.running.bootstrap_addr), query).await.unwrap();
        let engines = proxy::body::collect(answer.into_body(), 1000).await.unwrap();
        let engines: Value = serde_json::from_slice(&engines).unwrap();
        let id = &engines["0"]["engine_id"];
        let (prefill, decode) = (transfer(&p, "prefill", id), transfer(&p, "decode", id));
        let (prefill, decode) = (p.complete(&prefill), d.complete(&decode));
        let (prefilled, decoded) = if prefill_first {
            // The prefill answers before anybody has fetched.
            let prefilled = prefill.await;
            (prefilled, decode.await)
        } else {
            let late = async {
                p.waits_for("room", |state| state["rooms"] == 1).await;
                prefill.await
            };
            tokio::join!(late, decode)
        };
        assert_eq!(prefilled["usage"]["completion_tokens"], 1);
        assert_eq!(decoded["usage"]["completion_tokens"], 4);
        assert_ne!(d.metric("vllm:external_prefix_cache_hits_total").await, 0.0);
        p.comes_to_rest().await;
        p.stop().await;
        d.stop().await;
    }
}

#[tokio::test]
async fn a_mooncake_decode_that_names_another_engine_finds_nothing() {
    let p = Engine::start("--role prefill --kv-connector mooncake").await;
    let d = Engine::start("--role decode --kv-connector mooncake --room-timeout 2s").await;
    let decode = transfer(&p, "decode", &json!("of-before-the-restart"));
    assert_eq!(d.post("/v1/completions", &decode).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    d.stop().await;
    p.stop().await;
}

#[tokio::test]
async fn a_kvt_decode_finds_the_prefill_by_address_and_has_it_computed_where_it_was_not() {
    let p = Engine::start("--role prefill --kv-connector kvt").await;
    let d = Engine::start("--role decode --kv-connector kvt").await;
    let address = p.running.side_channel_addr;
    let mut decode = json!({"prompt": PROMPT, "max_tokens": 4, "kv_transfer_params":
        {"remote_host": address.ip().to_string(), "remote_port": address.port()}});
    let alone = d.complete(&json!({"prompt": PROMPT, "max_tokens": 4})).await;
    for staged in [false, true] {
        let id = [("x-request-id", if staged { "one" } else { "two" })];
        if staged {
            let prefill = json!({"prompt": PROMPT, "max_tokens": 1, "kv_transfer_params": {"do_remote_decode": true}});
            assert_eq!(p.post_with("/v1/completions", &id, &prefill).await.0, StatusCode::OK);
            decode["kv_transfer_params"]["do_remote_prefill"] = json!(true);
        }
        let (status, decoded) = d.post_with("/v1/completions", &id, &decode).await;
        assert_eq!((status, &decoded["choices"]), (StatusCode::OK, &alone["choices"]), "{staged}");
        p.comes_to_rest().await;
    }
    p.stop().await;
    d.stop().await;
}
