//! What a scrape says is what the instances said.

use cluster::api::InferType;
use cluster::cms::Store;
use cluster::records::InstanceStatus;

use crate::support::{World, ask, eventually, metadata, status, write};

const OF_A: [(&str, &str); 3] = [("instance_id", "a"), ("infer_type", "neutral"), ("model", "m")];

#[tokio::test]
async fn every_cms_gauge_is_its_field() {
    let store = Store::memory();
    store.put_metadata(&metadata("a", InferType::Neutral, 8001)).await.unwrap();
    let told = InstanceStatus {
        num_used_gpu_tokens: 101,
        num_waiting_requests: 102,
        num_loading_requests: 103,
        num_running_requests: 104,
        scheduler_waiting_to_decode_requests_num: 105,
        scheduler_running_to_decode_requests_num: 106,
        hybrid_scheduler_waiting_to_decode_requests_num: 107,
        num_uncomputed_tokens_all_waiting_prefills: 108,
        num_uncomputed_tokens_scheduler_running_prefills: 109,
        num_unallocated_tokens_scheduler_running_prefills: 110,
        num_unallocated_tokens_hybrid_scheduler_waiting_decodes: 111,
        hybrid_scheduler_waiting_to_decode_tokens_num: 112,
        scheduler_waiting_to_decode_tokens_num: 113,
        scheduler_running_to_decode_tokens_num: 114,
        num_tokens_loading_requests: 115,
        ..status("a", 1)
    };
    store.put_status(&told).await.unwrap();
    let world = World::over(&store, 1).await;
    let placed = world.schedule("r").await;
    let scrape = world.scrape().await;
    for (name, want) in [
        ("used_gpu_tokens", 101.0),
        ("waiting_requests", 102.0),
        ("loading_requests", 103.0),
        ("running_requests", 104.0),
        ("scheduler_waiting_to_decode_requests", 105.0),
        ("scheduler_running_to_decode_requests", 106.0),
        ("hybrid_scheduler_waiting_to_decode_requests", 107.0),
        ("uncomputed_tokens_all_waiting_prefills", 108.0),
        ("uncomputed_tokens_scheduler_running_prefills", 109.0),
        ("unallocated_tokens_scheduler_running_prefills", 110.0),
        ("unallocated_tokens_hybrid_scheduler_waiting_decodes", 111.0),
        ("hybrid_scheduler_waiting_to_decode_tokens", 112.0),
        ("scheduler_waiting_to_decode_tokens", 113.0),
        ("scheduler_running_to_decode_tokens", 114.0),
        ("tokens_loading_requests", 115.0),
        ("inflight_dispatch_requests", 1.0),
        ("inflight_dispatch_prefill_requests", 1.0),
        ("inflight_dispatch_decode_requests", 1.0),
        ("uncomputed_tokens_inflight_dispatch_prefill_requests", 100.0),
        ("tokens_inflight_dispatch_decode_requests", 100.0),
        ("kv_cache_usage_ratio_projected", (101.0 + 108.0 + 110.0 + 111.0 + 100.0) / 10_000.0),
        ("decode_batch_size", 107.0 + 103.0 + 105.0 + 106.0 + 1.0),
        ("all_prefills_tokens_num", 108.0 + 109.0 + 100.0),
        ("all_decodes_tokens_num", 112.0 + 113.0 + 114.0 + 115.0 + 100.0),
    ] {
        assert_eq!(scrape.value(&format!("instance_cms_{name}"), &OF_A), Some(want), "{name}");
    }
    assert_eq!(scrape.value("instance_schedulable", &OF_A), Some(1.0));
    assert_eq!(scrape.value("instance_kv_tokens_total", &OF_A), Some(10_000.0));
    assert!(scrape.value("instance_status_age_seconds", &OF_A).unwrap() >= 0.0);
    // The chosen one as it was before the request was its own.
    let selected =
        |name: &str| scrape.histogram(&format!("selected_instance_{name}"), &[("infer_type", "neutral")]).unwrap();
    assert_eq!((selected("all_prefills_tokens_num").count, selected("all_prefills_tokens_num").sum), (1.0, 217.0));
    assert_eq!(selected("decode_batch_size").sum, 421.0);
    assert_eq!(selected("all_decodes_tokens_num").sum, 454.0);
    assert!((selected("kv_cache_usage_ratio_projected").sum - 0.043).abs() < 1e-9);
    assert_eq!(scrape.value("scheduler_instance_dispatch_total", &OF_A[..2]), Some(1.0));
    assert_eq!(scrape.value("scheduler_scheduling_total", &[]), Some(1.0));
    assert_eq!(scrape.histogram("request_full_mode_schedule_duration_milliseconds", &[]).unwrap().count, 1.0);
    assert!(scrape.histogram("scheduler_cms_refresh_status_duration_milliseconds", &[]).unwrap().count >= 1.0);
    world.post("/release", &placed.json()).await;
    world.stop().await;
}

#[tokio::test]
async fn what_is_in_flight_leaves_with_the_status_that_shows_it_or_with_its_age() {
    let store = Store::memory();
    write(&store, "a", 8001, 0).await;
    let args = crate::support::full_flags().with("request-local-account-staleness-seconds", "0.5");
    let world = World::start(crate::support::over(&store, args)).await;
    world.knows(1).await;
    for id in ["shown", "never-shown"] {
        world.post("/schedule", &ask(id)).await;
    }
    let inflight = async || world.sum("instance_cms_inflight_dispatch_requests").await;
    store
        .put_status(&InstanceStatus { recent_waiting_requests: vec!["cmpl-shown-0".to_owned()], ..status("a", 2) })
        .await
        .unwrap();
    eventually("none is in flight", async || inflight().await == 0.0).await;
    assert_eq!(world.sum("scheduler_inflight_aged_total").await, 1.0, "one of them by its age");
    world.stop().await;
}

#[tokio::test]
async fn series_go_with_their_instance() {
    let store = Store::memory();
    write(&store, "a", 8001, 30).await;
    write(&store, "b", 8002, 10).await;
    let world = World::over(&store, 2).await;
    world.schedule("r").await;
    let scrape = world.scrape().await;
    assert_eq!(scrape.matching("instance_cms_waiting_requests", &[]).count(), 2);
    let imbalance = [("infer_type", "neutral"), ("metric", "all_prefills_tokens_num")];
    // a has 30, b has 10 and the request's 100.
    assert_eq!(scrape.value("scheduler_instance_imbalance_ratio", &imbalance), Some(110.0 * 2.0 / 140.0));
    store.remove("b").await.unwrap();
    eventually("b is gone", || async {
        let scrape = world.scrape().await;
        scrape.samples.iter().all(|sample| sample.label("instance_id") != Some("b"))
    })
    .await;
    assert_eq!(world.scrape().await.value("instance_cms_waiting_requests", &OF_A), Some(0.0));
    world.stop().await;
}

#[tokio::test]
async fn a_cache_of_unknown_size_has_no_usage() {
    let store = Store::memory();
    store.put_metadata(&metadata("a", InferType::Neutral, 8001)).await.unwrap();
    store.put_status(&InstanceStatus { num_total_gpu_tokens: 0, ..status("a", 1) }).await.unwrap();
    let world = World::over(&store, 1).await;
    assert_eq!(world.scrape().await.value("instance_cms_kv_cache_usage_ratio_projected", &OF_A), None);
    assert_eq!(world.scrape().await.value("instance_cms_used_gpu_tokens", &OF_A), Some(0.0));
    world.stop().await;
}
