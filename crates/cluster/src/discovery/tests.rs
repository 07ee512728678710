//! Against a real Redis and a real etcd.

use testkit::{Etcd, Redis, Wire, eventually};
use tokio::sync::Notify;

use super::*;
use crate::api::{Endpoint, InferType, LlmInstance};
use crate::etcd::{Credentials, EtcdEndpoints};
use crate::records::InstanceDiscoveryInfo;
use crate::redis::RedisConfig;

const PATIENCE: Duration = Duration::from_secs(20);

fn record(pod: &str, port: i32) -> PodDiscoveryInfo {
    let info = InstanceDiscoveryInfo {
        instance_type: "prefill".to_owned(),
        entrypoint_ip: "127.0.0.1".to_owned(),
        entrypoint_port: port,
        model: "m".to_owned(),
        ..InstanceDiscoveryInfo::default()
    };
    PodDiscoveryInfo { pod_name: pod.to_owned(), timestamp_ms: 0, instances: vec![info] }
}

/// A pod that announces itself until it is stopped.
struct Pod {
    drain: Drain,
    changes: Arc<Notify>,
    port: watch::Sender<Option<i32>>,
}

impl Pod {
    fn start(registry: Registry, pod: &str, port: i32) -> Self {
        let (drain, changes) = (Drain::new(), Arc::new(Notify::new()));
        let announcer = Announcer {
            registry,
            pod: pod.to_owned(),
            interval: Duration::from_millis(20),
            changes: Arc::clone(&changes),
        };
        let (sender, receiver) = watch::channel(Some(port));
        let pod = pod.to_owned();
        drain.spawn(announcer.run(move || receiver.borrow().map(|port| record(&pod, port)), drain.clone()));
        Self { drain, changes, port: sender }
    }

    fn say(&self, port: Option<i32>) {
        let _ = self.port.send(port);
        self.changes.notify_one();
    }

    async fn stop(self) {
        assert!(self.drain.finish(PATIENCE).await.complete);
    }
}

fn redis_at(url: &str, timeout: Duration, status_ttl: Duration) -> Source {
    let config = RedisConfig::parse(url, timeout).unwrap();
    Source::Redis { config, refresh_interval: Duration::ZERO, status_ttl }
}

fn registry(redis: &Redis) -> Registry {
    Registry::Redis(RedisConfig::parse(&redis.url(), PATIENCE).unwrap())
}

fn etcd_at(addr: std::net::SocketAddr) -> EtcdConfig {
    EtcdConfig {
        endpoints: EtcdEndpoints::parse(&addr.to_string()).unwrap(),
        credentials: Credentials::default(),
        dial_timeout: Duration::from_secs(2),
        lease_ttl: Duration::from_secs(60),
        refresh_interval: Duration::from_secs(3600),
    }
}

fn ports(discovery: &Discovery) -> Vec<u16> {
    discovery.roster().instances().iter().map(|instance| instance.endpoint.port).collect()
}

async fn shows(discovery: &Discovery, expected: &[u16]) {
    eventually(&format!("a roster of {expected:?}"), || async { ports(discovery) == expected }).await;
}

/// Pods come, change, withdraw, return and leave; the roster follows.
async fn check_following(source: Source, registry: &Registry) {
    let drain = Drain::new();
    let mut discovery = Discovery::start(source, &drain);
    eventually("the first answer", || async { discovery.health().loaded }).await;
    assert!(ports(&discovery).is_empty());
    let first = Pod::start(registry.clone(), "a", 1001);
    discovery.changed().await;
    shows(&discovery, &[1001]).await;
    let instance = discovery.roster().instances()[0].clone();
    assert_eq!((instance.id.as_str(), instance.model.as_str()), ("a_dp0", "m"));
    assert_eq!(discovery.roster().of(InferType::Prefill).count(), 1);
    assert_eq!(discovery.roster().of(InferType::Decode).count(), 0);
    let second = Pod::start(registry.clone(), "b", 1002);
    shows(&discovery, &[1001, 1002]).await;
    first.say(Some(1003));
    shows(&discovery, &[1003, 1002]).await;
    second.say(None);
    shows(&discovery, &[1003]).await;
    second.say(Some(1002));
    shows(&discovery, &[1003, 1002]).await;
    second.stop().await;
    shows(&discovery, &[1003]).await;
    first.stop().await;
    shows(&discovery, &[]).await;
    assert!(discovery.health().is_well(), "{:?}", discovery.health());
    assert!(drain.finish(PATIENCE).await.complete);
}

#[tokio::test]
async fn a_list_is_as_it_is() {
    let endpoint = Endpoint { host: "10.0.0.1".to_owned(), port: 8000 };
    let instance = LlmInstance { id: "a".to_owned(), endpoint, ..LlmInstance::default() };
    let discovery = Discovery::start(Source::Endpoints(vec![instance.clone()]), &Drain::new());
    assert_eq!(discovery.roster().instances(), [instance]);
    assert!(discovery.health().is_well());
}

#[tokio::test]
async fn redis_is_followed() {
    let redis = Redis::start().await;
    check_following(redis_at(&redis.url(), PATIENCE, PATIENCE), &registry(&redis)).await;
}

#[tokio::test]
async fn etcd_is_followed() {
    let etcd = Etcd::start().await;
    check_following(Source::Etcd(etcd_at(etcd.addr())), &Registry::Etcd(etcd_at(etcd.addr()))).await;
}

