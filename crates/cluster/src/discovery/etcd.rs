//! Records in etcd. A watch is only a bell: whatever it rings for, all records are read again. They are few, and so there is no
//! second way in which a change can be understood, nor one that is missed while the watch is broken.

use std::fmt;
use std::time::Duration;

use super::{BREATH, Found};
use crate::etcd::{Credentials, Etcd, EtcdEndpoints, Watch};
use crate::keys::ETCD_DISCOVERY_PREFIX;
use crate::redis::StoreError;

/// How long after a failure the next try is made.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Which etcd, and how it is followed.
#[derive(Clone, Debug)]
pub struct EtcdConfig {
    /// Its members.
    pub endpoints: EtcdEndpoints,
    /// Who we are to it.
    pub credentials: Credentials,
    /// How long a call may take. Upstream's default: 5 s.
    pub dial_timeout: Duration,
    /// How long writers' leases run, and how long the roster outlives an etcd that is away. Upstream's default: 60 s.
    pub lease_ttl: Duration,
    /// How often all records are read even though nothing changed; a quarter of the lease at most, since this is also how an
    /// etcd that has fallen silent is found out.
    pub refresh_interval: Duration,
}

impl fmt::Display for EtcdConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoints.fmt(f)
    }
}

/// Reads all records, and waits for the bell.
pub(super) struct EtcdFollower {
    etcd: Etcd,
    lease_ttl: Duration,
    refresh_interval: Duration,
    /// What was last read.
    revision: Option<i64>,
    watch: Option<Watch>,
}

impl EtcdFollower {
    pub(super) fn new(config: EtcdConfig) -> Self {
        Self {
            etcd: Etcd::new(config.endpoints, config.credentials, config.dial_timeout),
            refresh_interval: config.refresh_interval.min(config.lease_ttl / 4),
            lease_ttl: config.lease_ttl,
            revision: None,
            watch: None,
        }
    }

    pub(super) fn lease_ttl(&self) -> Duration {
        self.lease_ttl
    }

    pub(super) async fn load(&mut self) -> Result<Found, StoreError> {
        self.revision = None;
        let range = match self.etcd.range(ETCD_DISCOVERY_PREFIX).await {
            Ok(range) => range,
            Err(error) => {
                self.watch = None;
                return Err(error);
            }
        };
        self.revision = Some(range.revision);
        let mut found = Found::default();
        for entry in range.entries {
            found.take(entry.key, &entry.value);
        }
        Ok(found)
    }

    pub(super) async fn pause(&mut self) {
        let Some(revision) = self.revision else {
            return tokio::time::sleep(RETRY_INTERVAL).await;
        };
        if self.watch.is_none() {
            self.watch = self.etcd.watch(ETCD_DISCOVERY_PREFIX, revision + 1).await.ok();
        }
        let Some(watch) = &mut self.watch else {
            return tokio::time::sleep(RETRY_INTERVAL).await;
        };
        match tokio::time::timeout(self.refresh_interval, watch.next()).await {
            Ok(true) | Err(_) => {}
            Ok(false) => self.watch = None,
        }
        tokio::time::sleep(BREATH).await;
    }
}
