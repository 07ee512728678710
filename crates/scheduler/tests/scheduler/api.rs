//! Upstream's HTTP API: bodies and statuses.

use cluster::api::InferType;
use cluster::cms::Store;
use cluster::records::InstanceStatus;
use serde_json::json;
use telemetry::span::Value;

use crate::support::{World, ask, full_flags, metadata, over, status, write};

#[tokio::test]
async fn an_answer_is_the_question_with_the_result_filled_in() {
    let store = Store::memory();
    write(&store, "a", 8001, 500).await;
    write(&store, "b", 8002, 100).await;
    let world = World::over(&store, 2).await;
    let asked = r#"{"id":"r1","model":"m","gateway_id":"10.0.0.9:4711","scheduling_mode":"neutral","scheduling_stage":"","prompt_num_tokens":3,"prompt_token_ids":[5,6,7]}"#;
    let answer = world.post_text("/schedule", asked).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let result = r#""scheduling_result":[{"version":1,"id":"b","model":"m","infer_type":"neutral","endpoint":{"host":"127.0.0.1","port":8002},"aux_ip":"127.0.0.1","aux_port":5600,"dp_rank":0,"dp_size":1}]"#;
    assert_eq!(answer.body, format!("{},{result}}}", asked.strip_suffix('}').unwrap()));
    world.stop().await;
}

