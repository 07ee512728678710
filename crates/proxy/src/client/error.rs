//! What can go wrong with an upstream, in the terms a caller decides by: whose fault, and is a retry safe.

use std::fmt;
use std::io;

use crate::BoxError;

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The host name has no address.
    Resolve,
    /// No connection: refused, unreachable, out of descriptors.
    Connect,
    /// No connection within the connect time-out (name resolution and TLS included).
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
    /// The connection ended before a byte of the response had come.
    ClosedBeforeResponse,
    /// No response head within [`super::ClientConfig::response_timeout`].
    ResponseTimeout,
    /// The connection ended within the response: half a head, or a body short of its length.
    ResetMidResponse,
    /// What came is not HTTP.
    Protocol,
    /// The request's own body failed (a client that left while uploading).
    RequestBody,
    /// The request cannot be sent as it is (a relative URI with no path, a forbidden method).
    InvalidRequest,
}

impl ErrorKind {
    /// A short stable name, fit for a label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::ClosedBeforeResponse => "closed_before_response",
            Self::ResponseTimeout => "response_timeout",
            Self::ResetMidResponse => "reset_mid_response",
            Self::Protocol => "protocol",
            Self::RequestBody => "request_body",
            Self::InvalidRequest => "invalid_request",
        }
    }

    /// The request never reached an engine: sending it elsewhere cannot run it twice.
    #[must_use]
    pub fn is_connect(self) -> bool {
        matches!(self, Self::Resolve | Self::Connect | Self::ConnectTimeout | Self::Tls)
    }
}

/// A failed exchange with an upstream.
#[derive(Debug)]
pub struct ClientError {
    kind: ErrorKind,
    reused: bool,
    response_started: bool,
    source: Option<BoxError>,
}

impl ClientError {
    pub(super) fn new(kind: ErrorKind, source: impl Into<Option<BoxError>>) -> Self {
        Self { kind, reused: false, response_started: false, source: source.into() }
    }

    pub(super) fn on(mut self, reused: bool, response_started: bool) -> Self {
        self.reused = reused;
        self.response_started = response_started;
        self
    }

    /// Sorts what hyper says; `response_started` tells whether any response byte had been read by then.
    pub(super) fn from_hyper(error: hyper::Error, response_started: bool) -> Self {
        let kind = if error.is_user() {
            ErrorKind::RequestBody
        } else if error.is_parse() || is_garbage(&error) {
            ErrorKind::Protocol
        } else if response_started {
            ErrorKind::ResetMidResponse
        } else {
            ErrorKind::ClosedBeforeResponse
        };
        Self::new(kind, BoxError::from(error)).on(false, response_started)
    }

    /// What failed.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether it happened on a connection that had served a request before.
    #[must_use]
    pub fn reused(&self) -> bool {
        self.reused
    }

    /// Whether any byte of the response had come.
    #[must_use]
    pub fn response_started(&self) -> bool {
        self.response_started
    }

    /// A pooled connection that the upstream had closed meanwhile: not a failure of this request.
    pub(super) fn is_stale(&self) -> bool {
        self.kind == ErrorKind::ClosedBeforeResponse && self.reused && !self.response_started
    }
}

/// A body whose framing is broken, as opposed to cut short.
fn is_garbage(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|io| matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput))
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::Resolve => "host name not resolved",
            ErrorKind::Connect => "connection failed",
            ErrorKind::ConnectTimeout => "connection timed out",
            ErrorKind::Tls => "TLS handshake failed",
            ErrorKind::ClosedBeforeResponse => "connection closed before a response",
            ErrorKind::ResponseTimeout => "no response head in time",
            ErrorKind::ResetMidResponse => "connection closed within the response",
            ErrorKind::Protocol => "response is not valid HTTP",
            ErrorKind::RequestBody => "request body failed",
            ErrorKind::InvalidRequest => "request cannot be sent",
        };
        f.write_str(what)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}
