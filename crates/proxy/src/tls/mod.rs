//! TLS on both sides, with rustls over *ring*.
//!
//! The crypto provider is named in every configuration built here, never taken from the process default: which provider a
//! process-wide default resolves to depends on the features that some dependency happens to enable.

mod client;
mod server;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use thiserror::Error;

pub use client::ClientTls;
pub use server::ServerTls;

/// Why a TLS configuration could not be made.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file could not be read or holds no usable PEM block.
    #[error("{}: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// A file could not be looked at.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Certificate and key do not fit together, or are of a kind that is not supported.
    #[error("certificate not usable: {0}")]
    Config(#[from] rustls::Error),
    /// No self-signed certificate could be made.
    #[error("self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
}

/// Makes *ring* the process default too, for whatever is configured outside this crate. Later calls do nothing.
pub fn install_provider() {
    // An error means that a default exists already, which is as good.
    let _ = provider().as_ref().clone().install_default();
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
