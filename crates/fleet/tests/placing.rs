//! Groups whose requests are placed by a scheduler: in full mode, and in lite mode.

#![expect(clippy::expect_used, reason = "a test helper fails its test by panicking")]

mod load;

use std::time::Duration;

use audit::{Bounds, Endpoint, Evidence, Faults};
use fleet::{Connector, Fleet, GroupConfig, Latency, MODEL, Placing};
use telemetry::exposition::{self, Scrape};

const LATENCY: Latency = Latency {
    gateway: Duration::ZERO,
    prefill: Duration::from_millis(5),
    prefill_per_token: Duration::ZERO,
    decode_step: Duration::from_millis(3),
    kv_transfer: Duration::from_millis(1),
    output: Duration::ZERO,
};

async fn scrape(of: std::net::SocketAddr) -> Scrape {
    exposition::parse(&Endpoint::metrics(of).text().await.expect("a scrape")).expect("the text format")
}

/// Scrapes until `holds`.
async fn until(of: std::net::SocketAddr, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
    for _ in 0..2000 {
        let scrape = scrape(of).await;
        if holds(&scrape) {
            return scrape;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not so: {what}");
}

#[tokio::test]
async fn every_request_is_placed_by_the_scheduler_and_nothing_is_left_of_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = GroupConfig::two_and_two(Connector::Nixlv2, LATENCY);
    let fleet = Fleet::start_placed(&[config], directory.path(), &Placing::InMemory).await.expect("a fleet");
    let group = &fleet.groups()[0];
    let scheduler = group.scheduler().expect("a scheduler");
    let known = |scrape: &Scrape| scrape.matching("instance_schedulable", &[]).count() == 4;
    until(scheduler, "it knows two prefill and two decode engines", known).await;
    load::closed(group.gateway(), load::mixed(0xf011), 4, 40).run().await.expect("a run");
    let placed = scrape(scheduler).await;
    every_request_was_placed_and_nobody_left_out(&placed);
    let idle = |scrape: &Scrape| {
        let gauges = ["running_requests", "waiting_requests", "inflight_dispatch_requests", "decode_batch_size"];
        gauges.iter().all(|gauge| scrape.sum(&format!("instance_cms_{gauge}"), &[]) == Some(0.0))
    };
    until(scheduler, "nothing runs, waits or is in flight any more", idle).await;
    fleet.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn in_lite_mode_the_gateway_tells_the_scheduler_and_gives_every_request_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let configs = [Connector::Nixlv2, Connector::Lmcache].map(|of| GroupConfig::two_and_two(of, LATENCY));
    let fleet = Fleet::start_placed(&configs, directory.path(), &Placing::Alternating).await.expect("a fleet");
    let group = &fleet.groups()[1];
    let scheduler = group.scheduler().expect("a scheduler");
    let known = |scrape: &Scrape| scrape.matching("instance_lrs_total_requests", &[]).count() == 4;
    until(scheduler, "it knows two prefill and two decode engines", known).await;
    load::closed(group.gateway(), load::mixed(0xf011), 4, 40).run().await.expect("a run");
    every_request_was_placed_and_nobody_left_out(&scrape(scheduler).await);
    let idle = |scrape: &Scrape| {
        ["requests", "tokens"].iter().all(|what| scrape.sum(&format!("instance_lrs_total_{what}"), &[]) == Some(0.0))
    };
    until(scheduler, "nothing is left of any request", idle).await;
    fleet.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn neutral_engines_are_placed_on_and_the_gateway_alone_is_audited() {
    let directory = tempfile::tempdir().expect("a directory");
    let configs = ["full", "lite"].map(|name| GroupConfig::two_neutral(name, LATENCY));
    let fleet = Fleet::start_placed(&configs, directory.path(), &Placing::Alternating).await.expect("a fleet");
    for (group, gauge) in fleet.groups().iter().zip(["instance_cms_running_requests", "instance_lrs_total_requests"]) {
        let (name, scheduler) = (group.config.name, group.scheduler().expect("a scheduler"));
        let known = |scrape: &Scrape| scrape.matching(gauge, &[("infer_type", "neutral")]).count() == 2;
        until(scheduler, "it knows two neutral engines", known).await;
        let before = audit::Scrape::of(&group.metrics()).await.expect("metrics");
        let load = load::closed(group.gateway(), load::mixed(0xf011), 4, 40).run().await.expect("a run");
        let spans = fleet.spans().await.expect("spans");
        let metrics = audit::Scrape::of(&group.metrics()).await.expect("metrics").since(&before);
        placed_on(&scrape(scheduler).await, &["neutral"]);
        let evidence = Evidence {
            title: name.to_owned(),
            load: &load,
            spans: Some(&spans),
            metrics: Some(&metrics),
            faults: Faults::None,
            coordinated: false,
            bounds: Bounds { p50: Duration::from_secs(1), p99: Duration::from_secs(1) },
        };
        let verdict = evidence.verdict();
        assert_eq!(verdict.reasons(), [] as [String; 0], "{name}");
        assert!(verdict.latencies.iter().all(|check| !check.name.contains("coordinator")), "{name}");
        assert!(verdict.latencies[0].compared > 0, "{name}: the gateway's TTFT was compared");
    }
    fleet.shutdown().await.expect("a clean end");
}

fn every_request_was_placed_and_nobody_left_out(placed: &Scrape) {
    placed_on(placed, &["prefill", "decode"]);
}

fn placed_on(placed: &Scrape, kinds: &[&str]) {
    assert_eq!(placed.value("scheduler_scheduling_total", &[]), Some(40.0), "as many as there were requests");
    let looked_up =
        placed.histogram("request_prefix_cache_hit_percent", &[("model", MODEL)]).expect("a histogram").count;
    assert!((1.0..40.0).contains(&looked_up), "the longer prompts are looked up: {looked_up}");
    for &infer_type in kinds {
        let of = [("infer_type", infer_type)];
        assert_eq!(placed.sum("scheduler_instance_dispatch_total", &of), Some(40.0), "{infer_type}");
        let each = placed.matching("scheduler_instance_dispatch_total", &of);
        assert!(each.into_iter().all(|sample| sample.value > 0.0), "nobody is left out");
    }
}
