//! A real Redis that misbehaves: decisions go on from what is known until it is stale, and then say why not.

use std::time::Duration;

use cluster::api::InferType;
use testkit::{Redis, Wire};

use crate::support::{World, eventually, full_flags, metadata, redis, status, write};

const TIMEOUT: Duration = Duration::from_millis(500);

async fn world(of: std::net::SocketAddr, staleness: &str) -> World {
    let args = full_flags().with("cms", format!("redis://{of}")).with("cms-redis-socket-timeout", "0.5");
    World::start(args.with("instance-staleness-seconds", staleness).validate().unwrap()).await
}

#[tokio::test]
async fn a_redis_that_stops_and_comes_back_empty() {
    let mut server = Redis::start().await;
    let store = redis(server.addr(), TIMEOUT);
    write(&store, "a", 8001, 0).await;
    let world = world(server.addr(), "60").await;
    world.knows(1).await;
    server.stop();
    eventually("the failure shows", || async { world.sum("scheduler_cms_available").await == 0.0 }).await;
    assert_eq!(world.schedule("while it is down").await.status, 200);
    eventually("readiness says what is wrong", || async {
        let ready = world.get("/readyz").await;
        assert_eq!(ready.status, 200);
        ready.json()["failure"]["problem"].as_str().unwrap().contains("refuses connections")
    })
    .await;
    assert!(world.sum("scheduler_cms_refresh_failed_total").await > 0.0);
    server.restart().await;
    eventually("it answers again", || async { world.sum("scheduler_cms_available").await == 1.0 }).await;
    assert_eq!(world.schedule("while it is empty").await.status, 200);
    assert!(world.get("/readyz").await.json()["failure"].is_null());
    // An instance that is written from now on is taken up; the other one is still believed to be there.
    write(&redis(server.addr(), TIMEOUT), "b", 8002, 0).await;
    world.knows(2).await;
    world.stop().await;
}

#[tokio::test]
async fn what_is_too_old_is_not_believed_and_the_answer_says_why() {
    let mut server = Redis::start().await;
    write(&redis(server.addr(), TIMEOUT), "a", 8001, 0).await;
    let world = world(server.addr(), "0.5").await;
    world.knows(1).await;
    server.stop();
    eventually("it is too old", || async { world.schedule("r").await.status == 400 }).await;
    let why = world.schedule("r").await.body;
    assert!(why.contains("1 by staleness") && why.contains("the CMS redis://"), "{why}");
    let failed =
        world.scrape().await.value("scheduler_scheduling_failed_total", &[("error_type", "cms_not_available")]);
    assert!(failed.unwrap() >= 1.0);
    let ready = world.get("/readyz").await.json();
    assert!(ready["failure"]["problem"].as_str().unwrap().contains("refuses connections"), "{ready}");
    assert!(ready["oldest_status_seconds"].as_f64().unwrap() > 0.5, "{ready}");
    assert!(world.sum("instance_status_age_seconds").await > 0.5);
    server.restart().await;
    let store = redis(server.addr(), TIMEOUT);
    eventually("it is believed again", || async {
        store.put_metadata(&metadata("a", InferType::Neutral, 8001)).await.unwrap();
        store.put_status(&status("a", 2)).await.unwrap();
        world.schedule("r").await.status == 200
    })
    .await;
    world.stop().await;
}

#[tokio::test]
async fn a_redis_that_was_never_there() {
    let mut server = Redis::start().await;
    server.stop();
    let world = world(server.addr(), "60").await;
    eventually("it is asked", || async { world.sum("scheduler_cms_refresh_failed_total").await > 0.0 }).await;
    let answer = world.schedule("r").await;
    assert!(answer.status == 400 && answer.body.contains("refuses connections"), "{}", answer.body);
    assert_eq!(world.get("/readyz").await.status, 503);
    assert_eq!(world.get("/healthz").await.status, 200);
    world.stop().await;
}

#[tokio::test]
async fn a_redis_that_is_slow_delays_what_is_known_and_no_decision() {
    let server = Redis::start().await;
    let store = redis(server.addr(), TIMEOUT);
    write(&store, "a", 8001, 0).await;
    let wire = Wire::to(server.addr(), Duration::from_millis(100)).await;
    let world = world(wire.addr(), "60").await;
    world.knows(1).await;
    write(&store, "b", 8002, 0).await;
    let before =
        world.scrape().await.histogram("scheduler_cms_refresh_status_duration_milliseconds", &[]).unwrap().count;
    for n in 0..50 {
        assert_eq!(world.schedule(&n.to_string()).await.status, 200);
    }
    let after = world.scrape().await.histogram("scheduler_cms_refresh_status_duration_milliseconds", &[]).unwrap();
    // A refresh takes 200 ms on this wire: had decisions waited for one each, fifty would have gone by.
    assert!(after.count - before < 40.0, "{} refreshes in fifty decisions", after.count - before);
    assert!(after.mean().unwrap() >= 100.0, "the metric shows it: {:?}", after.mean());
    world.knows(2).await;
    world.stop().await;
}

#[tokio::test]
async fn wrong_data_in_a_key_costs_that_instance_only() {
    let server = Redis::start().await;
    let store = redis(server.addr(), TIMEOUT);
    write(&store, "a", 8001, 0).await;
    write(&store, "b", 8002, 0).await;
    let world = world(server.addr(), "60").await;
    world.knows(2).await;
    server.command("SET llumnix:instance_status:b garbage").await;
    server.command("SET llumnix:instance_metadata:c garbage").await;
    server.command("LPUSH llumnix:instance_metadata:d list").await;
    world.knows(1).await;
    assert_eq!(world.schedule("r").await.chosen(), ["127.0.0.1:8001"]);
    eventually("bad records are counted", || async {
        let scrape = world.scrape().await;
        let bad = |record| scrape.value("scheduler_cms_bad_records", &[("record", record)]);
        bad("status") == Some(1.0) && bad("metadata") == Some(1.0)
    })
    .await;
    write(&store, "b", 8002, 0).await;
    world.knows(2).await;
    world.stop().await;
}
