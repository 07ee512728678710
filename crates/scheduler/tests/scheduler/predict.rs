//! What is predicted from what instances say of their steps, and what is made of it.

use std::io::Write as _;

use cluster::api::InferType;
use cluster::cms::Store;
use cluster::records::InstanceStatus;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::support::{World, ask, full_flags, metadata, over, status};

/// A prefill instance's status after so many steps, each of which took a millisecond a token.
fn after(id: &str, steps: i32, left: i32) -> InstanceStatus {
    let tokens = 100 + steps * 37 % 400;
    InstanceStatus {
        profiling_id: steps,
        num_scheduled_prefill_tokens: tokens,
        step_duration: f64::from(tokens),
        num_uncomputed_tokens_all_waiting_prefills: left,
        ..status(id, steps)
    }
}

/// Asks for a prefill instance, and why it is that one.
async fn prefill(world: &World) -> (u16, Value) {
    let asked =
        json!({"id": "r", "scheduling_mode": "pd_staged", "scheduling_stage": "prefill", "prompt_num_tokens": 10});
    let answer = world.post("/schedule?explain=1", &asked).await;
    (answer.status, answer.json())
}

/// What was predicted of the instances, by their ids.
fn ttft(answer: &Value, id: &str) -> Option<f64> {
    let instances = answer["explain"][0]["instances"].as_array().unwrap();
    let judged = instances.iter().find(|judged| judged["instance_id"] == id)?;
    let metrics = judged["metrics"].as_array().unwrap();
    metrics.iter().find(|measure| measure["name"] == "predicted_ttft")?["value"].as_f64()
}

#[tokio::test]
async fn slo_learns_what_steps_take_and_takes_who_keeps_the_objective() {
    let store = Store::memory();
    for (id, port) in [("a", 8001), ("b", 8002)] {
        store.put_metadata(&metadata(id, InferType::Prefill, port)).await.unwrap();
        store.put_status(&after(id, 1, 0)).await.unwrap();
    }
    let flags = full_flags().with("scheduling-policy", "slo").with("num-predictor-warmup-samples", "5");
    let world = World::start(over(&store, flags.with("ttft-slo", "1000"))).await;
    world.knows(2).await;
    let (_, early) = prefill(&world).await;
    assert_eq!(ttft(&early, "a"), None, "one step of each is too little");
    let steps = std::sync::atomic::AtomicI32::new(1);
    let step = async |a: i32, b: i32| {
        let steps = 1 + steps.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        store.put_status(&after("a", steps, a)).await.unwrap();
        store.put_status(&after("b", steps, b)).await.unwrap();
        prefill(&world).await
    };
    // A hundred seconds of prompts are before it at `a`, though it comes first; the other one is idle.
    testkit::eventually("the idle instance is taken, by prediction", || async {
        let (status, answer) = step(100_000, 0).await;
        let chosen = answer["scheduling_result"][0]["endpoint"]["port"] == 8002;
        let predicted = ttft(&answer, "a").is_some_and(|ms| ms > 50_000.0);
        status == 200 && chosen && predicted && ttft(&answer, "b").is_some_and(|ms| ms < 850.0)
    })
    .await;
    testkit::eventually("nobody is taken who would be too late", || async {
        let (status, answer) = step(100_000, 100_000).await;
        let reason = answer["error"].as_str().unwrap_or_default().contains("all prefill instances are busy");
        status == 429 && reason
    })
    .await;
    let of = [("infer_type", "prefill"), ("model", "m")];
    let expected = world.scrape().await.histogram("selected_instance_predicted_ttft", &of).unwrap();
    assert!(expected.count >= 1.0 && expected.sum > 0.0, "{expected:?}");
    world.stop().await;
}

/// A file with `json` in it.
fn file(json: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(json.as_bytes()).unwrap();
    file
}

