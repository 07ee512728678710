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
    /// How it is now, with a time stamp and an `update_id` above the last one's.
    fn status(&mut self) -> InstanceStatus;

    /// The last status reached the store: what it listed as recent need not be listed again.
    fn published(&mut self) {}
}

/// What and where to publish.
#[derive(Debug)]
pub struct Publisher {
    /// Where to.
    pub store: Store,
    /// What the instance is.
    pub metadata: InstanceMetadata,
    /// Notified when the status changes.
    pub changes: Arc<Notify>,
    /// Statuses are this far apart at least. Upstream's llumlet: 40 ms.
    pub min_interval: Duration,
}

impl Publisher {
    /// Publishes until `drain` begins; then removes the records, so that nobody sends anything here any more.
    ///
    /// A store that cannot be written to is tried again until it can, with what is true by then. Nothing is queued.
    pub async fn run(mut self, mut reporter: impl Reporter, drain: Drain) {
        tokio::select! {
            () = drain.begun() => {}
            () = self.publish(&mut reporter) => {}
        }
        let id = &self.metadata.instance_id;
        match self.store.remove(id).await {
            Ok(()) => tracing::info!(instance = id, "CMS records removed"),
            Err(error) => tracing::warn!(instance = id, %error, "CMS records not removed; they expire"),
        }
    }

    async fn publish(&mut self, reporter: &mut impl Reporter) {
        let mut metadata_due = clock::now();
        let mut failing = false;
        loop {
            match self.write(reporter, &mut metadata_due).await {
                Ok(()) => {
                    if failing {
                        tracing::info!(instance = self.metadata.instance_id, "CMS records are written again");
                    }
                    failing = false;
                    tokio::time::sleep(self.min_interval).await;
                    // A change during the pause above is remembered.
                    let _ = tokio::time::timeout(IDLE_INTERVAL, self.changes.notified()).await;
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(instance = self.metadata.instance_id, %error, "CMS records not written; trying on");
                    }
                    failing = true;
                    // Whatever came back may have come back empty.
                    metadata_due = clock::now();
                    tokio::time::sleep(RETRY_INTERVAL.max(self.min_interval)).await;
                }
            }
        }
    }

    async fn write(&mut self, reporter: &mut impl Reporter, metadata_due: &mut Moment) -> Result<(), StoreError> {
        let now = clock::now();
        if now >= *metadata_due {
            self.metadata.utc_update = now.unix_nanos() as f64 / 1e9;
            self.store.put_metadata(&self.metadata).await?;
            *metadata_due = now + METADATA_INTERVAL;
        }
        self.store.put_status(&reporter.status()).await?;
        reporter.published();
        Ok(())
    }
}
