//! Lite mode: gateways speak for the instances.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Gateway, World, ask, eventually, lite_flags};

async fn world() -> World {
    let world = World::start(lite_flags("127.0.0.1:8001,127.0.0.1:8002").validate().unwrap()).await;
    world.knows(2).await;
    world
}

fn asked_by(gateway: &str, id: &str) -> Value {
    let mut asked = ask(id);
    asked["gateway_id"] = json!(gateway);
    asked
}

fn event(kind: &str, gateway: &str, id: &str, instance: &str, tokens: u64) -> Value {
    json!([{"kind": kind, "id": id, "model": "m", "infer_type": "neutral", "instance_id": instance,
            "gateway_id": gateway, "num_tokens": tokens}])
}

/// Running, waiting and total requests, then tokens.
async fn lrs(world: &World) -> [f64; 6] {
    let scrape = world.scrape().await;
    let kinds =
        ["running_requests", "waiting_requests", "total_requests", "running_tokens", "waiting_tokens", "total_tokens"];
    kinds.map(|kind| scrape.sum(&format!("instance_lrs_{kind}"), &[]).unwrap())
}

#[tokio::test]
async fn a_request_is_followed_from_its_placement_to_its_release() {
    let world = world().await;
    let gateway = Gateway::connect(world.addr).await;
    let placed = world.post("/schedule", &asked_by(&gateway.id, "r")).await;
    let instance = placed.chosen().remove(0);
    assert_eq!(lrs(&world).await, [0.0, 1.0, 1.0, 0.0, 100.0, 100.0]);
    let next = world.post("/schedule", &asked_by(&gateway.id, "r2")).await;
    assert_ne!(next.chosen()[0], instance, "the other one has less to do");
    world.post("/release", &next.json()).await;
    world.post("/report", &event("state_update", &gateway.id, "r", &instance, 130)).await;
    assert_eq!(lrs(&world).await, [0.0, 1.0, 1.0, 0.0, 130.0, 130.0]);
    let reported = world.post("/report", &event("prefill_done", &gateway.id, "r", &instance, 131)).await;
    assert_eq!((reported.status, reported.body.as_str()), (200, ""));
    assert_eq!(lrs(&world).await, [1.0, 0.0, 1.0, 131.0, 0.0, 131.0]);
    let unread = world.post("/report", &json!({"kind": "nothing"})).await;
    assert_eq!(unread.status, 400);
    world.post("/release", &placed.json()).await;
    assert_eq!(lrs(&world).await, [0.0; 6]);
    world.stop().await;
}

#[tokio::test]
async fn what_a_batch_gives_back_is_free_for_what_it_places() {
    let world = world().await;
    let gateway = Gateway::connect(world.addr).await;
    assert!(gateway.takes_batches);
    let first = world.post("/schedule", &asked_by(&gateway.id, "r1")).await;
    let second = world.post("/schedule", &asked_by(&gateway.id, "r2")).await;
    let mut in_halves = asked_by(&gateway.id, "r4");
    in_halves["scheduling_mode"] = json!("pd_batch");
    let batch = json!({"release": [second.json()], "schedule": [asked_by(&gateway.id, "r3"), in_halves]});
    let answer = world.post("/batch", &batch).await;
    let verdicts = answer.json();
    assert_eq!((answer.status, verdicts.as_array().map(Vec::len)), (200, Some(2)), "{}", answer.body);
    assert_eq!(verdicts[0]["status"], 200);
    let placed = &verdicts[0]["scheduling_result"];
    assert_eq!(placed[0]["id"], second.chosen()[0], "the instance that was given back has nothing to do");
    assert_eq!(verdicts[1]["status"], 429);
    assert!(verdicts[1]["why"].as_str().is_some_and(|why| why.contains("prefill")), "{}", answer.body);
    assert_eq!(lrs(&world).await, [0.0, 2.0, 2.0, 0.0, 200.0, 200.0]);

    let rest = json!({"release": [first.json(), {"id": "r3", "scheduling_result": placed}]});
    assert_eq!(world.post("/batch", &rest).await.body, "[]");
    assert_eq!(lrs(&world).await, [0.0; 6]);
    assert_eq!(world.post_text("/batch", "{").await.status, 400);
    assert_eq!(world.get("/batch").await.status, 405);
    world.stop().await;
}

