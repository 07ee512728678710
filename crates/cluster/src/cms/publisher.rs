//! The writer's side: keeps an instance's records in a store, and takes them away at the end.

use std::sync::Arc;
use std::time::Duration;

use proxy::Drain;
use telemetry::clock::{self, Moment};
use tokio::sync::Notify;

use super::Store;
use crate::records::{InstanceMetadata, InstanceStatus};
use crate::redis::StoreError;

/// How often metadata is written again.
const METADATA_INTERVAL: Duration = Duration::from_secs(20);

/// How often the status of an instance with nothing to do is written again, so that nobody takes it for dead.
const IDLE_INTERVAL: Duration = Duration::from_secs(5);

/// How long after a failure the next try is made.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// What an instance knows of itself.
pub trait Reporter: Send + 'static {
    /// What it is. Written at once where it is another than before.
    fn metadata(&mut self) -> InstanceMetadata;

    /// How it is now, with a time stamp and an `update_id` above the last one's.
    fn status(&mut self) -> InstanceStatus;
}

/// What and where to publish.
#[derive(Debug)]
pub struct Publisher {
    /// Where to.
    pub store: Store,
    /// Notified when the status changes.
    pub changes: Arc<Notify>,
    /// Statuses are this far apart at least. Upstream's llumlet: 40 ms.
    pub min_interval: Duration,
}

impl Publisher {
    /// Publishes until `drain` begins; then removes the records, so that nobody sends anything here any more.
    ///
    /// A store that cannot be written to is tried again until it can, with what is true by then. Nothing is queued.
    pub async fn run(self, mut reporter: impl Reporter, drain: Drain) {
        let id = reporter.metadata().instance_id;
        tokio::select! {
            () = drain.begun() => {}
            () = self.publish(&id, &mut reporter) => {}
        }
        match self.store.remove(&id).await {
            Ok(()) => tracing::info!(instance = id, "CMS records removed"),
            Err(error) => tracing::warn!(instance = id, %error, "CMS records not removed; they expire"),
        }
    }

    async fn publish(&self, id: &str, reporter: &mut impl Reporter) {
        let mut written = Written::default();
        let mut failing = false;
        loop {
            match self.write(reporter, &mut written).await {
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!(instance = id, "CMS records are written again");
                    }
                    tokio::time::sleep(self.min_interval).await;
                    // A change during the pause above is remembered.
                    let _ = tokio::time::timeout(IDLE_INTERVAL, self.changes.notified()).await;
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(instance = id, %error, "CMS records not written; trying on");
                    }
                    // Whatever comes back may come back empty.
                    written = Written::default();
                    tokio::time::sleep(RETRY_INTERVAL.max(self.min_interval)).await;
                }
            }
        }
    }

    async fn write(&self, reporter: &mut impl Reporter, written: &mut Written) -> Result<(), StoreError> {
        let now = clock::now();
        // In this order: nobody may read a status under metadata of before it.
        let status = reporter.status();
        let mut metadata = reporter.metadata();
        if written.metadata.as_ref() != Some(&metadata) || now >= written.due {
            *written = Written { metadata: Some(metadata.clone()), due: now + METADATA_INTERVAL };
            metadata.utc_update = now.unix_nanos() as f64 / 1e9;
            self.store.put_metadata(&metadata).await?;
        }
        self.store.put_status(&status).await
    }
}

/// The metadata that lies in the store, and when it is to be written again all the same.
#[derive(Default)]
struct Written {
    metadata: Option<InstanceMetadata>,
    due: Moment,
}
