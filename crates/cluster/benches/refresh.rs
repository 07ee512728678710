//! Reading the CMS of 1,024 instances out of a real Redis. The bar: a refresh of all statuses takes under 10 ms.

#![allow(missing_docs, reason = "criterion's macros make the public items")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run should say so")]

use std::time::Duration;

use cluster::RedisConfig;
use cluster::cms::Store;
use cluster::records::{InstanceMetadata, InstanceStatus};
use criterion::{Criterion, criterion_group, criterion_main};
use testkit::Redis;
use tokio::runtime::Runtime;

const INSTANCES: usize = 1024;

fn id(index: usize) -> String {
    format!("decode-{index:04}_dp0")
}

/// As full as a status is under load: every number set, ten requests waiting.
fn status(index: usize) -> InstanceStatus {
    let requests: Vec<_> = (0..10).map(|request| format!("chatcmpl-0198a5c2-7a10-7000-8000-{request:012}")).collect();
    InstanceStatus {
        instance_id: id(index),
        schedulable: true,
        timestamp_ms: 1_795_333_620_123,
        step_id: 104_000,
        update_id: 105_000,
        recent_waiting_requests: requests.clone(),
        waiting_requests: requests,
        num_waiting_requests: 10,
        num_running_requests: 200,
        scheduler_running_to_decode_requests_num: 190,
        scheduler_running_to_decode_tokens_num: 400_000,
        num_total_gpu_tokens: 524_160,
        num_used_gpu_tokens: 480_000,
        num_uncomputed_tokens_all_waiting_prefills: 20_000,
        num_uncomputed_tokens_scheduler_running_prefills: 9_000,
        profiling_id: 104_000,
        step_duration: 21.5,
        ..InstanceStatus::default()
    }
}

fn refresh(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (_redis, store) = runtime.block_on(async {
        let redis = Redis::start().await;
        let store = Store::redis(RedisConfig::parse(&redis.url(), Duration::from_secs(5)).unwrap());
        for index in 0..INSTANCES {
            let metadata = InstanceMetadata { instance_id: id(index), ..InstanceMetadata::default() };
            store.put_metadata(&metadata).await.unwrap();
            store.put_status(&status(index)).await.unwrap();
        }
        (redis, store)
    });
    let ids: Vec<_> = (0..INSTANCES).map(id).collect();
    let mut group = criterion.benchmark_group("cms_redis_1024");
    group.bench_function("statuses", |bencher| {
        bencher.iter(|| {
            let read = runtime.block_on(store.statuses(ids.iter().map(String::as_str))).unwrap();
            assert_eq!((read.records.len(), read.bad.len()), (INSTANCES, 0));
        });
    });
    group.bench_function("metadata", |bencher| {
        bencher.iter(|| assert_eq!(runtime.block_on(store.metadata()).unwrap().records.len(), INSTANCES));
    });
    group.finish();
}

criterion_group!(benches, refresh);
criterion_main!(benches);