/// A scheduler that knows from profiles that prompts take 0.1 ms a token, and a decode step 10 ms.
async fn profiled(store: &Store) -> World {
    let prefills = file(r#"{"results": [{"tokens_num": 0, "p50": 0}, {"tokens_num": 1000, "p50": 100}]}"#);
    let decodes = file(r#"{"results": [{"batch_size": 1, "tokens_per_request": 1, "p50": 10}]}"#);
    let path = |file: &NamedTempFile| file.path().to_str().unwrap().to_owned();
    let flags = full_flags().with("ttft-profiling-data-path", path(&prefills));
    World::start(over(store, flags.with("tpot-profiling-data-path", path(&decodes)))).await
}

#[tokio::test]
async fn a_gateway_is_told_what_is_expected_and_what_it_reports_is_compared() {
    let store = Store::memory();
    store.put_metadata(&metadata("a", InferType::Neutral, 8001)).await.unwrap();
    store.put_status(&status("a", 1)).await.unwrap();
    let world = profiled(&store).await;
    world.knows(1).await;
    // 100 tokens, on an instance that has nothing else to do.
    let placed = world.schedule("r").await.json();
    assert_eq!(placed["expected"], json!({"ttft_us": 10_000, "tpot_us": 10_000}));
    let report = |measured: Value| {
        json!([{
            "kind": "state_update", "id": "r", "infer_type": "neutral", "instance_id": "a", "num_tokens": 120,
            "expected": placed["expected"], "measured": measured,
        }])
    };
    // One token only; no token at all; and what upstream's gateways report, who measure nothing.
    for measured in [json!({"ttft_us": 12_500}), json!({"ttft_us": 0, "tpot_us": 8000}), Value::Null] {
        assert_eq!(world.post("/report", &report(measured)).await.status, 200);
    }
    let scrape = world.scrape().await;
    for (what, error) in [("ttft", 0.2), ("tpot", 0.25)] {
        let errors = scrape.histogram("scheduler_prediction_error_ratio", &[("what", what)]).unwrap();
        assert_eq!((errors.count, errors.sum), (1.0, error), "{what}");
    }
    let of = [("infer_type", "neutral"), ("model", "m")];
    for (what, ms) in [("ttft", 10.0), ("tpot", 10.0)] {
        let name = format!("selected_instance_predicted_{what}");
        assert_eq!(scrape.histogram(&name, &of).unwrap().sum, ms, "{what}");
    }
    world.stop().await;
}

#[tokio::test]
async fn nothing_is_expected_where_nothing_is_predicted() {
    let store = Store::memory();
    store.put_metadata(&metadata("a", InferType::Neutral, 8001)).await.unwrap();
    store.put_status(&status("a", 1)).await.unwrap();
    let world = World::over(&store, 1).await;
    let mut asked = ask("r");
    asked["expected"] = json!({"ttft_us": 1});
    assert_eq!(world.post("/schedule", &asked).await.json().get("expected"), None, "whoever asks for it");
    let scrape = world.scrape().await;
    let of = [("infer_type", "neutral"), ("model", "m")];
    assert_eq!(scrape.histogram("selected_instance_predicted_ttft", &of).unwrap().count, 0.0);
    world.stop().await;
}

#[tokio::test]
async fn how_far_prompts_have_got_is_compared_with_the_next_status() {
    let store = Store::memory();
    let mut record = metadata("a", InferType::Prefill, 8001);
    record.max_num_batched_tokens = 500;
    store.put_metadata(&record).await.unwrap();
    let first = InstanceStatus { num_uncomputed_tokens_all_waiting_prefills: 2000, ..status("a", 1) };
    let first = InstanceStatus { recent_waiting_requests: vec!["q".to_owned()], ..first };
    store.put_status(&first).await.unwrap();
    let world = profiled(&store).await;
    world.knows(1).await;
    // Two steps of 50 ms were expected by then; it has done one and the half of another.
    let second = InstanceStatus {
        update_id: 2,
        timestamp_ms: first.timestamp_ms + 120,
        num_uncomputed_tokens_all_waiting_prefills: 1250,
        ..first.clone()
    };
    store.put_status(&second).await.unwrap();
    testkit::eventually("the second is read", || async {
        world.sum("instance_cms_uncomputed_tokens_all_waiting_prefills").await == 1250.0
    })
    .await;
    // A request came in between: nobody knows what of it was computed.
    let third = InstanceStatus {
        update_id: 3,
        timestamp_ms: second.timestamp_ms + 50,
        recent_waiting_requests: vec!["q".to_owned(), "r".to_owned()],
        num_uncomputed_tokens_all_waiting_prefills: 1200,
        ..second
    };
    store.put_status(&third).await.unwrap();
    testkit::eventually("the third is read", || async {
        world.sum("instance_cms_uncomputed_tokens_all_waiting_prefills").await == 1200.0
    })
    .await;
    let what = [("what", "prefill_progress")];
    let errors = world.scrape().await.histogram("scheduler_prediction_error_ratio", &what).unwrap();
    assert_eq!((errors.count, errors.sum), (1.0, 250.0 / 2000.0));
    world.stop().await;
}
