//! Engines that come and go, as a real Redis and a real etcd tell of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::discovery::{Announcer, EtcdConfig, Registry};
use cluster::records::{InstanceDiscoveryInfo, PodDiscoveryInfo};
use cluster::{Credentials, EtcdEndpoints, RedisConfig};
use gateway::Args;
use proxy::Drain;
use testkit::{Etcd, Redis};
use tokio::task::JoinSet;

use super::support::{CHAT, Engine, Gateway, soon};

const PLAIN: &str = r#"{"model":"tiny"}"#;
const TIMEOUT: Duration = Duration::from_secs(5);

/// A pod that announces its one engine until it is stopped.
struct Pod {
    drain: Drain,
    tasks: JoinSet<()>,
}

impl Pod {
    fn start(registry: Registry, pod: &'static str, kind: &'static str, addr: SocketAddr) -> Self {
        let record = move || {
            let info = InstanceDiscoveryInfo {
                instance_type: kind.to_owned(),
                entrypoint_ip: addr.ip().to_string(),
                entrypoint_port: addr.port().into(),
                model: "tiny".to_owned(),
                ..InstanceDiscoveryInfo::default()
            };
            Some(PodDiscoveryInfo { pod_name: pod.to_owned(), timestamp_ms: 0, instances: vec![info] })
        };
        let interval = Duration::from_millis(50);
        let announcer = Announcer { registry, pod: pod.to_owned(), interval, changes: Arc::default() };
        let (drain, mut tasks) = (Drain::new(), JoinSet::new());
        tasks.spawn(announcer.run(record, drain.clone()));
        Self { drain, tasks }
    }

    /// It goes in good order.
    async fn leave(mut self) {
        self.drain.begin();
        soon(self.tasks.join_next()).await;
    }

    /// It dies without a word.
    fn die(self) {}
}

fn in_redis(redis: &Redis) -> Registry {
    Registry::Redis(RedisConfig::parse(&redis.url(), TIMEOUT).unwrap())
}

fn in_etcd(etcd: &Etcd) -> Registry {
    Registry::Etcd(EtcdConfig {
        endpoints: EtcdEndpoints::parse(&etcd.addr().to_string()).unwrap(),
        credentials: Credentials::default(),
        dial_timeout: TIMEOUT,
        lease_ttl: Duration::from_secs(2),
        refresh_interval: Duration::from_secs(3600),
    })
}

fn with_redis(args: Args, redis: &Redis) -> Args {
    args.with("llm-backend-discovery", "redis")
        .with("discovery-redis-host", redis.addr().ip().to_string())
        .with("discovery-redis-port", redis.addr().port().to_string())
        .with("discovery-redis-refresh-interval-ms", "50")
        .with("discovery-redis-status-ttl-ms", "2000")
}

fn with_etcd(args: Args, etcd: &Etcd) -> Args {
    args.with("llm-backend-discovery", "etcd")
        .with("discovery-etcd-endpoints", etcd.addr().to_string())
        .with("discovery-etcd-lease-ttl", "2")
}

/// Waits until the gateway knows so many engines to send to.
async fn until_known(gateway: &Gateway, count: u64) {
    let known = async || gateway.get("/readyz").await.json()["instances"].as_u64();
    soon(async {
        while known().await != Some(count) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// One request, which must succeed.
async fn served(gateway: &Gateway, engine: &mut Engine) {
    let mut client = gateway.client().await;
    client.post(CHAT, PLAIN).await;
    soon(engine.call()).await.answer(200, "{}").await;
    assert_eq!(soon(client.answer()).await.status(), 200);
}

async fn come_and_go(gateway: Gateway, registry: impl Fn() -> Registry) {
    let (mut first, mut second) = (Engine::start().await, Engine::start().await);
    let mut client = gateway.client().await;
    client.post(CHAT, PLAIN).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), &answer.json()["error"]["code"]), (503, &"no_instance".into()));
    let leaving = Pod::start(registry(), "first", "neutral", first.addr);
    until_known(&gateway, 1).await;
    served(&gateway, &mut first).await;
    let dying = Pod::start(registry(), "second", "neutral", second.addr);
    until_known(&gateway, 2).await;
    leaving.leave().await;
    until_known(&gateway, 1).await;
    served(&gateway, &mut second).await;
    dying.die();
    until_known(&gateway, 0).await;
}

