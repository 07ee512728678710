//! How a log fares, to be read by whoever shows it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one log.
#[derive(Debug, Default)]
pub(crate) struct Health {
    bytes: AtomicU64,
    failures: AtomicU64,
    damaged: AtomicU64,
}

impl Health {
    /// Bytes of its files.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Records that could not be written.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Records, ends of files and whole files that could not be read back.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    pub(super) fn grown(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn shrunk(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lost(&self, count: u64) {
        self.damaged.fetch_add(count, Ordering::Relaxed);
    }
}
