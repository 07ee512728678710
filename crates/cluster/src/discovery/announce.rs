//! The writer's side: keeps a pod's record in Redis or etcd, and takes it away at the end.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use proxy::Drain;
use telemetry::clock;
use tokio::sync::Notify;

use super::{EtcdConfig, wall_ms};
use crate::etcd::Etcd;
use crate::keys;
use crate::records::PodDiscoveryInfo;
use crate::redis::{Redis, RedisConfig, StoreError};

/// How long a record outlives its writer in Redis. Readers drop it earlier, by the time stamp in it.
const EXPIRY: Duration = Duration::from_secs(100);

/// How long after a failure the next try is made.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Where to announce.
#[derive(Clone, Debug)]
pub enum Registry {
    /// In Redis.
    Redis(RedisConfig),
    /// In etcd, under a lease.
    Etcd(EtcdConfig),
}

/// Announces a pod.
#[derive(Debug)]
pub struct Announcer {
    /// Where.
    pub registry: Registry,
    /// The pod's name.
    pub pod: String,
    /// How often the record is written again. Upstream's discovery sidecar: 10 s.
    pub interval: Duration,
    /// Notified when the record is another.
    pub changes: Arc<Notify>,
}

impl Announcer {
    /// Announces what `record` says, again and again, until `drain` begins; then takes the record away. Where `record` says
    /// nothing, the pod is not to be sent to, and its record is taken away until it says something again.
    pub async fn run(self, mut record: impl FnMut() -> Option<PodDiscoveryInfo> + Send + 'static, drain: Drain) {
        let mut writer = Writer::new(self.registry, &self.pod);
        let mut failing = false;
        loop {
            let step = async {
                let outcome = match record() {
                    Some(record) => writer.write(record).await,
                    None => writer.erase().await,
                };
                match outcome {
                    Ok(()) if std::mem::take(&mut failing) => tracing::info!(pod = self.pod, "announced again"),
                    Ok(()) => {}
                    Err(error) if !std::mem::replace(&mut failing, true) => {
                        tracing::warn!(pod = self.pod, %error, "not announced; trying on");
                    }
                    Err(_) => {}
                }
                let pause = if failing { RETRY_INTERVAL } else { self.interval };
                let _ = tokio::time::timeout(pause, self.changes.notified()).await;
            };
            tokio::select! {
                () = drain.begun() => break,
                () = step => {}
            }
        }
        match writer.erase().await {
            Ok(()) => tracing::info!(pod = self.pod, "no longer announced"),
            Err(error) => tracing::warn!(pod = self.pod, %error, "discovery record not removed; it expires"),
        }
    }
}

/// A record's place.
enum Writer {
    Redis { redis: Redis, key: String },
    Etcd { etcd: Etcd, key: String, ttl: Duration, lease: Option<i64> },
}

impl Writer {
    fn new(registry: Registry, pod: &str) -> Self {
        match registry {
            Registry::Redis(config) => Self::Redis { redis: Redis::new(config), key: keys::redis_discovery(pod) },
            Registry::Etcd(config) => Self::Etcd {
                etcd: Etcd::new(config.endpoints, config.credentials, config.dial_timeout),
                key: keys::etcd_discovery(pod),
                ttl: config.lease_ttl,
                lease: None,
            },
        }
    }

    async fn write(&mut self, mut record: PodDiscoveryInfo) -> Result<(), StoreError> {
        record.timestamp_ms = wall_ms(clock::now());
        let bytes = record.encode_to_vec();
        match self {
            Self::Redis { redis, key } => redis.put(key, &bytes, EXPIRY).await,
            Self::Etcd { etcd, key, ttl, lease } => {
                let running = match *lease {
                    Some(id) if etcd.keep_alive(id).await? => id,
                    _ => *lease.insert(etcd.grant(*ttl).await?),
                };
                etcd.put(key, &bytes, running).await
            }
        }
    }

    async fn erase(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Redis { redis, key } => redis.delete(std::slice::from_ref(key)).await,
            Self::Etcd { etcd, lease, .. } => match lease.take() {
                Some(id) => etcd.revoke(id).await,
                None => Ok(()),
            },
        }
    }
}