#[tokio::test]
async fn a_gateway_that_is_lost_takes_its_requests_along() {
    let world = world().await;
    let (lost, stays) = (Gateway::connect(world.addr).await, Gateway::connect(world.addr).await);
    assert_ne!(lost.id, stays.id);
    for n in 0..10 {
        let gateway = if n < 7 { &lost } else { &stays };
        world.post("/schedule", &asked_by(&gateway.id, &format!("r{n}"))).await;
    }
    assert_eq!(world.sum("instance_lrs_total_requests").await, 10.0);
    assert_eq!(world.sum("scheduler_connected_gateways").await, 2.0);
    // As kill -9 does: the connection is gone without a word.
    drop(lost);
    eventually("its requests are gone", || async { world.sum("instance_lrs_total_requests").await == 3.0 }).await;
    assert_eq!(world.sum("scheduler_lrs_reclaimed_total").await, 7.0);
    world.stop().await;
}

#[tokio::test]
async fn a_gateway_that_answers_no_pings_is_lost() {
    let world = world().await;
    // Nobody reads from its socket any more, so nobody answers.
    let mute = Gateway::connect(world.addr).await;
    world.post("/schedule", &asked_by(&mute.id, "r")).await;
    assert_eq!(world.sum("instance_lrs_total_requests").await, 1.0);
    eventually("it is given up", || async { world.sum("instance_lrs_total_requests").await == 0.0 }).await;
    assert_eq!(world.sum("scheduler_connected_gateways").await, 0.0);
    world.stop().await;
}

#[tokio::test]
async fn a_gateway_that_answers_pings_keeps_its_id() {
    let world = world().await;
    let mut gateway = Gateway::connect(world.addr).await;
    world.post("/schedule", &asked_by(&gateway.id, "r")).await;
    let mut pings = 0;
    while pings < 4 {
        // tungstenite answers a ping when it is read.
        if let Message::Ping(_) = gateway.socket.next().await.unwrap().unwrap() {
            pings += 1;
        }
    }
    assert_eq!(world.sum("instance_lrs_total_requests").await, 1.0);
    world.stop().await;
}

#[tokio::test]
async fn without_a_connected_gateway_nothing_is_counted() {
    let world = world().await;
    assert_eq!(world.schedule("r1").await.chosen().len(), 1);
    assert_eq!(world.post("/schedule", &asked_by("127.0.0.1:1", "r2")).await.status, 200);
    assert_eq!(lrs(&world).await, [0.0; 6]);
    world.stop().await;
}

#[tokio::test]
async fn running_and_waiting_are_the_total_at_every_scrape_and_all_return_to_zero() {
    let world = world().await;
    let gateway = Gateway::connect(world.addr).await;
    let load = |worker: usize| {
        let (world, gateway) = (&world, gateway.id.as_str());
        async move {
            for n in 0..30 {
                let id = format!("{worker}-{n}");
                let placed = world.post("/schedule", &asked_by(gateway, &id)).await;
                let instance = placed.chosen().remove(0);
                world.post("/report", &event("prefill_done", gateway, &id, &instance, 200 + n)).await;
                // Every third client leaves, and its gateway says so at once; the others end.
                world.post("/release", &placed.json()).await;
            }
        }
    };
    let watch = async {
        for _ in 0..30 {
            let [running, waiting, total, running_tokens, waiting_tokens, total_tokens] = lrs(&world).await;
            assert_eq!(running + waiting, total);
            assert_eq!(running_tokens + waiting_tokens, total_tokens);
        }
    };
    tokio::join!(load(0), load(1), load(2), load(3), watch);
    assert_eq!(lrs(&world).await, [0.0; 6]);
    world.stop().await;
}

#[tokio::test]
async fn a_scheduler_that_stops_says_goodbye_to_its_gateways() {
    let world = world().await;
    let mut gateway = Gateway::connect(world.addr).await;
    let goodbye = async {
        loop {
            match gateway.socket.next().await {
                Some(Ok(Message::Close(_))) | None => break,
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("{error}"),
            }
        }
    };
    let ended = async { tokio::time::timeout(Duration::from_secs(30), goodbye).await.unwrap() };
    tokio::join!(ended, world.stop());
}
