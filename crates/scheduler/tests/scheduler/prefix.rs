//! Requests with the same beginning, over the socket.

use cluster::api::InferType;
use cluster::blocks::TextBlocks;
use cluster::cms::Store;
use cluster::records::InstanceMetadata;
use serde_json::{Value, json};
use telemetry::exposition::Scrape;

use crate::support::{World, eventually, full_flags, lite_flags, metadata, over, status, write};

fn aware(args: scheduler::Args) -> scheduler::Args {
    args.with("scheduling-policy", "cache-aware")
        .with("kvs-backend", "approximate")
        .with("cache-aware-scheduling-min-tokens", "16")
        .with("kvs-chunk-size", "8")
}

/// A request whose prompt is so many tokens of one conversation.
fn conversation(id: &str, topic: u32, tokens: u32) -> Value {
    let ids: Vec<u32> = (0..tokens).map(|n| topic * 1000 + n).collect();
    json!({"id": id, "model": "m", "scheduling_mode": "neutral", "prompt_num_tokens": tokens, "prompt_token_ids": ids})
}

fn percent(scrape: &Scrape, name: &str) -> (f64, f64) {
    let of_model = scrape.histogram(&format!("request_{name}_percent"), &[("model", "m")]);
    of_model.map_or((0.0, 0.0), |histogram| (histogram.count, histogram.sum))
}

#[tokio::test]
async fn what_begins_alike_goes_to_the_same_instance_and_the_metrics_say_so() {
    let store = Store::memory();
    for (id, port) in [("a", 8001), ("b", 8002), ("c", 8003)] {
        write(&store, id, port, 0).await;
    }
    let world = World::start(over(&store, aware(full_flags()))).await;
    world.knows(3).await;
    let first = world.post("/schedule", &conversation("r1", 1, 80)).await;
    world.post("/release", &first.json()).await;
    let first = first.chosen();
    let next = world.post("/schedule", &conversation("r2", 1, 100)).await.chosen();
    assert_eq!(next, first, "80 of its 100 tokens are there");
    let other = world.post("/schedule", &conversation("r3", 2, 80)).await.chosen();
    assert_ne!(other, first, "another conversation is for the others");
    let short = world.post("/schedule", &conversation("r4", 1, 15)).await;
    assert_eq!(short.status, 200);
    let scrape = world.scrape().await;
    assert_eq!(percent(&scrape, "prefix_cache_hit"), (3.0, 80.0), "0, 80 and 0; the short one was not looked up");
    assert_eq!(percent(&scrape, "max_prefix_cache_hit"), (3.0, 80.0));
    for stage in ["query", "calc"] {
        let name = format!("request_{stage}_prefix_cache_hit_duration_milliseconds");
        assert_eq!(scrape.histogram(&name, &[]).unwrap().count, 3.0, "{name}");
    }
    let uncomputed = scrape.sum("instance_cms_uncomputed_tokens_inflight_dispatch_prefill_requests", &[]);
    assert_eq!(uncomputed, Some(20.0 + 80.0 + 15.0), "what is in the cache is not to be computed");
    assert_eq!(scrape.sum("instance_cms_tokens_inflight_dispatch_decode_requests", &[]), Some(195.0));
    world.stop().await;
}

#[tokio::test]
async fn an_instance_that_begins_anew_has_nothing_in_its_cache() {
    let store = Store::memory();
    write(&store, "a", 8001, 0).await;
    let world = World::start(over(&store, aware(full_flags()))).await;
    world.knows(1).await;
    world.post("/schedule", &conversation("r1", 1, 80)).await.chosen();
    let in_flight = async || world.sum("instance_cms_inflight_dispatch_requests").await;
    assert_eq!(in_flight().await, 1.0);
    let anew = InstanceMetadata { utc_create: 2.0, ..metadata("a", InferType::Neutral, 8001) };
    store.put_metadata(&anew).await.unwrap();
    eventually("its other life is seen", || async {
        // An engine that is up writes on.
        store.put_status(&status("a", 1)).await.unwrap();
        in_flight().await == 0.0 && world.sum("instance_schedulable").await == 1.0
    })
    .await;
    let again = world.post("/schedule?explain=1", &conversation("r2", 1, 80)).await.json();
    let metrics = again["explain"][0]["instances"][0]["metrics"].as_array().unwrap().clone();
    assert!(metrics.contains(&json!({"name": "kv_cache_hit_len", "value": 0.0})), "{metrics:?}");
    assert!(metrics.contains(&json!({"name": "cache_aware_all_prefills_tokens_num", "value": 80.0})), "{metrics:?}");
    world.stop().await;
}

