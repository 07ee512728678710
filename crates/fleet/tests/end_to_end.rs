//! The whole of Candor over real sockets, held against a client's own records: parts add up for every request, counts are
//! equal however requests end, and no KV block stays behind.
//!
//! Whether the latencies are *close* to the stopwatch is measured elsewhere (`candor audit`), by a process that does not
//! share this one's load; here the bounds are wide, and everything that must be exact is.

#![expect(clippy::expect_used, reason = "a test helper fails its test by panicking")]

mod load;

use std::time::Duration;

use audit::load::{Arrivals, Load};
use audit::verdict::{Holds, Verdict};
use audit::workload::{Inject, Lengths, Prompts, Share, Workload};
use audit::{Bounds, End, Endpoint, Evidence, Faults, LoadReport, Scrape};
use fleet::{Connector, Fleet, Group, GroupConfig, Latency};

const LATENCY: Latency = Latency {
    gateway: Duration::from_millis(2),
    prefill: Duration::from_millis(30),
    prefill_per_token: Duration::ZERO,
    decode_step: Duration::from_millis(5),
    kv_transfer: Duration::from_millis(3),
    output: Duration::ZERO,
};

fn workload() -> Workload {
    Workload {
        prompts: Prompts::Made(Lengths::Uniform(8, 200)),
        output: Lengths::Uniform(10, 20),
        cancel_mid_stream: Share::NONE,
        ..load::mixed(11)
    }
}

struct Run {
    fleet: Fleet,
    load: LoadReport,
    verdict: Verdict,
    _directory: tempfile::TempDir,
}

/// Starts a group of `connector`, sends `workload` to it and compares.
async fn run(connector: Connector, workload: Workload, faults: Faults) -> Run {
    let directory = tempfile::tempdir().expect("a directory");
    let config = GroupConfig::two_and_two(connector, LATENCY);
    let fleet = Fleet::start(&[config], directory.path()).await.expect("a fleet");
    let metrics = group(&fleet).metrics();
    let before = Scrape::of(&metrics).await.expect("metrics");
    let load = load(&fleet, workload).run().await.expect("a run");
    no_block_is_held(group(&fleet)).await;
    let delta = Scrape::of(&metrics).await.expect("metrics").since(&before);
    let spans = fleet.spans().await.expect("spans");
    let evidence = Evidence {
        title: connector.to_string(),
        load: &load,
        spans: Some(&spans),
        metrics: Some(&delta),
        faults,
        coordinated: true,
        bounds: Bounds { p50: Duration::from_secs(1), p99: Duration::from_secs(1) },
    };
    let verdict = evidence.verdict();
    Run { fleet, load, verdict, _directory: directory }
}

fn group(fleet: &Fleet) -> &Group {
    &fleet.groups()[0]
}

fn load(fleet: &Fleet, workload: Workload) -> Load {
    let arrivals = Arrivals::Closed { clients: 6, ramp: Duration::from_millis(50) };
    Load { arrivals, ..load::closed(group(fleet).gateway(), workload, 6, 60) }
}

/// Every engine gives back all of its blocks within a second of the last request's end.
async fn no_block_is_held(group: &Group) {
    for engine in group.prefill().chain(group.decode()) {
        let endpoint = Endpoint::at(&format!("http://{engine}/admin/state")).expect("a URL");
        let mut state = serde_json::Value::Null;
        for _ in 0..20 {
            let text = endpoint.text().await.expect("the engine's state");
            state = serde_json::from_str(&text).expect("JSON");
            if state["kv_blocks"]["used"] == 0 && state["running"] == 0 && state["waiting"] == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(state["kv_blocks"]["used"], 0, "{engine} holds blocks: {state}");
        assert_eq!(state["leases"], 0, "{engine} waits for a pull that will not come: {state}");
    }
}

fn assert_holds(run: &Run) {
    assert_eq!(run.verdict.reasons(), Vec::<String>::new(), "{}", report(&run.verdict));
}

fn report(verdict: &Verdict) -> String {
    let mut out = Vec::new();
    audit::report::write(verdict, &mut out).expect("written");
    String::from_utf8(out).expect("text")
}

async fn parts_add_up_and_counts_are_equal(connector: Connector) {
    let run = run(connector, workload(), Faults::None).await;
    assert_holds(&run);
    let streams = run.load.records.iter().filter(|record| record.stream).count() as u64;
    assert!(streams > 30, "{streams} streams");
    // Every sum was checked for every stream; in concurrent protocols one of them runs along the critical path instead.
    for sum in &run.verdict.sums {
        let along_the_critical_path = connector == Connector::Sglang && sum.name.contains("prefill");
        assert!(along_the_critical_path || sum.compared >= streams, "{} over {} requests", sum.name, sum.compared);
    }
    // Nothing was refused, so the last of them has nothing to compare.
    let (_refusals, others) = run.verdict.latencies.split_last().expect("checks");
    assert!(others.iter().all(|check| check.holds == Holds::Yes), "{}", report(&run.verdict));
    run.fleet.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn nixlv2_reports_what_the_client_saw() {
    parts_add_up_and_counts_are_equal(Connector::Nixlv2).await;
}

#[tokio::test]
async fn lmcache_reports_what_the_client_saw() {
    parts_add_up_and_counts_are_equal(Connector::Lmcache).await;
}

#[tokio::test]
async fn sglang_reports_what_the_client_saw() {
    parts_add_up_and_counts_are_equal(Connector::Sglang).await;
}

/// Success, 4xx, 5xx, streams that break off, and clients that leave before prefill is done, between the stages (as far
/// as chance takes them there: they leave at any time up to the first token) and in mid-stream.
async fn counts_are_equal_however_requests_end(connector: Connector) {
    let inject = |text: &str| text.parse::<Inject>().expect("an injection");
    let workload = Workload {
        cancel_before_first: Share::of(0.2),
        cancel_mid_stream: Share::of(0.2),
        inject: vec![inject("0.1:x-candor-fault:status=503"), inject("0.1:x-candor-fault:status=422")],
        ..workload()
    };
    let run = run(connector, workload, Faults::Expected).await;
    assert_holds(&run);
    let count = |wanted: fn(&End) -> bool| run.load.records.iter().filter(|record| wanted(&record.end)).count();
    assert!(count(|end| *end == End::Completed) > 0);
    assert!(count(|end| *end == End::Cancelled) > 5);
    assert!(count(|end| *end == End::Refused) > 2);
    run.fleet.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn nixlv2_counts_what_the_client_counted() {
    counts_are_equal_however_requests_end(Connector::Nixlv2).await;
}

#[tokio::test]
async fn lmcache_counts_what_the_client_counted() {
    counts_are_equal_however_requests_end(Connector::Lmcache).await;
}

#[tokio::test]
async fn sglang_counts_what_the_client_counted() {
    counts_are_equal_however_requests_end(Connector::Sglang).await;
}
