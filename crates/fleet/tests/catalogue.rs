//! The catalogue against a running deployment: what is listed is observed, and what is exposed is listed.

#![expect(clippy::expect_used, reason = "a test helper fails its test by panicking")]

mod load;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use audit::Endpoint;
use audit::load::Target;
use audit::workload::Workload;
use cluster::cms::Store;
use cluster::records::{InstanceMetadata, InstanceStatus};
use fleet::{Connector, Fleet, GroupConfig, Latency, MODEL, Observed};
use proxy::{Body, Client, ClientConfig};
use telemetry::catalogue::{self, Component, Kind, Metric};
use telemetry::{Telemetry, TelemetryConfig, clock, exposition};

const LATENCY: Latency = Latency {
    gateway: Duration::from_millis(1),
    prefill: Duration::from_millis(10),
    prefill_per_token: Duration::ZERO,
    decode_step: Duration::from_millis(3),
    kv_transfer: Duration::from_millis(2),
    output: Duration::ZERO,
};

/// Counters of what a healthy deployment must not do, and of what this load cannot bring about. They are held to their
/// events where those can be provoked: in the tests of their components.
const NOT_HERE: &[&str] = &[
    // Something is down, denied, late or too many.
    "request_retry_total",
    "gateway_rejected_total",
    "request_fallback_total",
    "request_fallback_retry_success_total",
    "mirror_requests_total",
    // There is no scheduler.
    "gateway_scheduler_calls_total",
    "pd_proxy_prefill_retries_total",
    "pd_proxy_denied_total",
    "pd_proxy_pool_refresh_failures_total",
    "vllm:num_preemptions_total",
    "vllm:nixl_num_failed_transfers_total",
    "vllm:nixl_num_kv_expired_reqs_total",
    "vllm:nixl_num_notifications_after_expiry_total",
    "telemetry_overflow_total",
    "scheduler_cms_refresh_failed_total",
    "scheduler_inflight_aged_total",
    "scheduler_lrs_reclaimed_total",
    "stream_stalls_total",
    "slow_client_stall_seconds",
    // The sampler is none that asks.
    "telemetry_sampler_polls_total",
    // The same prompt twice: the load makes each its own.
    "vllm:prefix_cache_hits_total",
    "sglang:cached_tokens_total",
];

fn workload() -> Workload {
    let fault = "0.1:x-candor-fault:status=503".parse().expect("an injection");
    Workload { inject: vec![fault], ..load::mixed(0xca7a) }
}

/// What all processes of a deployment exposed: the declared types, and per metric the sum over its series (of a histogram
/// the number of observations).
#[derive(Default)]
struct Exposed {
    types: BTreeSet<String>,
    observed: BTreeMap<String, f64>,
}

impl Exposed {
    async fn add(&mut self, endpoint: &Endpoint) {
        let page = exposition::parse(&endpoint.text().await.expect("a scrape")).expect("the text format");
        self.types.extend(page.types.keys().cloned());
        for sample in page.samples {
            let name = sample.name.strip_suffix("_count").unwrap_or(&sample.name);
            *self.observed.entry(name.to_owned()).or_insert(0.0) += sample.value;
        }
    }

    /// Whether a metric was observed. A gauge is current when it is there; 0 is as good as any.
    fn has(&self, metric: &Metric) -> bool {
        let observed = self.observed.get(metric.name);
        observed.is_some_and(|&observed| metric.kind == Kind::Gauge || observed > 0.0)
    }
}

/// Runs the load on a group of `connector` and scrapes everything.
async fn scrape(connector: Connector, into: &mut Exposed) {
    let directory = tempfile::tempdir().expect("a directory");
    let config = GroupConfig { prefill: 1, decode: 1, ..GroupConfig::two_and_two(connector, LATENCY) };
    let fleet = Fleet::start(&[config], directory.path()).await.expect("a fleet");
    let group = &fleet.groups()[0];
    let ports = ["--listen=127.0.0.1:0", "--otlp-grpc-listen=127.0.0.1:0", "--otlp-http-listen=127.0.0.1:0"];
    let scrapes = ["--scrape-interval=100ms", "--scrape-timeout=100ms"];
    let flags: Vec<String> = ports.iter().chain(&scrapes).map(ToString::to_string).collect();
    let observed = fleet.observe(&flags).await.expect("an observatory");
    let load = load::closed(group.gateway(), workload(), 4, 40);
    load.run().await.expect("a run");
    // Spans are exported by now, so what counts their export was observed.
    fleet.spans().await.expect("spans");
    let engines = group.prefill().chain(group.decode()).map(Endpoint::metrics);
    for endpoint in group.metrics().into_iter().chain(engines) {
        into.add(&endpoint).await;
    }
    everything_is_up(&observed, connector).await;
    into.add(&Endpoint::metrics(observed.addr())).await;
    fleet.forget(observed).await.expect("a clean end");
    fleet.shutdown().await.expect("a clean end");
}

