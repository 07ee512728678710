//! The protobuf messages, by upstream's names and field numbers. The derive reads them off the attributes, so no compiler of
//! `.proto` files takes part in the build.

mod discovery;
pub mod llumlet;
mod metadata;
mod status;

pub use discovery::{InstanceDiscoveryInfo, PodDiscoveryInfo};
pub use metadata::InstanceMetadata;
pub use status::InstanceStatus;

/// A record that is not what its key promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record under {key:?} cannot be used: {problem}; whoever wrote it is at fault, and it is ignored")]
pub struct BadRecord {
    /// Where it lies.
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
}

impl BadRecord {
    /// `problem` with what lies under `key`.
    pub fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }
}

/// Reads the record that lies under `key`.
///
/// # Errors
/// When the bytes are no such message. An empty value is one too: a message of defaults names no instance, so nobody wrote it
/// on purpose.
pub fn decode<M: prost::Message + Default>(key: &str, bytes: &[u8]) -> Result<M, BadRecord> {
    if bytes.is_empty() {
        return Err(BadRecord::new(key, "it is empty"));
    }
    M::decode(bytes).map_err(|error| BadRecord::new(key, format!("{} bytes are no such message: {error}", bytes.len())))
}

#[cfg(test)]
mod tests;
