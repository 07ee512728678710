//! Several replicas, one of which places requests.

use futures_util::StreamExt as _;
use serde_json::json;
use testkit::Redis;

use crate::support::{Gateway, World, ask, eventually, full_flags, redis, write};

async fn replica(server: &Redis) -> World {
    let args = full_flags().with("cms", server.url()).with("leader-election", "true");
    let world = World::start(args.with("leader-election-lease", "600ms").validate().unwrap()).await;
    world.knows(1).await;
    world
}

async fn leads(world: &World) -> bool {
    world.sum("scheduler_is_leader").await == 1.0
}

async fn server() -> Redis {
    let server = Redis::start().await;
    write(&redis(server.addr(), std::time::Duration::from_secs(1)), "a", 8001, 0).await;
    server
}

#[tokio::test]
async fn one_leads_and_the_next_takes_over() {
    let server = server().await;
    let first = replica(&server).await;
    eventually("the first leads", || leads(&first)).await;
    let second = replica(&server).await;
    eventually("the second knows who leads", || async {
        second.get("/readyz").await.json()["leader"] == first.addr.to_string()
    })
    .await;
    assert!(!leads(&second).await);
    assert_eq!(first.schedule("r").await.status, 200);
    let answer = second.schedule("r").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.headers["x-candor-scheduler-leader"], first.addr.to_string().as_str());
    assert_eq!(second.get("/readyz").await.status, 200, "it stands by");
    let batch = second.post("/batch", &json!({"schedule": [ask("a"), ask("b")]})).await.json();
    assert_eq!([&batch[0]["status"], &batch[1]["status"]], [503, 503], "{batch}");
    let refused =
        second.scrape().await.value("scheduler_scheduling_failed_total", &[("error_type", "scheduler_not_ready")]);
    assert_eq!(refused, Some(3.0), "each attempt counts, alone or in a batch");
    first.stop().await;
    eventually("the second leads", || leads(&second)).await;
    assert_eq!(second.schedule("r").await.status, 200);
    second.stop().await;
}

#[tokio::test]
async fn whoever_loses_the_lease_lets_go_of_its_gateways() {
    let server = server().await;
    let world = replica(&server).await;
    eventually("it leads", || leads(&world)).await;
    let mut gateway = Gateway::connect(world.addr).await;
    server.command("SET candor:scheduler:leader elsewhere:1 PX 60000").await;
    eventually("it leads no more", || async { !leads(&world).await }).await;
    assert_eq!(world.schedule("r").await.headers["x-candor-scheduler-leader"], "elsewhere:1");
    while let Some(Ok(message)) = gateway.socket.next().await {
        if message.is_close() {
            break;
        }
    }
    eventually("nobody is connected", || async { world.sum("scheduler_connected_gateways").await == 0.0 }).await;
    server.command("DEL candor:scheduler:leader").await;
    eventually("it leads again", || leads(&world)).await;
    world.stop().await;
}

#[tokio::test]
async fn a_leader_goes_on_while_redis_is_away() {
    let mut server = server().await;
    let world = replica(&server).await;
    eventually("it leads", || leads(&world)).await;
    server.stop();
    eventually("the failure shows", || async { world.sum("scheduler_cms_available").await == 0.0 }).await;
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert_eq!(world.schedule("r").await.status, 200, "the lease has run out, and nobody else can take it");
    world.stop().await;
}
