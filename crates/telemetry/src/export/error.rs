//! Why spans could not be exported.

/// What went wrong with a destination or a delivery.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file cannot be made or written.
    #[error("cannot write {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
}
