//! What an instance says of itself in a CMS and in discovery, held against what it is.

use std::time::Duration;

use cluster::cms::Store;
use cluster::discovery::{Discovery, Source};
use cluster::records::{InstanceMetadata, InstanceStatus};
use cluster::{Publication, RedisConfig};
use http::Method;
use proxy::Drain;
use serde_json::json;
use testkit::{Redis, eventually};

use crate::support::Engine;

const PATIENCE: Duration = Duration::from_secs(20);

fn publication(store: &Store) -> Publication {
    Publication {
        cms: Some(store.clone()),
        registry: None,
        instance_id: "i".to_owned(),
        unit_id: "u".to_owned(),
        node_id: "n".to_owned(),
        dp_rank: 0,
        dp_size: 1,
        endpoint: Some(("10.0.0.9".to_owned(), 8000)),
        push_interval: Duration::from_millis(1),
        announce_interval: Duration::from_millis(20),
    }
}

async fn status(store: &Store, id: &str) -> Option<InstanceStatus> {
    let read = store.statuses([id]).await.unwrap();
    assert_eq!(read.bad, []);
    read.records.first().map(|status| InstanceStatus::clone(status))
}

async fn becomes(store: &Store, what: &str, holds: impl Fn(&InstanceStatus) -> bool) -> InstanceStatus {
    eventually(what, || async { status(store, "i").await.is_some_and(|status| holds(&status)) }).await;
    status(store, "i").await.unwrap()
}

/// The hour-long step keeps everything as it is while it is looked at.
#[tokio::test]
async fn a_status_is_the_cores_own_state() {
    let store = Store::memory();
    let engine = Engine::start("--prefill-base 1h --max-num-seqs 1 --block-size 16").await;
    engine.running.publish(publication(&store));
    let mut sent = Vec::new();
    for (name, tokens, max_tokens) in [("a", 40, 5), ("b", 100, 1), ("c", 7, 9)] {
        let prompt: Vec<u32> = (0..tokens).collect();
        let body = json!({"model": "tiny", "prompt": prompt, "max_tokens": max_tokens, "stream": true});
        let answer = engine.send(Method::POST, "/v1/completions", &[("x-request-id", name)], body.to_string()).await;
        sent.push(answer.unwrap());
        engine.waits_for("another request", |state| state["running"] == 1 && state["waiting"] == sent.len() - 1).await;
    }
    let status = becomes(&store, "all three", |status| status.num_waiting_requests == 2).await;
    assert!(status.schedulable);
    assert_eq!((status.num_running_requests, status.num_loading_requests), (1, 0));
    assert_eq!(status.scheduler_running_to_decode_requests_num, 1);
    assert_eq!(status.scheduler_running_to_decode_tokens_num, 40);
    assert_eq!(status.num_uncomputed_tokens_scheduler_running_prefills, 40);
    assert_eq!(status.num_unallocated_tokens_scheduler_running_prefills, 0);
    assert_eq!(status.num_uncomputed_tokens_all_waiting_prefills, 107);
    assert_eq!(status.num_uncomputed_tokens_scheduler_waiting_prefills, 107);
    assert_eq!(status.scheduler_waiting_to_decode_requests_num, 1, "b wants a single token");
    assert_eq!(status.scheduler_waiting_to_decode_tokens_num, 7);
    assert_eq!((status.num_used_gpu_tokens, status.num_total_gpu_tokens), (48, 16_384));
    assert_eq!(status.waiting_requests, ["cmpl-b", "cmpl-c"]);
    assert!(status.recent_waiting_requests.iter().any(|id| id == "cmpl-a"), "{:?}", status.recent_waiting_requests);
    let scrape = engine.scrape().await;
    for (series, value) in [("vllm:num_requests_running", 1.0), ("vllm:num_requests_waiting", 2.0)] {
        assert_eq!(scrape.value(series, &[]), Some(value), "{series}");
    }
    let usage = f64::from(status.num_used_gpu_tokens) / f64::from(status.num_total_gpu_tokens);
    assert_eq!(scrape.value("vllm:kv_cache_usage_perc", &[]), Some(usage));

    // Clients that leave: those that wait leave at once, the one in the step stays until its end.
    drop(sent);
    let status = becomes(&store, "nobody waits", |status| status.num_waiting_requests == 0).await;
    assert_eq!((status.num_running_requests, status.num_uncomputed_tokens_all_waiting_prefills), (1, 0));
    engine.running.shutdown().await;
    assert!(store.metadata().await.unwrap().records.is_empty());
}

