//! What the scheduler's CMS gauges say of engines under load, held against the records in Redis and the engines' own state.
//!
//! Nothing here is a bound on time. The scheduler counts its refreshes, and of two scrapes whose counts differ by two the later
//! one shows at least what was in the CMS at the earlier one: that is one refresh interval. A record says when it was true, and an
//! engine whose state is the same before and after that moment, with no step in between, had that state then.

#![expect(clippy::expect_used, reason = "a test helper fails its test by panicking")]

mod load;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use audit::Endpoint;
use audit::load::{Load, Target};
use audit::workload::{Lengths, Prompts, Share, Workload};
use cluster::RedisConfig;
use cluster::cms::Store;
use cluster::records::InstanceStatus;
use fleet::{Connector, Fleet, Group, GroupConfig, Latency, Placing};
use serde_json::Value;
use telemetry::clock;
use telemetry::exposition::{self, Scrape};
use testkit::Redis;

const LATENCY: Latency = Latency {
    gateway: Duration::ZERO,
    prefill: Duration::from_millis(60),
    prefill_per_token: Duration::ZERO,
    decode_step: Duration::from_millis(50),
    kv_transfer: Duration::from_millis(5),
    output: Duration::ZERO,
};

/// Comparisons of each kind, all of instances with something to do, after which there have been enough.
const ENOUGH: usize = 60;

/// A gauge that is a number of the status, and that number.
type Field = (&'static str, fn(&InstanceStatus) -> i32);

const FIELDS: [Field; 16] = [
    ("instance_cms_used_gpu_tokens", |status| status.num_used_gpu_tokens),
    ("instance_cms_waiting_requests", |status| status.num_waiting_requests),
    ("instance_cms_loading_requests", |status| status.num_loading_requests),
    ("instance_cms_running_requests", |status| status.num_running_requests),
    ("instance_cms_scheduler_waiting_to_decode_requests", |status| status.scheduler_waiting_to_decode_requests_num),
    ("instance_cms_scheduler_running_to_decode_requests", |status| status.scheduler_running_to_decode_requests_num),
    ("instance_cms_hybrid_scheduler_waiting_to_decode_requests", |status| {
        status.hybrid_scheduler_waiting_to_decode_requests_num
    }),
    ("instance_cms_uncomputed_tokens_all_waiting_prefills", |status| status.num_uncomputed_tokens_all_waiting_prefills),
    ("instance_cms_uncomputed_tokens_scheduler_running_prefills", |status| {
        status.num_uncomputed_tokens_scheduler_running_prefills
    }),
    ("instance_cms_unallocated_tokens_scheduler_running_prefills", |status| {
        status.num_unallocated_tokens_scheduler_running_prefills
    }),
    ("instance_cms_unallocated_tokens_hybrid_scheduler_waiting_decodes", |status| {
        status.num_unallocated_tokens_hybrid_scheduler_waiting_decodes
    }),
    ("instance_cms_hybrid_scheduler_waiting_to_decode_tokens", |status| {
        status.hybrid_scheduler_waiting_to_decode_tokens_num
    }),
    ("instance_cms_scheduler_waiting_to_decode_tokens", |status| status.scheduler_waiting_to_decode_tokens_num),
    ("instance_cms_scheduler_running_to_decode_tokens", |status| status.scheduler_running_to_decode_tokens_num),
    ("instance_cms_tokens_loading_requests", |status| status.num_tokens_loading_requests),
    ("instance_kv_tokens_total", |status| status.num_total_gpu_tokens),
];

/// An engine's state as it says it itself, and when it was asked.
#[derive(Clone, Debug)]
struct Own {
    begun_ns: u64,
    ended_ns: u64,
    running: u64,
    waiting: u64,
    fetching: u64,
    blocks: u64,
    steps: u64,
}

impl Own {
    async fn of(engine: SocketAddr) -> Self {
        let endpoint = Endpoint { target: Target::of(engine), path: "/admin/state".to_owned() };
        let begun_ns = clock::now().unix_nanos();
        let state: Value = serde_json::from_str(&endpoint.text().await.expect("its state")).expect("JSON");
        let number = |value: &Value| value.as_u64().expect("a number");
        Self {
            begun_ns,
            ended_ns: clock::now().unix_nanos(),
            running: number(&state["running"]),
            waiting: number(&state["waiting"]),
            fetching: number(&state["fetching"]),
            blocks: number(&state["kv_blocks"]["used"]),
            steps: number(&state["totals"]["steps"]),
        }
    }

    /// Everything that a step, or a request that comes or goes, would change.
    fn key(&self) -> [u64; 5] {
        [self.running, self.waiting, self.fetching, self.blocks, self.steps]
    }
}

/// One look at everything: records, then engines, then the scheduler.
struct Look {
    records: BTreeMap<String, Arc<InstanceStatus>>,
    own: BTreeMap<String, Own>,
    scrape: Scrape,
    refreshes: f64,
}

/// Everybody who is looked at, and what was seen.
struct Watch<'a> {
    group: &'a Group,
    engines: BTreeMap<String, SocketAddr>,
    block_size: BTreeMap<String, u64>,
    store: Store,
    looks: Vec<Look>,
}