#[tokio::test]
async fn in_lite_mode_the_text_will_do() {
    let world =
        World::start(aware(lite_flags("127.0.0.1:8001,127.0.0.1:8002,127.0.0.1:8003")).validate().unwrap()).await;
    world.knows(3).await;
    let text = "All happy families are alike; each unhappy family is unhappy in its own way. ".repeat(20);
    let asked = |id: &str, text: &str| {
        let blocks = TextBlocks::of([], text.as_bytes());
        json!({"id": id, "model": "m", "scheduling_mode": "neutral", "prompt_num_tokens": text.len() / 4, "prompt_text": blocks})
    };
    let first = world.post("/schedule", &asked("r1", &text)).await;
    assert!(first.json().get("prompt_text").is_none(), "an answer has no use for it");
    let longer = format!("{text}{text}");
    for n in 0..4 {
        assert_eq!(world.post("/schedule", &asked(&format!("r{n}"), &longer)).await.chosen(), first.chosen());
    }
    eventually("the metrics say so", || async {
        let scrape = world.scrape().await;
        percent(&scrape, "prefix_cache_hit").0 == 5.0
    })
    .await;
    // 6 of the 6.0 blocks of the first text, 12 of the longer one from then on; both end in half a block or less.
    let (_, sum) = percent(&world.scrape().await, "prefix_cache_hit");
    assert!((330.0..350.0).contains(&sum), "{sum}");
    world.stop().await;
}

#[tokio::test]
async fn the_prefill_stage_alone_is_looked_up() {
    let store = Store::memory();
    for (id, infer_type, port) in
        [("p1", InferType::Prefill, 8001), ("p2", InferType::Prefill, 8002), ("d", InferType::Decode, 8003)]
    {
        store.put_metadata(&metadata(id, infer_type, port)).await.unwrap();
        store.put_status(&status(id, 1)).await.unwrap();
    }
    let world = World::start(over(&store, aware(full_flags()))).await;
    world.knows(3).await;
    let staged = |id: &str, stage: &str| {
        let mut asked = conversation(id, 1, 80);
        (asked["scheduling_mode"], asked["scheduling_stage"]) = (json!("pd_staged"), json!(stage));
        asked
    };
    let first = world.post("/schedule", &staged("r1", "prefill")).await;
    world.post("/schedule", &staged("r1", "decode")).await.chosen();
    world.post("/release", &first.json()).await;
    let mut both = conversation("r2", 1, 80);
    both["scheduling_mode"] = json!("pd_batch");
    assert_eq!(world.post("/schedule", &both).await.chosen()[0], first.chosen()[0]);
    let scrape = world.scrape().await;
    assert_eq!(percent(&scrape, "prefix_cache_hit"), (2.0, 100.0), "of two prefills, not of their decodes");
    world.stop().await;
}

#[tokio::test]
async fn without_a_backend_nothing_is_looked_up() {
    let store = Store::memory();
    write(&store, "a", 8001, 0).await;
    let world = World::over(&store, 1).await;
    world.post("/schedule", &conversation("r1", 1, 80)).await.chosen();
    let scrape = world.scrape().await;
    assert!(!scrape.contains("request_prefix_cache_hit_percent"));
    assert!(!scrape.contains("request_query_prefix_cache_hit_duration_milliseconds"));
    world.stop().await;
}
