//! Sending batches: encode, send, and again where that may help.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, TE};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};

use super::connection::{Connection, Connector};
use super::reply::{Attempt, of_grpc, of_http};
use super::{OtlpConfig, Protocol, Resource, encode_json, protobuf};
use crate::export::{ExportError, aside};
use crate::span::SpanRecord;

/// The method that takes spans.
const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// First wait between attempts; each is one and a half times the one before.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait between attempts.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// A receiver's answer is a few bytes; more than this is not read.
const MAX_ANSWER: usize = 1 << 20;

/// A receiver and the connection to it, kept open between batches.
pub(crate) struct Client {
    config: OtlpConfig,
    resource: Arc<Resource>,
    connector: Connector,
    connection: Option<Connection>,
}

impl Client {
    /// A client; connects with the first batch.
    pub(crate) fn new(config: OtlpConfig, resource: Resource) -> Result<Self, ExportError> {
        let connector = Connector::new(&config)?;
        Ok(Self { config, resource: Arc::new(resource), connector, connection: None })
    }

    /// Delivers a batch; retries for as long as the caller lets it. Says how many spans the receiver rejected.
    pub(crate) async fn send(&mut self, spans: Vec<SpanRecord>) -> Result<u64, ExportError> {
        let (resource, protocol, compressed) = (Arc::clone(&self.resource), self.config.protocol, self.config.gzip);
        let body = aside(move || encode(&resource, &spans, protocol, compressed)).await?;
        let mut wait = FIRST_WAIT;
        loop {
            match self.attempt(body.clone()).await {
                Attempt::Delivered { rejected } => return Ok(rejected),
                Attempt::Refused(error) => return Err(error),
                Attempt::Retry { error, after } => {
                    tracing::debug!(%error, "spans not delivered, trying again");
                    tokio::time::sleep(after.unwrap_or(wait)).await;
                    wait = (wait * 3 / 2).min(MAX_WAIT);
                }
            }
        }
    }

    async fn attempt(&mut self, body: Bytes) -> Attempt {
        match tokio::time::timeout(self.config.timeout, self.exchange(body)).await {
            Ok(Ok(attempt)) => attempt,
            Ok(Err(error)) => {
                self.connection = None;
                Attempt::Retry { error, after: None }
            }
            Err(_) => {
                self.connection = None;
                Attempt::Retry { error: ExportError::Timeout, after: None }
            }
        }
    }

    async fn exchange(&mut self, body: Bytes) -> Result<Attempt, ExportError> {
        let request = self.request(body);
        let mut connection = match self.connection.take().filter(Connection::is_open) {
            Some(connection) => connection,
            None => self.connector.connect().await?,
        };
        let (mut head, body) = connection.send(request).await?.into_parts();
        let collected = Limited::new(body, MAX_ANSWER).collect().await.map_err(ExportError::Answer)?;
        if let Some(trailers) = collected.trailers() {
            head.headers.extend(trailers.clone());
        }
        let body = collected.to_bytes();
        self.connection = Some(connection);
        Ok(match self.config.protocol {
            Protocol::Grpc if head.status.is_success() => of_grpc(&head.headers, &body),
            _ => of_http(head.status, &head.headers, &body),
        })
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        let config = &self.config;
        let grpc = config.protocol == Protocol::Grpc;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri();
        let content_type = match config.protocol {
            Protocol::HttpProtobuf => "application/x-protobuf",
            Protocol::HttpJson => "application/json",
            Protocol::Grpc => "application/grpc",
        };
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if grpc {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        } else if let Some(host) = config.endpoint.authority().and_then(|host| host.as_str().parse().ok()) {
            headers.insert(HOST, host);
        }
        if config.gzip {
            let name = if grpc { HeaderName::from_static("grpc-encoding") } else { CONTENT_ENCODING };
            headers.insert(name, HeaderValue::from_static("gzip"));
        }
        headers.extend(config.headers.iter().cloned());
        request
    }

    /// Absolute for gRPC, as HTTP/2 wants it; the path alone for HTTP/1.1.
    fn uri(&self) -> Uri {
        let endpoint = &self.config.endpoint;
        let path = endpoint.path_and_query().map_or("/", |path| path.as_str());
        let wanted = match self.config.protocol {
            Protocol::Grpc => Uri::builder()
                .scheme(endpoint.scheme_str().unwrap_or("http"))
                .authority(endpoint.authority().map_or("localhost", |authority| authority.as_str()))
                .path_and_query(GRPC_PATH)
                .build(),
            _ => Uri::builder().path_and_query(path).build(),
        };
        wanted.unwrap_or_else(|_| endpoint.clone())
    }
}

/// One export request as the protocol wants it.
fn encode(resource: &Resource, spans: &[SpanRecord], protocol: Protocol, compressed: bool) -> Bytes {
    let plain = match protocol {
        Protocol::HttpJson => encode_json(resource, spans),
        _ => protobuf::encode(resource, spans),
    };
    let message = if compressed { gzip(&plain) } else { plain };
    if protocol != Protocol::Grpc {
        return message.into();
    }
    // A gRPC message: whether it is compressed, its length, itself.
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(u8::from(compressed));
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(&message);
    framed.freeze()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    // Writing into a vector cannot fail.
    let _ = encoder.write_all(plain);
    encoder.finish().unwrap_or_default()
}
