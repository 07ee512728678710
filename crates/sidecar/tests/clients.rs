//! What befalls a client of a sidecar that no latency shows: leaving, stalls, its own slowness, the kernel's queue.

mod support;

use std::time::Duration;

use support::World;
use telemetry::exposition::Scrape;

const STREAM: &str = r#"{"model":"m","prompt":"p","stream":true,"max_tokens":8}"#;

/// A tenth of a second is a stall, and every first token is followed.
const WATCHFUL: &[&str] = &["--stall-threshold=100ms", "--egress-check-ratio=1"];

fn aborts(scrape: &Scrape, phase: &str) -> Option<f64> {
    scrape.value("client_abort_propagation_milliseconds_count", &[("phase", phase)])
}

fn stalls(scrape: &Scrape, phase: &str) -> Option<f64> {
    scrape.value("stream_stalls_total", &[("phase", phase)])
}

#[tokio::test]
async fn a_client_that_leaves_is_timed_to_the_closing_of_the_engines_connection() {
    let mut world = World::start("nixlv2", WATCHFUL).await;
    // In the prefill, between the stages, and after a token.
    let sent = world.sending(world.disaggregated(STREAM));
    let mut prefill = world.prefill.next().await;
    sent.abort();
    prefill.closed().await;
    world.ended(1).await;

    let (sent, mut decode) = world.decoding(STREAM).await;
    sent.abort();
    decode.closed().await;
    world.decode.next().await.json_answer(200, "{}").await;
    world.ended(2).await;

    let (reply, mut decode) = world.streaming(STREAM).await;
    drop(reply);
    decode.closed().await;

    let scrape = world.ended(3).await;
    for phase in ["prefill", "decode", "relay"] {
        assert_eq!(aborts(&scrape, phase), Some(1.0), "{phase}");
    }
    let sum = scrape.sum("client_abort_propagation_milliseconds_sum", &[]).unwrap();
    assert!(sum > 0.0, "closing a connection takes time");
}

#[tokio::test]
async fn gaps_between_tokens_are_stalls_with_their_phase_and_first_tokens_are_followed() {
    let mut world = World::start("nixlv2", WATCHFUL).await;
    let (sent, mut decode) = world.decoding(STREAM).await;
    decode.begin_stream().await;
    for (text, pause) in [("a", 150), ("b", 0), ("c", 150), ("d", 150), ("e", 0)] {
        decode.token(text).await;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    decode.finish_stream().await;
    sent.await.unwrap().rest().await;

    let scrape = world.ended(1).await;
    let seen = ["second_token", "decode", "client"].map(|phase| stalls(&scrape, phase));
    assert_eq!(seen, [Some(1.0), Some(2.0), Some(0.0)]);
    assert_eq!(scrape.value("client_egress_delay_milliseconds_count", &[]), Some(1.0));
    assert_eq!(scrape.value("slow_client_stall_seconds_count", &[]), Some(0.0));
    assert_eq!(scrape.sum("client_abort_propagation_milliseconds_count", &[]), None, "it stayed to the end");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_told_from_an_engine_that_does_not_write() {
    let mut world = World::start("nixlv2", WATCHFUL).await;
    let (sent, mut decode) = world.decoding(STREAM).await;
    decode.begin_stream().await;
    // More than the sockets on the way hold, so that somebody has to wait.
    let long = "x".repeat(60_000);
    let send = async {
        for _ in 0..300 {
            decode.token(&long).await;
        }
        decode.finish_stream().await;
    };
    let read = async {
        let mut reply = sent.await.unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
        reply.rest().await
    };
    tokio::join!(send, read);

    let scrape = world.ended(1).await;
    assert!(stalls(&scrape, "client") >= Some(1.0), "{:?}", stalls(&scrape, "client"));
    assert_eq!(stalls(&scrape, "decode"), Some(0.0));
    let held = scrape.value("slow_client_stall_seconds_sum", &[]).unwrap();
    assert!(held >= 0.1, "held up for {held} s");
}
