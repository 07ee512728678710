//! Spans on the disk, so that they outlive the process.
//!
//! What arrives is appended as OTLP's own message. A record matters for as long as one of its spans is in memory, so its mark
//! is the number of the last of them.

use std::path::Path;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use parking_lot::Mutex;
use prost::Message;
use telemetry::clock::Moment;

use super::store::SpanStore;
use crate::disk::{DiskError, Health, Log, Replayed, sync};

/// Bytes after which a file is ended.
const FILE_BYTES: u64 = 8 << 20;

/// The log.
#[derive(Debug)]
pub struct SpanLog {
    log: Mutex<Log>,
}

impl SpanLog {
    /// Opens the folder, reads what is there into the store, and goes on in a new file.
    pub(crate) fn open(folder: &Path, store: &SpanStore, now: Moment) -> Result<(Self, Replayed), DiskError> {
        let (mut log, replayed) = Log::open(folder, FILE_BYTES, |_, record| {
            let request = ExportTraceServiceRequest::decode(record).ok()?;
            store.insert(&request.resource_spans, now);
            Some(store.range().1)
        })?;
        log.forget(first_wanted(store));
        Ok((Self { log: Mutex::new(log) }, replayed))
    }

    /// Appends what has been added to the store.
    pub fn append(&self, request: &ExportTraceServiceRequest, store: &SpanStore) {
        let message = request.encode_to_vec();
        let mut log = self.log.lock();
        log.append(&message, store.range().1);
        log.forget(first_wanted(store));
    }

    /// Deletes what the store has let go.
    pub fn forget(&self, store: &SpanStore) {
        self.log.lock().forget(first_wanted(store));
    }

    /// Waits until what was appended so far is on the disk.
    pub(crate) fn sync(&self) {
        sync(self.log.lock().current(), "spans");
    }

    pub(crate) fn health(&self) -> Arc<Health> {
        Arc::clone(self.log.lock().health())
    }
}

/// The least mark that is still wanted: a record's is the number after its last span.
fn first_wanted(store: &SpanStore) -> u64 {
    store.range().0 + 1
}
