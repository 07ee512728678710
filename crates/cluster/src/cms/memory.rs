//! A store for the components of one process.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use telemetry::clock::{self, Moment};

use super::EXPIRY;
use crate::records::{InstanceMetadata, InstanceStatus};

/// Records by instance id, each with when it was written. A write holds the lock for as long as exchanging a pointer takes.
#[derive(Debug, Default)]
pub(super) struct Memory {
    metadata: RwLock<Shelf<InstanceMetadata>>,
    statuses: RwLock<Shelf<InstanceStatus>>,
}

type Shelf<M> = BTreeMap<String, (Moment, Arc<M>)>;

impl Memory {
    pub(super) fn metadata(&self) -> Vec<Arc<InstanceMetadata>> {
        let now = clock::now();
        self.metadata.read().values().filter_map(|entry| fresh(entry, now)).collect()
    }

    pub(super) fn statuses<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Vec<Arc<InstanceStatus>> {
        let now = clock::now();
        let shelf = self.statuses.read();
        ids.into_iter().filter_map(|id| fresh(shelf.get(id)?, now)).collect()
    }

    pub(super) fn put_metadata(&self, metadata: InstanceMetadata) {
        let id = metadata.instance_id.clone();
        self.metadata.write().insert(id, (clock::now(), Arc::new(metadata)));
    }

    pub(super) fn put_status(&self, status: InstanceStatus) {
        let id = status.instance_id.clone();
        self.statuses.write().insert(id, (clock::now(), Arc::new(status)));
    }

    pub(super) fn remove(&self, id: &str) {
        self.metadata.write().remove(id);
        self.statuses.write().remove(id);
    }
}

fn fresh<M>((written, record): &(Moment, Arc<M>), now: Moment) -> Option<Arc<M>> {
    (now - *written < EXPIRY).then(|| Arc::clone(record))
}
