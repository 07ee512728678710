//! Every row of the failure table, over real sockets: what the client gets, and what becomes of the legs.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use http::Request;
use proxy::Body;
use serde_json::{Value, json};
use support::{COMPLETIONS, Call, PARAMS, World, post, prefilled, token_event};
use telemetry::span::Status;

const STREAM: &str = r#"{"model":"m","prompt":"p","stream":true,"max_tokens":50}"#;
const CONCURRENT: &str = "sglang";
const SERIAL: &str = "nixlv2";

fn failed(stage: &str) -> (String, String) {
    ("failed".to_owned(), stage.to_owned())
}

fn cancelled(stage: &str) -> (String, String) {
    ("cancelled".to_owned(), stage.to_owned())
}

/// A loopback port where nothing listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

fn to(request: &mut Request<Body>, hosts: &str) {
    request.headers_mut().insert("x-prefiller-host-port", hosts.parse().unwrap());
}

// --- prefill answers 4xx/5xx after retries

#[tokio::test]
async fn a_prefills_error_is_the_clients_with_status_headers_and_body() {
    for status in [400, 422, 500, 503] {
        let mut world = World::start(SERIAL, &[]).await;
        let sent = world.sending(world.disaggregated(STREAM));
        world.prefill.next().await.answer(status, "application/problem+json", r#"{"it":"said"}"#).await;
        let reply = sent.await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (status, "application/problem+json"));
        assert_eq!(reply.header("x-candor-error"), "", "not made here");
        assert_eq!(reply.text().await, r#"{"it":"said"}"#);
        assert_eq!(world.outcome().await, failed("prefill"));
        world.decode.expect_none().await;
        let spans = world.spans().await;
        let prefill = spans.iter().find(|span| span.name == "llm_d.pd_proxy.prefill").unwrap();
        assert!(matches!(prefill.status, Status::Error(_)), "{prefill:?}");
        assert!(!spans.iter().any(|span| span.name == "llm_d.pd_proxy.decode"));
    }
}

#[tokio::test]
async fn passing_errors_are_retried_on_the_same_host_and_others_are_not() {
    let mut world = World::start(SERIAL, &["--prefill-max-retries=3", "--prefill-retry-backoff=1ms"]).await;
    let sent = world.sending(world.disaggregated(r#"{"prompt":"p"}"#));
    for status in [502, 503, 504] {
        world.prefill.next().await.json_answer(status, "{}").await;
    }
    world.prefill.next().await.json_answer(200, &prefilled()).await;
    world.decode.next().await.json_answer(200, "{}").await;
    assert_eq!(sent.await.unwrap().status, 200);
    let scrape = world.ended(1).await;
    assert_eq!(scrape.sum("pd_proxy_prefill_retries_total", &[]), Some(3.0));
    let spans = world.spans().await;
    let prefill = spans.iter().find(|span| span.name == "llm_d.pd_proxy.prefill").unwrap();
    assert_eq!(prefill.events.len(), 6, "three failed attempts, three retries");

    let sent = world.sending(world.disaggregated(r#"{"prompt":"p"}"#));
    world.prefill.next().await.json_answer(500, "{}").await;
    assert_eq!(sent.await.unwrap().status, 500);
    world.prefill.expect_none().await;
}

#[tokio::test]
async fn a_host_that_is_down_costs_nothing_but_the_next_one() {
    for protocol in [SERIAL, CONCURRENT] {
        let mut world = World::start(protocol, &[]).await;
        let mut request = world.disaggregated(r#"{"prompt":"p"}"#);
        to(&mut request, &format!("{},{}", nobody().await, world.prefill.addr));
        let sent = world.sending(request);
        world.prefill.next().await.json_answer(200, &prefilled()).await;
        // The concurrent decode leg of the first attempt may have arrived before it was cancelled.
        loop {
            let mut call = world.decode.next().await;
            let first = protocol == CONCURRENT && call.json()["bootstrap_port"].is_null();
            assert!(!first);
            if tokio::time::timeout(Duration::from_millis(100), call.closed()).await.is_err() {
                call.json_answer(200, "{}").await;
                break;
            }
        }
        assert_eq!(sent.await.unwrap().status, 200, "{protocol}");
    }
}

#[tokio::test]
async fn no_host_that_answers_is_a_502_of_ours() {
    for protocol in [SERIAL, CONCURRENT] {
        let world = World::start(protocol, &[]).await;
        let mut request = world.disaggregated(STREAM);
        to(&mut request, &nobody().await);
        let reply = world.send(request).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-candor-error")), (502, "prefill"), "{protocol}");
        assert_eq!(reply.header("content-type"), "application/json");
        let error = reply.json().await;
        assert_eq!(error["error"]["type"], json!("server_error"), "{error}");
        assert_eq!(world.outcome().await, failed("prefill"));
    }
}

#[tokio::test]
async fn a_failed_prefill_may_leave_the_decoder_to_do_both() {
    for protocol in [SERIAL, CONCURRENT, "lmcache"] {
        let mut world = World::start(protocol, &["--on-prefill-failure=decode-only"]).await;
        let sent = world.sending(world.disaggregated(r#"{"prompt":"p","bootstrap_room":7}"#));
        world.prefill.next().await.json_answer(500, "{}").await;
        loop {
            let mut call = world.decode.next().await;
            if call.text() == r#"{"prompt":"p"}"# {
                call.json_answer(200, r#"{"choices":[]}"#).await;
                break;
            }
            assert_eq!(protocol, CONCURRENT);
            call.closed().await;
        }
        assert_eq!(sent.await.unwrap().text().await, r#"{"choices":[]}"#, "{protocol}");
        assert_eq!(world.outcome().await.0, "completed");
    }
}

// --- prefill silent for --prefill-timeout

#[tokio::test]
async fn a_silent_prefill_is_a_504_and_its_leg_is_cancelled() {
    let mut world = World::start(SERIAL, &["--prefill-timeout=100ms"]).await;
    let sent = world.sending(world.disaggregated(STREAM));
    let mut prefill = world.prefill.next().await;
    let reply = sent.await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.header("x-candor-error")), (504, "prefill"));
    prefill.closed().await;
    world.decode.expect_none().await;
    assert_eq!(world.outcome().await, failed("prefill"));
}

#[tokio::test]
async fn a_silent_prefill_beside_a_decode_is_a_504_too() {
    let mut world = World::start(CONCURRENT, &["--prefill-timeout=100ms"]).await;
    let sent = world.sending(world.disaggregated(STREAM));
    let _prefill = world.prefill.next().await;
    let mut decode = world.decode.next().await;
    assert_eq!(sent.await.unwrap().status, 504);
    decode.closed().await;
}

// --- concurrent protocol, prefill fails

#[tokio::test]
async fn beside_a_decode_a_prefills_error_comes_at_once_and_ends_the_decode() {
    for head_first in [false, true] {
        let mut world = World::start(CONCURRENT, &[]).await;
        let sent = world.sending(world.disaggregated(STREAM));
        let prefill = world.prefill.next().await;
        let mut decode = world.decode.next().await;
        assert_eq!(decode.json()["bootstrap_room"], prefill.json()["bootstrap_room"]);
        if head_first {
            decode.begin_stream().await;
        }
        prefill.json_answer(500, r#"{"it":"said"}"#).await;
        let reply = sent.await.unwrap();
        assert_eq!(reply.status, 500, "the decoder's head is held back until it means something");
        assert_eq!(reply.text().await, r#"{"it":"said"}"#);
        decode.closed().await;
        assert_eq!(world.outcome().await, failed("prefill"));
    }
}

#[tokio::test]
async fn after_the_first_token_a_prefills_error_becomes_an_error_event() {
    let mut world = World::start(CONCURRENT, &[]).await;
    let sent = world.sending(world.disaggregated(STREAM));
    let prefill = world.prefill.next().await;
    let mut decode = world.decode.next().await;
    decode.begin_stream().await;
    decode.token("a").await;
    let mut reply = sent.await.unwrap();
    assert_eq!(reply.until("a").await, token_event("a"));
    prefill.json_answer(500, r#"{"it":"said"}"#).await;
    let rest = reply.rest().await;
    assert!(rest.starts_with("event: error\ndata: {\"error\"") && rest.ends_with("\n\n"), "{rest}");
    assert!(reply.broken.is_none(), "a proper end");
    decode.closed().await;
    assert_eq!(world.outcome().await, failed("prefill"));
}

// --- decoder refuses the connection

#[tokio::test]
async fn a_decoder_that_is_down_is_a_503() {
    for protocol in [SERIAL, CONCURRENT] {
        let (telemetry, _) = support::telemetry();
        let port = nobody().await.rsplit_once(':').unwrap().1.parse().unwrap();
        let sidecar = support::start(protocol, port, &[], &telemetry).await;
        let client = support::client();
        let reply = support::send(&client, sidecar.addr, post(COMPLETIONS, STREAM)).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-candor-error")), (503, "decode"));
        let error = reply.json().await;
        assert!(error["error"]["message"].as_str().unwrap().contains("decode node is not ready"), "{error}");
        let ready = support::send(&client, sidecar.addr, support::get("/ready")).await;
        assert_eq!(ready.status, 503);
        let health = support::send(&client, sidecar.addr, support::get("/health")).await;
        assert_eq!(health.status, 200, "alive, though not ready");
    }
}

// --- decoder dies mid-stream

#[tokio::test]
async fn a_decoder_that_dies_mid_stream_ends_in_an_error_event() {
    for (protocol, half) in [(SERIAL, false), (SERIAL, true), ("lmcache", false), ("lmcache", true)] {
        let mut world = World::start(protocol, &[]).await;
        let (mut reply, mut decode) = world.streaming(STREAM).await;
        if half {
            decode.chunk("data: {\"choices\":[{\"te").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        decode.reset();
        let rest = reply.rest().await;
        let (_, event) = rest.split_once("event: error\n").expect(&rest);
        assert!(event.starts_with("data: {\"error\"") && event.ends_with("\n\n"), "{rest}");
        assert!(rest.starts_with("event: error") || rest.contains("\n\nevent: error"), "stands alone: {rest}");
        assert!(reply.broken.is_none(), "a proper end");
        assert_eq!(world.outcome().await, failed("decode"));
        let spans = world.spans().await;
        let decode = spans.iter().find(|span| span.name == "llm_d.pd_proxy.decode").unwrap();
        assert!(matches!(decode.status, Status::Error(_)));
    }
}

#[tokio::test]
async fn a_stream_that_ends_before_it_is_finished_is_no_success() {
    let mut world = World::start(SERIAL, &[]).await;
    let sent = world.sending(post(COMPLETIONS, STREAM));
    let mut decode = world.decode.next().await;
    decode.begin_stream().await;
    decode.token("a").await;
    decode.write("0\r\n\r\n").await;
    let text = sent.await.unwrap().text().await;
    assert!(text.starts_with(&token_event("a")) && text.contains("event: error"), "{text}");
    assert_eq!(world.outcome().await, failed("decode"));
}

#[tokio::test]
async fn a_document_that_breaks_off_is_a_502() {
    let mut world = World::start(SERIAL, &[]).await;
    let sent = world.sending(post(COMPLETIONS, r#"{"prompt":"p"}"#));
    let mut decode = world.decode.next().await;
    decode
        .write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"choices\":[")
        .await;
    decode.reset();
    let reply = sent.await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.header("x-candor-error")), (502, "decode"));
    assert_eq!(world.outcome().await, failed("decode"));
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_502_on_either_leg() {
    let mut world = World::start(SERIAL, &[]).await;
    let sent = world.sending(post(COMPLETIONS, STREAM));
    let mut decode = world.decode.next().await;
    decode.write("garbage\r\n\r\n").await;
    assert_eq!(sent.await.unwrap().status, 502);
    for garbage in ["garbage\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n<html></h"] {
        let sent = world.sending(world.disaggregated(STREAM));
        let mut prefill = world.prefill.next().await;
        prefill.write(garbage).await;
        assert_eq!(sent.await.unwrap().status, 502, "{garbage}");
    }
}

#[tokio::test]
async fn a_decoders_error_passes_as_it_is() {
    let mut world = World::start(SERIAL, &[]).await;
    let sent = world.sending(world.disaggregated(STREAM));
    world.prefill.next().await.json_answer(200, &prefilled()).await;
    world.decode.next().await.json_answer(400, r#"{"object":"error"}"#).await;
    let reply = sent.await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.header("x-candor-error")), (400, ""));
    assert_eq!(reply.text().await, r#"{"object":"error"}"#);
    assert_eq!(world.outcome().await, failed("decode"));
}

// --- client leaves before prefill is done

#[tokio::test]
async fn a_client_that_leaves_a_serial_prefill_takes_it_along() {
    for protocol in [SERIAL, "lmcache"] {
        let mut world = World::start(protocol, &[]).await;
        let sent = world.sending(world.disaggregated(STREAM));
        let mut prefill = world.prefill.next().await;
        sent.abort();
        prefill.closed().await;
        assert_eq!(world.outcome().await, cancelled("prefill"));
        world.decode.expect_none().await;
    }
}

#[tokio::test]
async fn a_concurrent_prefill_outlives_its_client_and_the_decode_does_not() {
    let mut world = World::start(CONCURRENT, &[]).await;
    let sent = world.sending(world.disaggregated(STREAM));
    let mut prefill = world.prefill.next().await;
    let mut decode = world.decode.next().await;
    sent.abort();
    decode.closed().await;
    prefill.stays_open().await;
    prefill.json_answer(200, "{}").await;
    assert_eq!(world.outcome().await.0, "cancelled");
}

// --- client leaves between the stages

#[tokio::test]
async fn a_client_that_leaves_between_the_stages_leaves_no_blocks_behind() {
    let mut world = World::start(SERIAL, &[]).await;
    let (sent, mut decode) = world.decoding(STREAM).await;
    sent.abort();
    decode.closed().await;
    assert_eq!(world.outcome().await, cancelled("decode"));

    let release = world.decode.next().await;
    assert_releases(&release);
    assert_eq!(release.header("x-request-id"), decode.header("x-request-id"));

    let shutdown = support::spawn(world.sidecar.shutdown());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!shutdown.is_finished(), "a drain waits for it");
    release.json_answer(200, "{}").await;
    assert!(shutdown.await.unwrap().complete);
}

/// A decode leg for one token, so that the blocks of the prefill are fetched and freed.
fn assert_releases(release: &Call) {
    let body = release.json();
    let params: Value = serde_json::from_str(PARAMS).unwrap();
    assert_eq!(body["kv_transfer_params"], params);
    assert_eq!((&body["max_tokens"], &body["stream"]), (&json!(1), &json!(false)));
}

#[tokio::test]
async fn a_client_that_leaves_while_the_prefills_answer_is_on_its_way_leaves_no_blocks_behind() {
    let mut world = World::start(SERIAL, &[]).await;
    let sent = world.sending(world.disaggregated(STREAM));
    let mut prefill = world.prefill.next().await;
    sent.abort();
    // The engine learns of it, but the prefill was done.
    prefill.closed().await;
    prefill.json_answer(200, &prefilled()).await;
    assert_eq!(world.outcome().await, cancelled("prefill"));
    let release = world.decode.next().await;
    assert_releases(&release);
    release.json_answer(200, "{}").await;
}

#[tokio::test]
async fn a_client_that_leaves_amid_the_prefills_answer_leaves_no_blocks_behind() {
    let mut world = World::start(SERIAL, &[]).await;
    let sent = world.sending(world.disaggregated(STREAM));
    let mut prefill = world.prefill.next().await;
    let answer = prefilled();
    prefill.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len())).await;
    // Whether the head has been read by then or not, the rest is waited for.
    tokio::time::sleep(Duration::from_millis(20)).await;
    sent.abort();
    assert_eq!(world.outcome().await, cancelled("prefill"));
    prefill.write(answer).await;
    assert_releases(&world.decode.next().await);
}

// --- pooled connection found closed on reuse

#[tokio::test]
async fn a_connection_that_was_closed_while_it_waited_is_replaced_unseen() {
    let mut world = World::start(SERIAL, &[]).await;
    for _ in 0..3 {
        let sent = world.sending(world.disaggregated(r#"{"prompt":"p"}"#));
        world.prefill.next().await.answer_and_close(&prefilled()).await;
        world.decode.next().await.answer_and_close("{}").await;
        assert_eq!(sent.await.unwrap().status, 200);
    }
    assert_eq!(world.ended(3).await.sum("pd_proxy_prefill_retries_total", &[]).unwrap_or(0.0), 0.0);
}

// --- client leaves mid-stream

#[tokio::test]
async fn a_client_that_leaves_mid_stream_closes_the_decode_leg_at_once() {
    for protocol in [SERIAL, "lmcache", CONCURRENT] {
        let mut world = World::start(protocol, &[]).await;
        let (reply, mut decode) = world.streaming(STREAM).await;
        drop(reply);
        decode.closed().await;
        assert_eq!(world.outcome().await, cancelled("relay"), "{protocol}");
        world.decode.expect_none().await;
    }
}
