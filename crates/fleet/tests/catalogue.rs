//! The catalogue against a running deployment: what is listed is observed, and what is exposed is listed.

#![expect(clippy::expect_used, reason = "a test helper fails its test by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use audit::Endpoint;
use audit::load::{Arrivals, Limit, Load, Target};
use audit::workload::{Inject, Lengths, Prompts, Share, Workload};
use fleet::{Connector, Fleet, GroupConfig, Latency, MODEL};
use telemetry::catalogue::{self, Kind, Metric};
use telemetry::exposition;

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
    "pd_proxy_prefill_retries_total",
    "pd_proxy_denied_total",
    "pd_proxy_pool_refresh_failures_total",
    "vllm:num_preemptions_total",
    "vllm:nixl_num_failed_transfers_total",
    "vllm:nixl_num_kv_expired_reqs_total",
    "vllm:nixl_num_notifications_after_expiry_total",
    "telemetry_overflow_total",
    // The sampler is none that asks.
    "telemetry_sampler_polls_total",
    // The same prompt twice: the load makes each its own.
    "vllm:prefix_cache_hits_total",
    "sglang:cached_tokens_total",
];

fn workload() -> Workload {
    let inject = |text: &str| text.parse::<Inject>().expect("an injection");
    Workload {
        seed: 7,
        model: MODEL.to_owned(),
        prompts: Prompts::Made(Lengths::Uniform(8, 100)),
        output: Lengths::Uniform(6, 12),
        chat: Share::of(0.5),
        stream: Share::of(0.75),
        usage: Share::of(0.5),
        cancel_before_first: Share::NONE,
        cancel_within: Duration::from_millis(60),
        cancel_mid_stream: Share::of(0.1),
        inject: vec![inject("0.1:x-candor-fault:status=503")],
    }
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
    let load = Load {
        target: Target::of(group.gateway()),
        workload: workload(),
        arrivals: Arrivals::Closed { clients: 4, ramp: Duration::from_millis(10) },
        limit: Limit { requests: 40, time: Duration::from_secs(60) },
        timeout: Duration::from_secs(20),
        echo: None,
        quiet: true,
        nonce: 0xca7a,
    };
    load.run().await.expect("a run");
    // Spans are exported by now, so what counts their export was observed.
    fleet.spans().await.expect("spans");
    let engines = group.prefill().chain(group.decode()).map(Endpoint::metrics);
    for endpoint in group.metrics().into_iter().chain(engines) {
        into.add(&endpoint).await;
    }
    fleet.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn what_is_listed_is_observed_and_what_is_exposed_is_listed() {
    let mut exposed = Exposed::default();
    for connector in [Connector::Nixlv2, Connector::Sglang] {
        scrape(connector, &mut exposed).await;
    }
    let unlisted: Vec<_> = exposed.types.iter().filter(|name| catalogue::find(name).is_none()).collect();
    assert!(unlisted.is_empty(), "exposed, but not in the catalogue: {unlisted:?}");
    let wanted = |metric: &&Metric| !NOT_HERE.contains(&metric.name) && !exposed.has(metric);
    let never: Vec<_> = catalogue::all().filter(wanted).map(|metric| metric.name).collect();
    assert!(never.is_empty(), "in the catalogue, but never observed: {never:?}");
    let idle: Vec<_> = NOT_HERE.iter().filter(|name| catalogue::find(name).is_none()).collect();
    assert!(idle.is_empty(), "excused, but not in the catalogue: {idle:?}");
}