impl<'a> Watch<'a> {
    /// Begins when the CMS has every engine's metadata.
    async fn new(group: &'a Group, redis: &Redis) -> Self {
        let config = RedisConfig::parse(&format!("{}/0", redis.url()), Duration::from_secs(20)).expect("a URL");
        let store = Store::redis(config);
        let of = |kind: &'static str, addrs: Vec<SocketAddr>| {
            addrs.into_iter().enumerate().map(move |(index, addr)| (format!("nixlv2-{kind}-{index}"), addr))
        };
        let engines: BTreeMap<_, _> =
            of("prefill", group.prefill().collect()).chain(of("decode", group.decode().collect())).collect();
        let mut block_size = BTreeMap::new();
        while block_size.len() < engines.len() {
            for metadata in store.metadata().await.expect("Redis").records {
                let size = u64::try_from(metadata.block_size).expect("a size");
                block_size.insert(metadata.instance_id.clone(), size);
            }
        }
        assert!(engines.keys().eq(block_size.keys()), "{block_size:?}");
        Self { group, engines, block_size, store, looks: Vec::new() }
    }

    async fn look(&mut self) {
        let read = self.store.statuses(self.engines.keys().map(String::as_str)).await.expect("Redis");
        assert_eq!(read.bad, []);
        let records = read.records.into_iter().map(|status| (status.instance_id.clone(), status)).collect();
        let mut own = BTreeMap::new();
        for (id, engine) in &self.engines {
            own.insert(id.clone(), Own::of(*engine).await);
        }
        let page = Endpoint::metrics(self.group.scheduler().expect("a scheduler")).text().await.expect("a scrape");
        let scrape = exposition::parse(&page).expect("the text format");
        let refreshed = scrape.histogram("scheduler_cms_refresh_status_duration_milliseconds", &[]);
        let refreshes = refreshed.expect("refreshes").count;
        self.looks.push(Look { records, own, scrape, refreshes });
    }

    /// Holds the gauges of the last look but one against the records that were in Redis one refresh interval before it and
    /// after it. Says of how many busy instances that was conclusive.
    fn gauges_are_the_records(&self) -> usize {
        let Some(at) = self.looks.len().checked_sub(2) else { return 0 };
        let (look, next) = (&self.looks[at], &self.looks[at + 1]);
        let Some(since) = self.looks[..at].iter().rposition(|of| of.refreshes + 2.0 <= look.refreshes) else {
            return 0;
        };
        let mut conclusive = 0;
        for id in self.engines.keys() {
            let (Some(first), Some(last)) = (self.looks[since].records.get(id), next.records.get(id)) else { continue };
            let seen: BTreeMap<i32, &Arc<InstanceStatus>> = self.looks[since..]
                .iter()
                .filter_map(|of| of.records.get(id))
                .map(|record| (record.update_id, record))
                .collect();
            let missing = (first.update_id..=last.update_id).any(|update| !seen.contains_key(&update));
            let shown = FIELDS.map(|(gauge, _)| look.scrape.value(gauge, &[("instance_id", id)]));
            let is_shown =
                |record: &Arc<InstanceStatus>| FIELDS.map(|(_, field)| Some(f64::from(field(record)))) == shown;
            if missing {
                continue;
            }
            let found = seen.range(first.update_id..=last.update_id).any(|(_, record)| is_shown(record));
            assert!(found, "{id} is shown as {shown:?}, which none of its records is: {seen:?}");
            conclusive += usize::from(last.num_running_requests > 0);
        }
        conclusive
    }

    /// Holds every record that the last look brought against the engine's own state at the moment that the record names.
    fn records_are_the_engines(&self) -> usize {
        let mut conclusive = 0;
        let Some(at) = self.looks.len().checked_sub(2) else { return 0 };
        for (id, record) in &self.looks[at].records {
            if at > 0 && self.looks[at - 1].records.get(id).is_some_and(|of| of.update_id == record.update_id) {
                continue;
            }
            let written_ns = u64::try_from(record.timestamp_ms).expect("after 1970") * 1_000_000;
            // The stamp has whole milliseconds.
            let before = self.looks.iter().map(|look| &look.own[id]).rfind(|own| own.ended_ns <= written_ns);
            let after = self.looks.iter().map(|look| &look.own[id]).find(|own| own.begun_ns > written_ns + 1_000_000);
            let (Some(before), Some(after)) = (before, after) else { continue };
            if before.key() != after.key() {
                continue;
            }
            let says = [
                record.num_running_requests,
                record.num_waiting_requests,
                record.num_loading_requests,
                record.num_used_gpu_tokens,
            ];
            let is = [before.running, before.waiting, before.fetching, before.blocks * self.block_size[id]];
            assert_eq!(says.map(|number| u64::from(number.unsigned_abs())), is, "{id}: {record:?} but {before:?}");
            conclusive += usize::from(before.running > 0);
        }
        conclusive
    }
}