#[tokio::test]
async fn statuses_are_upstreams() {
    let store = Store::memory();
    let world = World::over(&store, 0).await;
    let nobody = world.schedule("r").await;
    assert_eq!((nobody.status, nobody.body.as_str()), (404, "no instance is known"));
    let broken = world.post_text("/schedule", "{").await;
    assert!(broken.status == 400 && broken.body.contains("EOF"), "{}", broken.body);
    write(&store, "a", 8001, 0).await;
    world.knows(1).await;
    assert_eq!(world.schedule("r").await.status, 200);
    let other = world.post("/schedule", &json!({"id": "r", "model": "x"})).await;
    assert_eq!((other.status, other.body.as_str()), (404, "no neutral instance serves the model \"x\""));
    let half = world.post("/schedule", &json!({"id": "r", "scheduling_mode": "pd_batch"})).await;
    assert_eq!(half.status, 429, "{}", half.body);
    let stageless = world.post("/schedule", &json!({"id": "r", "scheduling_mode": "pd_staged"})).await;
    assert_eq!(stageless.status, 400, "{}", stageless.body);
    store.put_status(&InstanceStatus { schedulable: false, ..status("a", 2) }).await.unwrap();
    testkit::eventually("it is unschedulable", || async { world.schedule("r").await.status == 429 }).await;
    for (path, want) in [("/schedule", 405), ("/elsewhere", 404), ("/healthz", 200), ("/keepalive", 426)] {
        assert_eq!(world.get(path).await.status, want, "{path}");
    }
    for (error, count) in [("endpoint_not_found", 2.0), ("no_match_infer_type", 1.0), ("unknown", 2.0)] {
        let failed = world.scrape().await.value("scheduler_scheduling_failed_total", &[("error_type", error)]);
        assert_eq!(failed, Some(count), "{error}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_long_is_413() {
    let world = World::start(over(&Store::memory(), full_flags().with("max-body-bytes", "20"))).await;
    assert_eq!(world.schedule("r").await.status, 413);
    world.stop().await;
}

#[tokio::test]
async fn a_release_takes_a_request_off_every_instance_that_it_names() {
    let store = Store::memory();
    for (id, infer_type, port) in [("p", InferType::Prefill, 8001), ("d", InferType::Decode, 8002)] {
        store.put_metadata(&metadata(id, infer_type, port)).await.unwrap();
        store.put_status(&status(id, 1)).await.unwrap();
    }
    let world = World::over(&store, 2).await;
    let placed =
        world.post("/schedule", &json!({"id": "r", "scheduling_mode": "pd_batch", "prompt_num_tokens": 9})).await;
    assert_eq!(placed.chosen(), ["127.0.0.1:8001", "127.0.0.1:8002"]);
    assert_eq!(world.sum("instance_cms_inflight_dispatch_requests").await, 2.0);
    assert_eq!(world.sum("instance_cms_uncomputed_tokens_inflight_dispatch_prefill_requests").await, 9.0);
    let empty = world.post("/release", &json!({"id": "r"})).await;
    assert_eq!(empty.status, 400, "{}", empty.body);
    let released = world.post("/release", &placed.json()).await;
    assert_eq!((released.status, released.body.as_str()), (200, ""));
    assert_eq!(world.sum("instance_cms_inflight_dispatch_requests").await, 0.0);
    world.stop().await;
}

#[tokio::test]
async fn staged_requests_are_placed_one_half_at_a_time() {
    let store = Store::memory();
    for (id, infer_type, port) in [("p", InferType::Prefill, 8001), ("d", InferType::Decode, 8002)] {
        store.put_metadata(&metadata(id, infer_type, port)).await.unwrap();
        store.put_status(&status(id, 1)).await.unwrap();
    }
    let world = World::over(&store, 2).await;
    for (stage, want) in [("prefill", "127.0.0.1:8001"), ("decode", "127.0.0.1:8002")] {
        let asked = json!({"id": "r", "scheduling_mode": "pd_staged", "scheduling_stage": stage});
        assert_eq!(world.post("/schedule", &asked).await.chosen(), [want]);
    }
    world.stop().await;
}

#[tokio::test]
async fn instances_that_failed_are_not_chosen_again() {
    let store = Store::memory();
    write(&store, "a", 8001, 0).await;
    write(&store, "b", 8002, 500).await;
    let world = World::over(&store, 2).await;
    let first = world.schedule("r").await;
    let mut again = ask("r");
    again["excluded_instances"] = json!([first.json()["scheduling_result"][0]["id"]]);
    assert_eq!(world.post("/schedule", &again).await.chosen(), ["127.0.0.1:8002"]);
    again["excluded_instances"] = json!(["a", "127.0.0.1:8002"]);
    assert_eq!(world.post("/schedule", &again).await.status, 429);
    world.stop().await;
}

#[tokio::test]
async fn a_decision_can_be_asked_for_its_reasons() {
    let store = Store::memory();
    write(&store, "a", 8001, 40).await;
    write(&store, "b", 8002, 30).await;
    let world = World::over(&store, 2).await;
    let answer = world.post("/schedule?explain=1", &ask("r")).await;
    assert_eq!(answer.chosen(), ["127.0.0.1:8002"]);
    let explained = &answer.json()["explain"][0];
    assert_eq!((&explained["chosen"], &explained["policy"]), (&json!("b"), &json!("load-balance")));
    assert_eq!(explained["instances"][0]["rank"], 1);
    assert_eq!(explained["instances"][1]["instance_id"], "a");
    let refused = world.post("/schedule?explain=1", &json!({"id": "r", "model": "x"})).await;
    assert_eq!(refused.status, 404);
    assert_eq!(refused.json()["error"], "no neutral instance serves the model \"x\"");
    assert_eq!(refused.json()["explain"][0]["instances"][0]["filtered_by"], "model");
    world.stop().await;
}

#[tokio::test]
async fn a_decision_is_a_span_of_the_requests_trace() {
    let store = Store::memory();
    write(&store, "a", 8001, 40).await;
    let world = World::over(&store, 1).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    world.post_traced("/schedule", &ask("first"), &parent).await;
    world.post_traced("/schedule", &json!({"id": "second", "model": "x"}), &parent).await;
    let spans = world.spans.clone();
    world.stop().await;
    let spans = spans.take();
    let span = |id: &str| {
        let is_it = |value: Option<&Value>| value == Some(&Value::Str(id.to_owned().into()));
        spans.iter().find(|span| is_it(span.get("gen_ai.request.id"))).unwrap()
    };
    let placed = span("first");
    assert_eq!(placed.name, "scheduler.schedule");
    assert_eq!(placed.context.trace_id.to_string(), trace);
    assert_eq!(placed.parent.unwrap().to_string(), "b7ad6b7169203331");
    for (key, want) in [
        ("candor.scheduler.policy", Value::Str("load-balance".into())),
        ("candor.scheduler.mode", Value::Str("full".into())),
        ("candor.scheduler.prompt_tokens", Value::Int(100)),
        ("candor.scheduler.neutral.instance", Value::Str("a".into())),
        ("candor.scheduler.neutral.candidates", Value::Int(1)),
        ("candor.scheduler.neutral.all_prefills_tokens_num", Value::Int(40)),
        ("candor.scheduler.neutral.inflight_requests", Value::Int(0)),
    ] {
        assert_eq!(placed.get(key), Some(&want), "{key}");
    }
    let refused = span("second");
    assert_eq!(refused.get("candor.scheduler.error_type"), Some(&Value::Str("endpoint_not_found".into())));
}