#[tokio::test]
async fn engines_come_and_go_by_redis() {
    let redis = Redis::start().await;
    come_and_go(Gateway::with(|args| with_redis(args, &redis)).await, || in_redis(&redis)).await;
}

#[tokio::test]
async fn engines_come_and_go_by_etcd() {
    let etcd = Etcd::start().await;
    come_and_go(Gateway::with(|args| with_etcd(args, &etcd)).await, || in_etcd(&etcd)).await;
}

#[tokio::test]
async fn a_redis_that_goes_and_comes_back_empty_costs_no_request() {
    let mut redis = Redis::start().await;
    let mut engine = Engine::start().await;
    let gateway = Gateway::with(|args| with_redis(args, &redis).with("discovery-redis-status-ttl-ms", "60000")).await;
    let pod = Pod::start(in_redis(&redis), "pod", "neutral", engine.addr);
    until_known(&gateway, 1).await;
    redis.stop();
    let failing = async || !gateway.get("/readyz").await.json()["discovery"]["failure"].is_null();
    soon(async { while !failing().await {} }).await;
    for _ in 0..5 {
        served(&gateway, &mut engine).await;
    }
    redis.restart().await;
    soon(async {
        while failing().await {
            served(&gateway, &mut engine).await;
        }
    })
    .await;
    served(&gateway, &mut engine).await;
    pod.leave().await;
}

#[tokio::test]
async fn an_etcd_that_goes_and_comes_back_costs_no_request() {
    let mut etcd = Etcd::start().await;
    let mut engine = Engine::start().await;
    let gateway = Gateway::with(|args| with_etcd(args, &etcd).with("discovery-etcd-lease-ttl", "60")).await;
    let pod = Pod::start(in_etcd(&etcd), "pod", "neutral", engine.addr);
    until_known(&gateway, 1).await;
    etcd.stop();
    for _ in 0..5 {
        served(&gateway, &mut engine).await;
    }
    etcd.restart().await;
    for _ in 0..5 {
        served(&gateway, &mut engine).await;
    }
    pod.leave().await;
    until_known(&gateway, 0).await;
}

#[tokio::test]
async fn a_gateway_starts_without_its_redis_and_finds_it() {
    let mut redis = Redis::start().await;
    redis.stop();
    let mut engine = Engine::start().await;
    let gateway = Gateway::with(|args| with_redis(args, &redis)).await;
    assert_eq!(gateway.get("/readyz").await.status(), 503);
    redis.restart().await;
    let pod = Pod::start(in_redis(&redis), "pod", "neutral", engine.addr);
    until_known(&gateway, 1).await;
    served(&gateway, &mut engine).await;
    pod.leave().await;
}

#[tokio::test]
async fn prefill_and_decode_instances_are_told_apart() {
    let redis = Redis::start().await;
    let mut decode = Engine::start().await;
    let gateway = Gateway::with(|args| with_redis(args, &redis)).await;
    let prefill: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let pods = [
        Pod::start(in_redis(&redis), "d", "decode", decode.addr),
        Pod::start(in_redis(&redis), "p", "prefill", prefill),
    ];
    until_known(&gateway, 1).await;
    // A decode instance alone serves whole requests; the prefill instance is found by and by.
    soon(async {
        loop {
            let mut client = gateway.client().await;
            client.post(CHAT, PLAIN).await;
            let call = decode.call().await;
            let prefiller = call.head.get("x-prefiller-host-port").map(str::to_owned);
            call.answer(200, "{}").await;
            assert_eq!(client.answer().await.status(), 200);
            if prefiller.is_some() {
                break assert_eq!(prefiller.as_deref(), Some("127.0.0.1:9"));
            }
        }
    })
    .await;
    for pod in pods {
        pod.leave().await;
    }
}