/// More than the engines can do, so that some wait, until it is dropped.
fn load(group: &Group) -> Load {
    let workload = Workload {
        prompts: Prompts::Made(Lengths::Uniform(8, 400)),
        output: Lengths::Uniform(6, 30),
        // Whoever leaves changes an engine's state between two steps and back.
        cancel_mid_stream: Share::NONE,
        ..load::mixed(0x57a7)
    };
    Load { timeout: Duration::from_secs(60), ..load::closed(group.gateway(), workload, 24, u64::MAX) }
}

#[tokio::test]
async fn the_gauges_are_the_engines_own_state_within_a_refresh_interval() {
    let redis = Redis::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let config = GroupConfig::two_and_two(Connector::Nixlv2, LATENCY);
    let placing = Placing::InRedis(redis.url());
    let fleet = Fleet::start_placed(&[config], directory.path(), &placing).await.expect("a fleet");
    let group = &fleet.groups()[0];
    let mut watch = Watch::new(group, &redis).await;
    let (mut shown, mut true_records) = (0, 0);
    let watching = async {
        while shown < ENOUGH || true_records < ENOUGH {
            watch.look().await;
            shown += watch.gauges_are_the_records();
            true_records += watch.records_are_the_engines();
            assert!(watch.looks.len() < 5000, "{shown} and {true_records} conclusive comparisons in 5,000 looks");
        }
    };
    tokio::select! {
        () = watching => {}
        ended = load(group).run() => panic!("the load ended: {ended:?}"),
    }
    fleet.shutdown().await.expect("a clean end");
}
