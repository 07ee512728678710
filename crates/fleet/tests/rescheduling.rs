//! Requests that a scheduler has moved from one engine to another, as their clients see it.

#![expect(clippy::expect_used, reason = "a test helper fails its test by panicking")]

mod load;

use std::net::SocketAddr;
use std::time::Duration;

use audit::workload::{Lengths, Share, Workload};
use audit::{End, Endpoint};
use fleet::{Fleet, GroupConfig, Latency, Placing};
use proxy::{Body, Client, ClientConfig, Target};
use telemetry::exposition::{self, Scrape};

const LATENCY: Latency = Latency {
    gateway: Duration::ZERO,
    prefill: Duration::from_millis(5),
    prefill_per_token: Duration::ZERO,
    decode_step: Duration::from_millis(10),
    kv_transfer: Duration::from_millis(1),
    output: Duration::ZERO,
};

async fn scrape(of: SocketAddr) -> Scrape {
    exposition::parse(&Endpoint::metrics(of).text().await.expect("a scrape")).expect("the text format")
}

async fn count(scheduler: SocketAddr, reason: &str) -> f64 {
    scrape(scheduler).await.sum("scheduler_migrations_total", &[("reason", reason)]).unwrap_or(0.0)
}

/// Has engines ask for no requests in turn, until requests have been moved.
async fn cordon_in_turn(engines: &[SocketAddr], scheduler: SocketAddr) {
    let client = Client::new(ClientConfig::default());
    let turns = engines.iter().cycle().take(60);
    for engine in turns {
        let request = http::Request::post("/admin/cordon?ms=300").body(Body::Empty).expect("a request");
        client.send(&Target::from_addr(*engine), request).await.expect("an answer");
        tokio::time::sleep(Duration::from_millis(500)).await;
        if count(scheduler, "done").await >= 3.0 {
            return;
        }
    }
    panic!("nothing was moved");
}

#[tokio::test]
async fn engines_that_ask_for_no_requests_hand_theirs_over_and_no_client_notices() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = GroupConfig::two_neutral("neutral", LATENCY);
    let fleet = Fleet::start_placed(&[config], directory.path(), &Placing::InMemory).await.expect("a fleet");
    let group = &fleet.groups()[0];
    let scheduler = group.scheduler().expect("a scheduler");
    let engines: Vec<SocketAddr> = group.neutral().collect();
    let workload = Workload {
        output: Lengths::Uniform(60, 120),
        stream: Share::of(0.8),
        cancel_mid_stream: Share::NONE,
        ..load::mixed(0x3e5c)
    };
    let running = load::closed(group.gateway(), workload, 6, 30);
    let (load, ()) = tokio::join!(running.run(), cordon_in_turn(&engines, scheduler));
    let load = load.expect("a run");
    let not_whole: Vec<_> = load.records.iter().filter(|record| record.end != End::Completed).collect();
    assert!(not_whole.is_empty(), "{not_whole:?}");
    // As many tokens as the engine's own account says: none was lost on the way, and none came twice.
    for record in load.records.iter().filter(|record| record.stream && record.usage_tokens.is_some()) {
        assert_eq!(Some(record.tokens), record.usage_tokens, "{}", record.request_id);
    }
    let (mut moved, mut generated) = (0.0, 0.0);
    for engine in engines {
        let page = scrape(engine).await;
        moved += page.sum("vllm:nixl_xfer_time_seconds_count", &[]).unwrap_or(0.0);
        generated += page.sum("vllm:generation_tokens_total", &[]).unwrap_or(0.0);
    }
    assert!(moved >= 1.0, "KV went from one engine to the other");
    let told: u64 = load.records.iter().filter_map(|record| record.usage_tokens).sum();
    assert!(generated >= told as f64, "every token was generated");
    assert_eq!(count(scheduler, "unreachable").await, 0.0);
    fleet.shutdown().await.expect("a clean end");
}
