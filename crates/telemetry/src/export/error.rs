//! Why spans could not be exported.

use std::error::Error;
use std::io;
use std::path::Path;

/// What went wrong with a destination or a delivery.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file cannot be made or written.
    #[error("cannot write {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A certificate or key file cannot be used.
    #[error("cannot use {path}: {what}")]
    Pem {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The endpoint is not a URL with a host.
    #[error("{0} is not a URL with a host")]
    Endpoint(String),
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The connection broke.
    #[error("connection failed: {0}")]
    Http(#[from] hyper::Error),
    /// The answer could not be read.
    #[error("cannot read the answer: {0}")]
    Answer(Box<dyn Error + Send + Sync>),
    /// No answer in time.
    #[error("timed out")]
    Timeout,
    /// The process stops: its threads take no more work.
    #[error("stopping")]
    Stopped,
    /// The receiver said no.
    #[error("refused: {status}")]
    Refused {
        /// HTTP or gRPC status.
        status: String,
    },
}

impl ExportError {
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.display().to_string(), source }
    }

    pub(crate) fn pem(path: &Path, error: &dyn Error) -> Self {
        Self::Pem { path: path.display().to_string(), what: error.to_string() }
    }
}
