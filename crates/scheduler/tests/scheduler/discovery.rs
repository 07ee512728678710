//! Lite mode over discovery records in a real Redis and a real etcd.

use std::sync::Arc;
use std::time::Duration;

use cluster::discovery::{Announcer, EtcdConfig, Registry};
use cluster::records::{InstanceDiscoveryInfo, PodDiscoveryInfo};
use cluster::{Credentials, EtcdEndpoints, RedisConfig};
use proxy::Drain;
use scheduler::Args;
use serde_json::json;
use testkit::{Etcd, Redis};

use crate::support::{Gateway, World, ask, eventually, lite_flags};

const PATIENCE: Duration = Duration::from_secs(20);

/// A pod that announces one neutral instance until it is stopped.
struct Pod(Drain);

impl Pod {
    /// The `version`th life of the instance at `port`.
    fn start(registry: &Registry, name: &str, port: i32, version: i64) -> Self {
        let instance = InstanceDiscoveryInfo {
            instance_type: "neutral".to_owned(),
            entrypoint_ip: "127.0.0.1".to_owned(),
            entrypoint_port: port,
            model: "m".to_owned(),
            version,
            ..InstanceDiscoveryInfo::default()
        };
        let record = PodDiscoveryInfo { pod_name: name.to_owned(), timestamp_ms: 0, instances: vec![instance] };
        let (registry, pod, changes) = (registry.clone(), name.to_owned(), Arc::default());
        let announcer = Announcer { registry, pod, interval: Duration::from_millis(20), changes };
        let drain = Drain::new();
        drain.spawn(announcer.run(move || Some(record.clone()), drain.clone()));
        Self(drain)
    }

    async fn stop(self) {
        assert!(self.0.finish(PATIENCE).await.complete);
    }
}

fn flags(kind: &str) -> Args {
    lite_flags("").with("llm-backend-discovery", kind)
}

/// Pods come, go and start anew; the scheduler places on those that there are, and forgets what was on the others.
async fn follows(args: Args, registry: &Registry) {
    let world = World::start(args.validate().unwrap()).await;
    eventually("nobody is there", || async { world.get("/readyz").await.body.contains("no instance is known") }).await;
    assert_eq!(world.schedule("early").await.status, 404);
    let (a, b) = (Pod::start(registry, "a", 8001, 1), Pod::start(registry, "b", 8002, 1));
    world.knows(2).await;
    let gateway = Gateway::connect(world.addr).await;
    let place = async |id: &str| {
        let mut asked = ask(id);
        asked["gateway_id"] = json!(gateway.id);
        world.post("/schedule", &asked).await.chosen().remove(0)
    };
    let mut placed = [place("r1").await, place("r2").await];
    placed.sort();
    assert_eq!(placed, ["127.0.0.1:8001", "127.0.0.1:8002"]);
    let total = async || world.sum("instance_lrs_total_requests").await;
    assert_eq!(total().await, 2.0);
    b.stop().await;
    world.knows(1).await;
    assert_eq!(total().await, 1.0, "what was on an instance that is gone is not counted");
    assert_eq!(place("r3").await, "127.0.0.1:8001");
    a.stop().await;
    world.knows(0).await;
    let a = Pod::start(registry, "a", 8001, 2);
    world.knows(1).await;
    assert_eq!(total().await, 0.0, "a new life has nothing of the old one");
    assert_eq!(world.sum("scheduler_lrs_reclaimed_total").await, 3.0);
    assert_eq!(place("r4").await, "127.0.0.1:8001");
    a.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn instances_come_and_go_in_redis() {
    let redis = Redis::start().await;
    let args = flags("redis")
        .with("discovery-redis-host", "127.0.0.1")
        .with("discovery-redis-port", redis.addr().port().to_string())
        .with("discovery-redis-refresh-interval-ms", "10");
    follows(args, &Registry::Redis(RedisConfig::parse(&redis.url(), PATIENCE).unwrap())).await;
}

#[tokio::test]
async fn instances_come_and_go_in_etcd() {
    let etcd = Etcd::start().await;
    let args = flags("etcd").with("discovery-etcd-endpoints", etcd.addr().to_string());
    let config = EtcdConfig {
        endpoints: EtcdEndpoints::parse(&etcd.addr().to_string()).unwrap(),
        credentials: Credentials::default(),
        dial_timeout: PATIENCE,
        lease_ttl: Duration::from_secs(60),
        refresh_interval: Duration::from_secs(3600),
    };
    follows(args, &Registry::Etcd(config)).await;
}

#[tokio::test]
async fn a_discovery_that_is_away_takes_nobody_along() {
    let mut redis = Redis::start().await;
    let args = flags("redis")
        .with("discovery-redis-host", "127.0.0.1")
        .with("discovery-redis-port", redis.addr().port().to_string())
        .with("discovery-redis-socket-timeout", "0.5")
        .with("discovery-redis-refresh-interval-ms", "10");
    let registry = Registry::Redis(RedisConfig::parse(&redis.url(), PATIENCE).unwrap());
    let pod = Pod::start(&registry, "a", 8001, 1);
    let world = World::start(args.validate().unwrap()).await;
    world.knows(1).await;
    redis.stop();
    eventually("readiness says what is wrong", || async {
        let ready = world.get("/readyz").await;
        assert_eq!(ready.status, 200, "{}", ready.body);
        ready.json()["failure"]["problem"].as_str().is_some_and(|problem| problem.contains("refuses connections"))
    })
    .await;
    assert_eq!(world.schedule("r").await.chosen(), ["127.0.0.1:8001"]);
    redis.restart().await;
    eventually("it is well again", || async { world.get("/readyz").await.json()["failure"].is_null() }).await;
    eventually("the pod has announced itself again", || async { redis.command("DBSIZE").await == ":1\r\n" }).await;
    world.knows(1).await;
    pod.stop().await;
    world.knows(0).await;
    world.stop().await;
}
