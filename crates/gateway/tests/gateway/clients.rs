//! What befalls a client that no latency shows: leaving, stalls, its own slowness, the kernel's queue.

use std::time::Duration;

use telemetry::exposition::Scrape;

use crate::support::{CHAT, Engine, Gateway, LAST, STREAM, first_token, soon, token};

/// A gateway before `engine` that calls a tenth of a second a stall and follows every first token.
async fn watchful(engine: &Engine) -> Gateway {
    let addr = engine.addr.to_string();
    Gateway::with(|args| {
        args.with("neutral-endpoints", addr).with("stall-threshold", "100ms").with("egress-check-ratio", "1")
    })
    .await
}

fn aborts(scrape: &Scrape, phase: &str) -> Option<f64> {
    scrape.value("client_abort_propagation_milliseconds_count", &[("phase", phase)])
}

fn stalls(scrape: &Scrape, phase: &str) -> Option<f64> {
    scrape.value("stream_stalls_total", &[("phase", phase)])
}

#[tokio::test]
async fn a_client_that_leaves_is_timed_to_the_closing_of_the_engines_connection() {
    let mut engine = Engine::start().await;
    let gateway = watchful(&engine).await;
    // Before the engine has answered, and after a token.
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let call = engine.call().await;
    drop(client);
    soon(call.closed()).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    first_token(&mut client, &mut call).await;
    drop(client);
    soon(call.closed()).await;
    let scrape = gateway.settled(2).await;
    assert_eq!((aborts(&scrape, "dispatch"), aborts(&scrape, "relay")), (Some(1.0), Some(1.0)));
    let sum = scrape.sum("client_abort_propagation_milliseconds_sum", &[]).unwrap();
    assert!(sum > 0.0, "closing a connection takes time");
}

#[tokio::test]
async fn an_answer_that_is_whole_is_no_abort() {
    let mut engine = Engine::start().await;
    let gateway = watchful(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    call.end_after(&[LAST, "[DONE]"]).await;
    client.answer().await;
    drop(client);
    assert_eq!(gateway.settled(1).await.sum("client_abort_propagation_milliseconds_count", &[]), None);
}

#[tokio::test]
async fn a_gap_between_tokens_is_a_stall_with_its_phase() {
    let mut engine = Engine::start().await;
    let gateway = watchful(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    for (text, pause) in [("a", 150), ("b", 0), ("c", 150), ("d", 150), ("e", 0)] {
        call.event(&token(text)).await;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    call.end_after(&[LAST, "[DONE]"]).await;
    client.answer().await;
    let scrape = gateway.settled(1).await;
    assert_eq!(stalls(&scrape, "second_token"), Some(1.0));
    assert_eq!(stalls(&scrape, "decode"), Some(2.0));
    assert_eq!(stalls(&scrape, "client"), Some(0.0));
    assert_eq!(scrape.value("slow_client_stall_seconds_count", &[]), Some(0.0));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_told_from_an_engine_that_does_not_write() {
    let mut engine = Engine::start().await;
    let gateway = watchful(&engine).await;
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    call.open().await;
    // More than the sockets on the way hold, so that somebody has to wait.
    let event = format!("data: {}\n\n", token(&"x".repeat(60_000)));
    let send = async {
        for _ in 0..300 {
            call.send(&event).await;
        }
        call.end_after(&[LAST, "[DONE]"]).await;
    };
    let read = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        client.answer().await
    };
    tokio::join!(send, read);
    let scrape = gateway.settled(1).await;
    assert!(stalls(&scrape, "client") >= Some(1.0), "{:?}", stalls(&scrape, "client"));
    assert_eq!(stalls(&scrape, "decode"), Some(0.0));
    let held = scrape.value("slow_client_stall_seconds_sum", &[]).unwrap();
    assert!(held >= 0.1, "held up for {held} s");
}

#[tokio::test]
async fn first_tokens_are_followed_out_of_the_kernel() {
    let mut engine = Engine::start().await;
    let gateway = watchful(&engine).await;
    let mut client = gateway.client().await;
    for _ in 0..3 {
        client.post(CHAT, STREAM).await;
        let mut call = engine.call().await;
        call.open().await;
        call.event(&token("a")).await;
        call.end_after(&[LAST, "[DONE]"]).await;
        client.answer().await;
    }
    let scrape = gateway.settled(3).await;
    assert_eq!(scrape.value("client_egress_delay_milliseconds_count", &[]), Some(3.0));
}

#[tokio::test]
async fn connections_to_engines_are_counted_by_what_they_do() {
    let mut engine = Engine::start().await;
    let gateway = watchful(&engine).await;
    let connections = async |state| gateway.scrape().await.value("upstream_connections", &[("state", state)]);
    let mut client = gateway.client().await;
    client.post(CHAT, STREAM).await;
    let mut call = engine.call().await;
    assert_eq!(connections("active").await, Some(1.0));
    call.open().await;
    call.end_after(&[LAST, "[DONE]"]).await;
    client.answer().await;
    gateway.settled(1).await;
    assert_eq!((connections("active").await, connections("idle").await), (Some(0.0), Some(1.0)));
}

#[tokio::test]
async fn a_ratio_beyond_one_is_a_fault() {
    let args = gateway::Args::default().with("host", "127.0.0.1").with("neutral-endpoints", "127.0.0.1:1");
    let faults = args.with("egress-check-ratio", "2").with("stall-threshold", "0s").validate().unwrap_err();
    let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["--stall-threshold: must be longer than nothing", "--egress-check-ratio: `2` is no number from 0 to 1"]
    );
}