#[tokio::test]
async fn an_instance_that_died_without_a_word_leaves_redis_after_its_time_to_live() {
    let redis = Redis::start().await;
    let pod = Pod::start(registry(&redis), "a", 1001);
    let discovery = Discovery::start(redis_at(&redis.url(), PATIENCE, Duration::from_secs(1)), &pod.drain);
    shows(&discovery, &[1001]).await;
    // What a killed writer leaves behind: its record, never written again.
    redis.command("RENAME llumnix:discovery:a kept").await;
    pod.stop().await;
    redis.command("RENAME kept llumnix:discovery:a").await;
    let drain = Drain::new();
    let discovery = Discovery::start(redis_at(&redis.url(), PATIENCE, Duration::from_secs(1)), &drain);
    eventually("the first answer", || async { discovery.health().loaded }).await;
    shows(&discovery, &[]).await;
    drain.finish(PATIENCE).await;
}

#[tokio::test]
async fn an_instance_that_died_without_a_word_leaves_etcd_when_its_lease_ends() {
    let etcd = Etcd::start().await;
    let short = EtcdConfig { lease_ttl: Duration::from_secs(2), ..etcd_at(etcd.addr()) };
    let mut writer = crate::etcd::Etcd::new(short.endpoints, short.credentials, short.dial_timeout);
    let lease = writer.grant(short.lease_ttl).await.unwrap();
    let bytes = prost::Message::encode_to_vec(&record("a", 1001));
    writer.put("llumnix/discovery/a", &bytes, lease).await.unwrap();
    let drain = Drain::new();
    let discovery = Discovery::start(Source::Etcd(etcd_at(etcd.addr())), &drain);
    shows(&discovery, &[1001]).await;
    shows(&discovery, &[]).await;
    drain.finish(PATIENCE).await;
}

/// Whoever keeps records in memory loses them with its process. Nobody leaves the roster for that.
#[tokio::test]
async fn a_redis_that_stops_and_comes_back_empty_takes_nobody_off_the_roster() {
    let mut redis = Redis::start().await;
    let pod = Pod::start(registry(&redis), "a", 1001);
    let drain = Drain::new();
    let mut discovery = Discovery::start(redis_at(&redis.url(), PATIENCE, Duration::from_secs(3600)), &drain);
    shows(&discovery, &[1001]).await;
    redis.stop();
    eventually("the failure is known", || async { discovery.health().failure.is_some() }).await;
    let health = serde_json::to_value(&*discovery.health()).unwrap();
    assert!(health["failure"]["problem"].as_str().unwrap().contains(&redis.url()), "{health}");
    pod.stop().await;
    redis.restart().await;
    eventually("it answers again", || async { discovery.health().is_well() }).await;
    assert_eq!(ports(&discovery), [1001]);
    let other = Pod::start(registry(&redis), "b", 1002);
    discovery.changed().await;
    shows(&discovery, &[1001, 1002]).await;
    other.stop().await;
    shows(&discovery, &[1001]).await;
    drain.finish(PATIENCE).await;
}

#[tokio::test]
async fn an_etcd_that_stops_and_comes_back_with_or_without_its_memory_takes_nobody_off_the_roster() {
    let mut etcd = Etcd::start().await;
    let pod = Pod::start(Registry::Etcd(etcd_at(etcd.addr())), "a", 1001);
    let drain = Drain::new();
    let discovery = Discovery::start(Source::Etcd(etcd_at(etcd.addr())), &drain);
    shows(&discovery, &[1001]).await;
    for empty in [false, true] {
        etcd.stop();
        eventually("the failure is known", || async { discovery.health().failure.is_some() }).await;
        assert_eq!(ports(&discovery), [1001]);
        if empty {
            etcd.replace().await;
        } else {
            etcd.restart().await;
        }
        eventually("it answers again", || async { discovery.health().is_well() }).await;
        assert_eq!(ports(&discovery), [1001]);
        // Its changes are heard again.
        pod.say(Some(1002));
        shows(&discovery, &[1002]).await;
        pod.say(Some(1001));
        shows(&discovery, &[1001]).await;
    }
    pod.stop().await;
    shows(&discovery, &[]).await;
    drain.finish(PATIENCE).await;
}

#[tokio::test]
async fn a_slow_redis_is_followed_and_one_that_hangs_is_known_to() {
    let redis = Redis::start().await;
    let pod = Pod::start(registry(&redis), "a", 1001);
    let wire = Wire::to(redis.addr(), Duration::from_millis(100)).await;
    let drain = Drain::new();
    let url = format!("redis://{}", wire.addr());
    let discovery = Discovery::start(redis_at(&url, Duration::from_secs(1), PATIENCE), &drain);
    shows(&discovery, &[1001]).await;
    wire.set_delay(Duration::from_secs(3600));
    eventually("the silence is known", || async {
        discovery.health().failure.as_ref().is_some_and(|failure| failure.problem.contains("did not answer within 1s"))
    })
    .await;
    assert_eq!(ports(&discovery), [1001]);
    pod.stop().await;
    drain.finish(PATIENCE).await;
}

#[tokio::test]
async fn wrong_data_costs_itself_only_and_is_shown() {
    let redis = Redis::start().await;
    let pod = Pod::start(registry(&redis), "a", 1001);
    redis.command("SET llumnix:discovery:x nonsense").await;
    let drain = Drain::new();
    let discovery = Discovery::start(redis_at(&redis.url(), PATIENCE, PATIENCE), &drain);
    shows(&discovery, &[1001]).await;
    eventually("the fault is shown", || async { !discovery.health().ignored.is_empty() }).await;
    let health = serde_json::to_value(&*discovery.health()).unwrap();
    assert!(health["ignored"][0].as_str().unwrap().contains("llumnix:discovery:x"), "{health}");
    redis.command("DEL llumnix:discovery:x").await;
    eventually("all is well again", || async { discovery.health().is_well() }).await;
    pod.stop().await;
    drain.finish(PATIENCE).await;
}