#[tokio::test]
async fn statuses_count_on_and_say_what_the_last_step_took() {
    let store = Store::memory();
    let engine = Engine::start("--prefill-base 3ms --decode-step 2ms").await;
    engine.running.publish(publication(&store));
    let before = becomes(&store, "a first status", |_| true).await;
    let prompt: Vec<u32> = (0..40).collect();
    engine.complete(&json!({"model": "tiny", "prompt": prompt, "max_tokens": 3})).await;
    let after = becomes(&store, "the end", |status| status.step_id == 3 && status.num_running_requests == 0).await;
    assert!(after.update_id > before.update_id && after.timestamp_ms > before.timestamp_ms);
    assert_eq!((after.profiling_id, after.num_scheduled_prefill_tokens), (3, 0));
    assert!((after.step_duration - 2.0).abs() < 1e-9, "{}", after.step_duration);
    assert_eq!(after.num_used_gpu_tokens, 0);
    engine.stop().await;
}

#[tokio::test]
async fn in_redis_it_is_there_from_its_start_to_its_end() {
    let redis = Redis::start().await;
    let flags = format!(
        "--cms {0} --discovery {0} --instance-id e --unit-id u --dp-rank 1 --dp-size 2 --role decode --startup 300ms \
         --cms-push-interval 5ms --announce-interval 20ms --node-id n --block-size 32",
        redis.url()
    );
    let engine = Engine::start(&flags).await;
    let config = RedisConfig::parse(&redis.url(), PATIENCE).unwrap();
    let store = Store::redis(config.clone());
    eventually("metadata", || async { !store.metadata().await.unwrap().records.is_empty() }).await;
    let metadata = InstanceMetadata::clone(&store.metadata().await.unwrap().records[0]);
    assert_eq!(metadata.instance_id, "e_dp1");
    assert_eq!((metadata.ip.as_str(), metadata.api_server_port), ("127.0.0.1", i32::from(engine.addr().port())));
    assert_eq!((metadata.instance_type.as_str(), metadata.backend_type.as_str()), ("decode", "vLLM"));
    assert_eq!((metadata.dp_rank, metadata.data_parallel_size, metadata.block_size), (1, 2, 32));
    assert_eq!(metadata.model, "tiny");
    assert_eq!((metadata.unit_id.as_str(), metadata.node_id.as_str()), ("u", "n"));
    assert_eq!(metadata.kvt_port, i32::from(engine.running.side_channel_addr.port()));
    assert!(metadata.utc_create > 1.7e9 && metadata.utc_update >= metadata.utc_create);

    let drain = Drain::new();
    let source = Source::Redis { config, refresh_interval: Duration::ZERO, status_ttl: PATIENCE };
    let discovery = Discovery::start(source, &drain);
    let seen = async || status(&store, "e_dp1").await;
    eventually("a status", || async { seen().await.is_some() }).await;
    eventually("readiness", || async { seen().await.is_some_and(|status| status.schedulable) }).await;
    eventually("an announcement", || async { discovery.roster().instances().len() == 1 }).await;
    let instance = discovery.roster().instances()[0].clone();
    assert_eq!((instance.id.as_str(), instance.model.as_str()), ("e-r1_dp1", "tiny"));
    assert_eq!(instance.endpoint.to_string(), engine.addr().to_string());

    engine.stop().await;
    assert!(store.metadata().await.unwrap().records.is_empty() && seen().await.is_none());
    eventually("nobody is announced", || async { discovery.roster().instances().is_empty() }).await;
    assert_eq!(redis.command("DBSIZE").await, ":0\r\n");
    drain.finish(PATIENCE).await;
}
