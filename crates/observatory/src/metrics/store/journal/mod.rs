//! Samples on the disk, so that they outlive the process.
//!
//! Everything that one appender takes becomes one record, written when its readers may go on: a process that is killed loses
//! the batch that was coming in, a power cut what came since the last [`Journal::current`] file was brought onto the disk. A
//! file names each series once, and says of a sample by how much it differs from the one before; so it can be read, and
//! deleted, by itself.

mod codec;
mod mark;
mod read;

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use codec::{Entry, Writer};
use mark::mark;
use read::Reader;

use super::chunk::Sample;
use super::exemplars::Exemplar;
use super::inner::Inner;
use super::named::Named;
use super::types::{Limits, Metadata, millis};
use crate::disk::{DiskError, Health, Log, Replayed};
use crate::metrics::Labels;

/// Bytes after which a file is ended: ten thousand series take about half an hour. Tests want many files.
const FILE_BYTES: u64 = if cfg!(test) { 2 << 10 } else { 16 << 20 };
/// Bytes after which a batch is written before it is complete.
const BATCH_BYTES: usize = 4 << 20;

/// What is written.
#[derive(Debug)]
pub(super) struct Journal {
    log: Log,
    /// The file that names the series below `next`, and describes the families.
    file: u64,
    next: u32,
    described: HashSet<Arc<str>>,
    batch: Writer,
    /// The latest time of a sample of the batch.
    latest: i64,
}

impl Journal {
    /// Reads a folder back into an empty store, and goes on in a new file.
    pub(super) fn open(
        folder: &Path,
        inner: &mut Inner,
        limits: Limits,
        now: i64,
    ) -> Result<(Self, Replayed), DiskError> {
        let mut reader = Reader::new(inner, limits, now);
        let (mut log, replayed) = Log::open(folder, FILE_BYTES, |file, record| reader.record(file, record))?;
        log.forget(mark(now.saturating_sub(millis(limits.retention))));
        let journal =
            Self { log, file: u64::MAX, next: 0, described: HashSet::new(), batch: Writer::default(), latest: 0 };
        Ok((journal, replayed))
    }

    pub(super) fn health(&self) -> &Arc<Health> {
        self.log.health()
    }

    /// The file that is written to, to be brought onto the disk.
    pub(super) fn current(&self) -> Option<Arc<File>> {
        self.log.current()
    }

    /// Deletes the files of which every sample is older.
    pub(super) fn forget(&mut self, before: i64) {
        self.log.forget(mark(before));
    }

    /// A batch begins.
    pub(super) fn begin(&mut self) {
        if self.log.file() != self.file {
            self.file = self.log.file();
            self.next = 0;
            self.described.clear();
        }
    }

    /// Adds a sample.
    pub(super) fn sample(&mut self, named: &mut Named, labels: &Labels, sample: Sample) {
        let id = self.id(named, labels);
        self.batch.sample(id, sample);
        self.latest = self.latest.max(sample.at);
        if self.batch.len() > BATCH_BYTES {
            self.commit();
            self.begin();
        }
    }

    /// Adds an exemplar.
    pub(super) fn exemplar(&mut self, named: &mut Named, labels: &Labels, exemplar: &Exemplar) {
        let id = self.id(named, labels);
        self.batch.entry(&Entry::Exemplar { id, exemplar: exemplar.clone() });
        self.latest = self.latest.max(exemplar.at);
    }

    /// Adds what a family is; `changed` says that it was something else before.
    pub(super) fn describe(&mut self, name: &Arc<str>, metadata: &Metadata, changed: bool) {
        if self.described.insert(Arc::clone(name)) || changed {
            self.batch.entry(&Entry::Family { name: name.to_string(), metadata: metadata.clone() });
        }
    }

    /// Writes the batch.
    pub(super) fn commit(&mut self) {
        if self.batch.len() > 0 {
            self.log.append(self.batch.bytes(), mark(self.latest));
            self.batch.clear();
        }
    }

    fn id(&mut self, named: &mut Named, labels: &Labels) -> u32 {
        if named.file != self.file {
            *named = Named { file: self.file, id: self.next };
            self.next += 1;
            self.batch.entry(&Entry::Series { id: named.id, labels: labels.clone() });
        }
        named.id
    }
}

#[cfg(test)]
mod tests;
