//! Where records are, and how they are followed.

use std::fmt;
use std::time::Duration;

use super::etcd::{EtcdConfig, EtcdFollower};
use super::redis::RedisFollower;
use super::table::Alive;
use super::{BREATH, Found};
use crate::api::LlmInstance;
use crate::redis::{RedisConfig, StoreError};

/// Where instances are learnt from.
#[derive(Clone, Debug)]
pub enum Source {
    /// From a list that never changes.
    Endpoints(Vec<LlmInstance>),
    /// From records in Redis, looked at again and again.
    Redis {
        /// Which Redis.
        config: RedisConfig,
        /// How often it is looked at. Upstream's default: 1 s.
        refresh_interval: Duration,
        /// How long a record counts that is not written again. Upstream's default: 60 s.
        status_ttl: Duration,
    },
    /// From records in etcd, which says when they change.
    Etcd(EtcdConfig),
}

impl Source {
    /// Who follows it; a list is as it is.
    pub(super) fn follower(self) -> Result<Follower, Vec<LlmInstance>> {
        match self {
            Self::Endpoints(instances) => Err(instances),
            Self::Redis { config, refresh_interval, status_ttl } => {
                Ok(Follower::Redis(RedisFollower::new(config), refresh_interval.max(BREATH), status_ttl))
            }
            Self::Etcd(config) => Ok(Follower::Etcd(EtcdFollower::new(config))),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoints(_) => f.write_str("endpoints"),
            Self::Redis { config, .. } => config.fmt(f),
            Self::Etcd(config) => config.fmt(f),
        }
    }
}

/// Follows a source.
pub(super) enum Follower {
    Redis(RedisFollower, Duration, Duration),
    Etcd(EtcdFollower),
}

impl Follower {
    pub(super) fn alive(&self) -> Alive {
        match self {
            Self::Redis(..) => Alive::Rewritten,
            Self::Etcd(_) => Alive::Present,
        }
    }

    pub(super) fn time_to_live(&self) -> Duration {
        match self {
            Self::Redis(_, _, status_ttl) => *status_ttl,
            Self::Etcd(follower) => follower.lease_ttl(),
        }
    }

    /// Everything there is.
    pub(super) async fn load(&mut self) -> Result<Found, StoreError> {
        match self {
            Self::Redis(follower, ..) => follower.load().await,
            Self::Etcd(follower) => follower.load().await,
        }
    }

    /// Resolves when it is time to look again.
    pub(super) async fn pause(&mut self) {
        match self {
            Self::Redis(_, interval, _) => tokio::time::sleep(*interval).await,
            Self::Etcd(follower) => follower.pause().await,
        }
    }

    /// Takes records away that nobody will ever write again.
    pub(super) async fn forget(&mut self, keys: &[String]) -> Result<(), StoreError> {
        match self {
            Self::Redis(follower, ..) => follower.forget(keys).await,
            Self::Etcd(_) => Ok(()),
        }
    }
}
