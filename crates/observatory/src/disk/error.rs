//! Why a data directory cannot be used.

use std::io;
use std::path::{Path, PathBuf};

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// It cannot be made, read or written.
    #[error("cannot use {} to keep data in: {source}; check --data-dir", path.display())]
    Unusable {
        /// What was to be used.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{} is in use by {owner}: stop that one, or name another folder with --data-dir", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Who uses it.
        owner: String,
    },
}

impl DiskError {
    pub(super) fn unusable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Unusable { path, source }
    }
}
