//! What HTTP and gRPC have in common: bodies, their compression, and what became of a request.

use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::Incoming;
use prost::Message;
use proxy::body::{CollectError, collect};

/// Most bytes of a body, packed and unpacked.
pub(super) const MAX_BODY: usize = 32 << 20;

/// What was left out of a request that was taken otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Partial {
    /// How many spans, samples or records.
    pub(super) rejected: i64,
    /// Why.
    pub(super) message: String,
}

/// Why a request was not taken. The text is for its sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// It is too long.
    #[error("the body exceeds {MAX_BODY} bytes: send smaller batches")]
    TooLarge,
    /// Neither protobuf nor JSON, or a compression nobody asked for.
    #[error("{0}")]
    Unsupported(String),
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Protobuf,
    Json,
}

/// The whole body, where it is not too long.
pub(super) async fn body_of(body: Incoming) -> Result<bytes::Bytes, Refusal> {
    collect(body, MAX_BODY).await.map_err(|error| match error {
        CollectError::TooLarge { .. } => Refusal::TooLarge,
        CollectError::Incomplete(error) => Refusal::Malformed(format!("the body ended early: {error}")),
    })
}

/// Whether the body is compressed, by the header that says so.
pub(super) fn packed(headers: &HeaderMap, name: &HeaderName) -> Result<bool, Refusal> {
    match headers.get(name).map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(other) => {
            let other = String::from_utf8_lossy(other);
            Err(Refusal::Unsupported(format!("{name} {other:?} is not supported: send gzip, or no compression")))
        }
    }
}

/// The message of a request that was taken. The three signals' answers differ in a member's name only.
#[derive(Clone, PartialEq, Message)]
struct Accepted {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// The answer to a request that was taken, in protobuf.
pub(super) fn accepted_message(partial: &Partial) -> Vec<u8> {
    let partial_success = (*partial != Partial::default())
        .then(|| PartialSuccess { rejected: partial.rejected, error_message: partial.message.clone() });
    Accepted { partial_success }.encode_to_vec()
}
