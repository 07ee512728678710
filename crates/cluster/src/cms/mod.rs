//! The CMS: where instances say what they are and how they are, and the scheduler reads it.
//!
//! A [`Store`] is in memory, for components of one process, or in Redis under upstream's keys. Records expire where they lie
//! ([`EXPIRY`]), so an instance that dies without a word is gone after that. Readers and writers only ever wait here, in calls
//! that end in time; what a decision needs is the reader's last answer, which the reader keeps.

mod memory;
mod publisher;

use std::sync::Arc;
use std::time::Duration;

use prost::Message;

use crate::keys;
use crate::records::{self, BadRecord, InstanceMetadata, InstanceStatus};
use crate::redis::{Redis, RedisConfig, StoreError};
use memory::Memory;

pub use publisher::{Publisher, Reporter};

/// How long a record is kept unless it is written again.
pub const EXPIRY: Duration = Duration::from_secs(100);

/// What was read.
#[derive(Debug)]
pub struct Read<M> {
    /// The records, by instance id in order.
    pub records: Vec<Arc<M>>,
    /// What could not be used, and why.
    pub bad: Vec<BadRecord>,
}

/// A store. Clones are the same store.
#[derive(Clone, Debug)]
pub struct Store(Backend);

#[derive(Clone, Debug)]
enum Backend {
    Memory(Arc<Memory>),
    Redis(Arc<Redis>),
}

impl Store {
    /// A store for this process, empty.
    #[must_use]
    pub fn memory() -> Self {
        Self(Backend::Memory(Arc::default()))
    }

    /// A store in Redis. Connects to nothing yet.
    #[must_use]
    pub fn redis(config: RedisConfig) -> Self {
        Self(Backend::Redis(Arc::new(Redis::new(config))))
    }

    /// What to call it in logs and in answers.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.0 {
            Backend::Memory(_) => "memory".to_owned(),
            Backend::Redis(redis) => redis.config().to_string(),
        }
    }

    /// What every instance is.
    ///
    /// # Errors
    /// When the store does not answer in time.
    pub async fn metadata(&self) -> Result<Read<InstanceMetadata>, StoreError> {
        match &self.0 {
            Backend::Memory(memory) => Ok(Read { records: memory.metadata(), bad: Vec::new() }),
            Backend::Redis(redis) => {
                let keys = redis.keys(keys::METADATA_PREFIX).await?;
                let values = redis.values(&keys).await?;
                Ok(read(keys::METADATA_PREFIX, &keys, values, |metadata: &InstanceMetadata| &metadata.instance_id))
            }
        }
    }

    /// How the instances `ids` are. Whoever has no status there is left out.
    ///
    /// # Errors
    /// When the store does not answer in time.
    pub async fn statuses<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<Read<InstanceStatus>, StoreError> {
        match &self.0 {
            Backend::Memory(memory) => Ok(Read { records: memory.statuses(ids), bad: Vec::new() }),
            Backend::Redis(redis) => {
                let mut keys: Vec<_> = ids.into_iter().map(keys::status).collect();
                keys.sort_unstable();
                keys.dedup();
                let values = redis.values(&keys).await?;
                Ok(read(keys::STATUS_PREFIX, &keys, values, |status: &InstanceStatus| &status.instance_id))
            }
        }
    }

    /// Says what an instance is.
    ///
    /// # Errors
    /// When the store does not answer in time.
    pub async fn put_metadata(&self, metadata: &InstanceMetadata) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Memory(memory) => memory.put_metadata(metadata.clone()),
            Backend::Redis(redis) => {
                redis.put(&keys::metadata(&metadata.instance_id), &metadata.encode_to_vec(), EXPIRY).await?;
            }
        }
        Ok(())
    }

    /// Says how an instance is.
    ///
    /// # Errors
    /// When the store does not answer in time.
    pub async fn put_status(&self, status: &InstanceStatus) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Memory(memory) => memory.put_status(status.clone()),
            Backend::Redis(redis) => {
                redis.put(&keys::status(&status.instance_id), &status.encode_to_vec(), EXPIRY).await?;
            }
        }
        Ok(())
    }

    /// Says that an instance is gone.
    ///
    /// # Errors
    /// When the store does not answer in time.
    pub async fn remove(&self, instance_id: &str) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Memory(memory) => memory.remove(instance_id),
            Backend::Redis(redis) => redis.delete(&[keys::metadata(instance_id), keys::status(instance_id)]).await?,
        }
        Ok(())
    }
}

/// Reads what lies under each key. A record that lies under another's key says nothing about either instance.
fn read<M: Message + Default>(
    prefix: &str,
    keys: &[String],
    values: Vec<Option<Vec<u8>>>,
    id_of: impl Fn(&M) -> &str,
) -> Read<M> {
    let mut read = Read { records: Vec::with_capacity(keys.len()), bad: Vec::new() };
    for (key, value) in keys.iter().zip(values) {
        let Some(value) = value else { continue };
        match records::decode::<M>(key, &value) {
            Ok(record) if key.strip_prefix(prefix) == Some(id_of(&record)) => read.records.push(Arc::new(record)),
            Ok(record) => read.bad.push(BadRecord::new(key, format!("it is about instance {:?}", id_of(&record)))),
            Err(bad) => read.bad.push(bad),
        }
    }
    read
}

#[cfg(test)]
mod tests;
