//! Records in Redis.

use super::Found;
use crate::keys::REDIS_DISCOVERY_PREFIX;
use crate::redis::{Redis, RedisConfig, StoreError};

/// Reads all records whenever it is asked to.
pub(super) struct RedisFollower(Redis);

impl RedisFollower {
    pub(super) fn new(config: RedisConfig) -> Self {
        Self(Redis::new(config))
    }

    pub(super) async fn load(&self) -> Result<Found, StoreError> {
        let keys = self.0.keys(REDIS_DISCOVERY_PREFIX).await?;
        let values = self.0.values(&keys).await?;
        let mut found = Found::default();
        for (key, value) in keys.into_iter().zip(values) {
            if let Some(value) = value {
                found.take(key, &value);
            }
        }
        Ok(found)
    }

    pub(super) async fn forget(&self, keys: &[String]) -> Result<(), StoreError> {
        self.0.delete(keys).await
    }
}