/// Has a scheduler place requests that it can and one that it cannot, and scrapes it.
async fn scrape_scheduler(mut config: scheduler::Config, into: &mut Exposed) {
    let store = Store::memory();
    if let scheduler::Source::Cms { store: of, .. } = &mut config.source {
        *of = store.clone();
    }
    // The other one takes no requests any more, and cannot be reached to hand over those that it has.
    for (id, schedulable) in [("a", true), ("b", false)] {
        let (id, instance_type, utc_create) = (id.to_owned(), "neutral".to_owned(), 1.0);
        let (ip, llumlet_port) = ("127.0.0.1".to_owned(), 1);
        let metadata = InstanceMetadata { instance_type, ip, llumlet_port, utc_create, ..InstanceMetadata::default() };
        let metadata = InstanceMetadata { instance_id: id.clone(), ..metadata };
        store.put_metadata(&metadata).await.expect("memory");
        let (timestamp_ms, num_waiting_requests) = ((clock::now().unix_nanos() / 1_000_000) as i64, 1);
        let status = InstanceStatus { instance_id: id, schedulable, timestamp_ms, ..InstanceStatus::default() };
        let status = InstanceStatus { num_total_gpu_tokens: 1000, num_waiting_requests, update_id: 1, ..status };
        store.put_status(&status).await.expect("memory");
    }
    let moves = matches!(config.rescheduling, scheduler::Rescheduling::Colocated(_));
    let telemetry = Telemetry::new(TelemetryConfig::new("candor-scheduler")).expect("telemetry");
    let running = scheduler::start(config, telemetry).await.expect("a scheduler");
    let (client, target) = (Client::new(ClientConfig::default()), proxy::Target::from_addr(running.addr));
    let post = async |path: &str, body: String| {
        let request = http::Request::post(path).body(Body::from(body)).expect("a request");
        client.send(&target, request).await.expect("an answer").status()
    };
    let schedule = async |mode: &str| {
        post(
            "/schedule",
            format!(r#"{{"id":"r","scheduling_mode":"{mode}","prompt_num_tokens":4,"prompt_token_ids":[1,2,3,4]}}"#),
        )
        .await
    };
    while schedule("neutral").await != http::StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    schedule("pd_staged").await;
    let report = r#"[{"kind":"state_update","id":"r","infer_type":"neutral","instance_id":"a",
        "expected":{"ttft_us":9},"measured":{"ttft_us":10}}]"#;
    post("/report", report.to_owned()).await;
    let endpoint = Endpoint::metrics(running.addr);
    while moves && !endpoint.text().await.expect("a scrape").contains("scheduler_rescheduling_failed_total 1") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    into.add(&endpoint).await;
    running.shutdown().await;
}

/// With profiles, by which a scheduler predicts before it has seen anything.
fn profiled(args: scheduler::Args, directory: &std::path::Path) -> scheduler::Args {
    let write = |name: &str, json: &str| {
        let path = directory.join(name);
        std::fs::write(&path, json).expect("a file");
        path.display().to_string()
    };
    let prefills = write("ttft.json", r#"[{"tokens_num": 9, "p50": 5}]"#);
    let decodes = write("tpot.json", r#"[{"batch_size": 1, "tokens_per_request": 9, "p50": 5}]"#);
    args.with("ttft-profiling-data-path", prefills).with("tpot-profiling-data-path", decodes)
}

/// Asks the observatory until it has scraped every component: itself, gateway, sidecar and two engines.
async fn everything_is_up(observed: &Observed, connector: Connector) {
    let ask = async |expr: &str| {
        let path = format!("/api/v1/query?query={expr}");
        Endpoint { target: Target::of(observed.addr()), path }.text().await.expect("an answer")
    };
    let mut answer = String::new();
    for _ in 0..600 {
        answer = ask("count(up%7Bnamespace%3D%22candor-demo%22%7D%3D%3D1)").await;
        if answer.contains(r#""5"]"#) {
            let roles = ask("sum%20by(infer_type,model)(up%7Bjob%3D%22engine%22%7D)").await;
            assert!(["decode", "prefill", MODEL].iter().all(|word| roles.contains(word)), "{connector}: {roles}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{connector}: not everything is up: {answer}");
}

#[tokio::test]
async fn what_is_listed_is_observed_and_what_is_exposed_is_listed() {
    let mut exposed = Exposed::default();
    for connector in [Connector::Nixlv2, Connector::Sglang] {
        scrape(connector, &mut exposed).await;
    }
    let full = scheduler::Args::default().with("host", "127.0.0.1").with("port", "0");
    let full = full.with("kvs-backend", "approximate").with("kvs-chunk-size", "4");
    let full = full.with("cache-aware-scheduling-min-tokens", "1");
    let lite = full.clone().with("enable-full-mode-scheduling", "false").with("llm-backend-discovery", "endpoints");
    let full = full.with("colocated-rescheduling-mode", "true").with("rescheduling-interval-ms", "100000");
    let directory = tempfile::tempdir().expect("a directory");
    for args in [profiled(full, directory.path()), lite.with("llm-backend-endpoints", "127.0.0.1:1")] {
        scrape_scheduler(args.validate().expect("a configuration"), &mut exposed).await;
    }
    let unlisted: Vec<_> = exposed.types.iter().filter(|name| catalogue::find(name).is_none()).collect();
    assert!(unlisted.is_empty(), "exposed, but not in the catalogue: {unlisted:?}");
    // What the observatory tells of OTLP takes a sender of it: its own tests hold it to its metrics.
    let here = |metric: &&Metric| metric.component != Component::Observatory && !NOT_HERE.contains(&metric.name);
    let wanted = |metric: &&Metric| here(metric) && !exposed.has(metric);
    let never: Vec<_> = catalogue::all().filter(wanted).map(|metric| metric.name).collect();
    assert!(never.is_empty(), "in the catalogue, but never observed: {never:?}");
    let idle: Vec<_> = NOT_HERE.iter().filter(|name| catalogue::find(name).is_none()).collect();
    assert!(idle.is_empty(), "excused, but not in the catalogue: {idle:?}");
}
