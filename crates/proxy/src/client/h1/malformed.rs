//! What can be wrong with what an upstream says.

use thiserror::Error;

/// Bytes that are not the HTTP/1.1 response they should be. The connection they came by is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Malformed {
    #[error("it does not begin like an HTTP/1 response")]
    NotHttp,
    #[error("{0}")]
    Head(#[from] httparse::Error),
    #[error("a header field is not valid")]
    Field,
    #[error("the response head exceeds {limit} bytes")]
    HeadTooLong { limit: usize },
    #[error("the upstream switches to a protocol that was not asked for")]
    Upgrade,
    #[error("Content-Length is not a number, or several that differ")]
    ContentLength,
    #[error("Transfer-Encoding is something else than chunked, or in an HTTP/1.0 response")]
    TransferEncoding,
    #[error("both Transfer-Encoding and Content-Length")]
    TwoLengths,
    #[error("a chunk's size is not valid")]
    ChunkSize,
    #[error("a chunk is longer than its size")]
    ChunkEnd,
    #[error("chunk extensions are too long or contain a line break")]
    ChunkExtension,
    #[error("the trailers are not valid or too long")]
    Trailers,
}
