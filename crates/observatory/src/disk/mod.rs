//! What outlives the process: a folder that one process at a time writes to, and logs of records in it.
//!
//! A [`Log`] knows nothing of what its records say. Whoever keeps one says with each record until when it matters, by a mark
//! that only grows; a file of which every mark has passed is deleted, and so the disk is bounded by what bounds the memory.
//! Nothing on the disk stops a start: what is torn or damaged is passed over, counted, and said.

mod error;
mod health;
mod log;

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::DiskError;
pub(crate) use health::Health;
pub(crate) use log::{Log, Replayed};

/// Waits until what was written to a file is on the disk, so that a power cut leaves it there.
pub(crate) fn sync(file: Option<Arc<File>>, what: &str) {
    if let Some(Err(error)) = file.map(|file| file.sync_data()) {
        tracing::warn!(%error, what, "what came lately may be lost in a power cut");
    }
}

/// The folder, held for this process until it is released or the process ends, however it does.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    lock: File,
}

impl DataDir {
    /// Makes the folder where it is missing, and takes it.
    pub(crate) fn open(path: &Path) -> Result<Self, DiskError> {
        fs::create_dir_all(path).map_err(DiskError::unusable(path))?;
        let file = path.join("lock");
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&file)
            .map_err(DiskError::unusable(&file))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // Who cannot be read is "another process".
                let _ = lock.read_to_string(&mut owner);
                let owner = owner.trim();
                let owner = if owner.is_empty() { "another process".to_owned() } else { format!("process {owner}") };
                return Err(DiskError::InUse { path: path.to_owned(), owner });
            }
            Err(TryLockError::Error(source)) => return Err(DiskError::unusable(&file)(source)),
        }
        let written = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(DiskError::unusable(&file))?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// A folder within.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Lets another process have it. Nothing may be written afterwards.
    pub(crate) fn release(&self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(path = %self.path.display(), %error, "the data directory stays locked until this process ends");
        }
    }
}

#[cfg(test)]
mod tests;
