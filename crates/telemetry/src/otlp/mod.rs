//! OTLP: the OpenTelemetry protocol, spans only.
//!
//! Our own encoder and client rather than a third HTTP stack: what is lost is a metric, nothing can panic in a thread that
//! nobody watches, and a span record becomes bytes without an object tree between.

mod client;
mod connection;
mod json;
mod protobuf;
mod reply;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

pub(crate) use client::Client;
pub(crate) use connection::Connector;
pub(crate) use json::encode as encode_json;
pub(crate) use wire::fields;

/// Where and how to send.
#[derive(Clone, Debug)]
pub struct OtlpConfig {
    /// The full URL for HTTP (`http://host:4318/v1/traces`); scheme and authority for gRPC.
    pub endpoint: Uri,
    /// Encoding and transport.
    pub protocol: Protocol,
    /// Headers (gRPC metadata) sent with every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Time for one attempt.
    pub timeout: Duration,
    /// Whether requests are compressed.
    pub gzip: bool,
    /// For `https`.
    pub tls: TlsFiles,
}

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Protobuf over HTTP/1.1.
    #[default]
    HttpProtobuf,
    /// JSON over HTTP/1.1.
    HttpJson,
    /// gRPC.
    Grpc,
}

/// PEM files for TLS; the system's roots where no certificate is named.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// Trusted certificates instead of the system's.
    pub certificate: Option<PathBuf>,
    /// The client's certificate chain.
    pub client_certificate: Option<PathBuf>,
    /// The client's key.
    pub client_key: Option<PathBuf>,
}

/// What identifies the sender in every request.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) version: String,
    pub(crate) limits: crate::SpanLimits,
}

impl OtlpConfig {
    /// A receiver at `endpoint`, without headers, compression or client certificate.
    pub fn new(endpoint: Uri, protocol: Protocol) -> Self {
        let timeout = Duration::from_secs(10);
        Self { endpoint, protocol, headers: Vec::new(), timeout, gzip: false, tls: TlsFiles::default() }
    }
}

#[cfg(test)]
mod tests;
