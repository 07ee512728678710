//! Asking a collector for the strategy, again and again.
//!
//! Two transports carry the same answer: HTTP with JSON (`GET /sampling?service=…`, Jaeger's port 5778 and its
//! descendants) and gRPC (`SamplingManager/GetSamplingStrategy`, port 14250, which is what the OpenTelemetry
//! specification means). A poll that fails leaves the last strategy in force; every poll is counted, and of a row of
//! failures the first is logged.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST, TE};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use tokio_util::sync::CancellationToken;

use super::strategy::{Strategies, Strategy};
use super::{JaegerRemote, protobuf};
use crate::export::ExportError;
use crate::metrics::Counter;
use crate::otlp::{Connector, TlsFiles};

/// The port whose protocol is gRPC.
const GRPC_PORT: u16 = 14250;
const GRPC_PATH: &str = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy";
/// Where strategies are served over HTTP, unless the endpoint has a path of its own.
const HTTP_PATH: &str = "/sampling";
/// Time for one poll.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A strategy is a few lines; more than this is not read.
const MAX_ANSWER: usize = 1 << 20;

/// The task that asks.
pub(crate) struct Poll {
    endpoint: Uri,
    interval: Duration,
    service: String,
    grpc: bool,
    connector: Connector,
    strategies: Arc<Strategies>,
    succeeded: Counter,
    failed: Counter,
}

impl Poll {
    /// Asks for the strategy of `service` and puts it into `strategies`. Of the counters the first counts answers, the
    /// second failures.
    pub(crate) fn new(
        remote: &JaegerRemote,
        service: &str,
        strategies: &Arc<Strategies>,
        counters: [Counter; 2],
    ) -> Result<Self, ExportError> {
        let grpc = remote.endpoint.port_u16() == Some(GRPC_PORT);
        Self::over(grpc, remote, service, strategies, counters)
    }

    /// The same over the transport that the caller says.
    pub(super) fn over(
        grpc: bool,
        remote: &JaegerRemote,
        service: &str,
        strategies: &Arc<Strategies>,
        [succeeded, failed]: [Counter; 2],
    ) -> Result<Self, ExportError> {
        Ok(Self {
            endpoint: remote.endpoint.clone(),
            interval: remote.polling_interval,
            service: service.to_owned(),
            grpc,
            connector: Connector::to(&remote.endpoint, grpc, &TlsFiles::default())?,
            strategies: Arc::clone(strategies),
            succeeded,
            failed,
        })
    }

    /// Asks at once and then at every interval, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            let mut failing = false;
            loop {
                failing = self.poll(failing).await;
                tokio::time::sleep(self.interval).await;
            }
        })
        .await;
    }

    /// One poll; says whether it failed.
    async fn poll(&self, failed_before: bool) -> bool {
        let answer = tokio::time::timeout(TIMEOUT, self.fetch()).await.unwrap_or(Err(ExportError::Timeout));
        match answer {
            Ok(strategy) => {
                self.succeeded.inc();
                self.strategies.set(strategy);
                if failed_before {
                    tracing::info!(endpoint = %self.endpoint, "the sampling strategy can be read again");
                }
                false
            }
            Err(error) => {
                self.failed.inc();
                if !failed_before {
                    tracing::warn!(endpoint = %self.endpoint, "cannot read the sampling strategy, the last one stays: {error}");
                }
                true
            }
        }
    }

    async fn fetch(&self) -> Result<Strategy, ExportError> {
        let mut connection = self.connector.connect().await?;
        let (mut head, body) = connection.send(self.request()).await?.into_parts();
        let collected = Limited::new(body, MAX_ANSWER).collect().await.map_err(ExportError::Answer)?;
        if let Some(trailers) = collected.trailers() {
            head.headers.extend(trailers.clone());
        }
        if !head.status.is_success() {
            return Err(ExportError::Refused { status: head.status.to_string() });
        }
        let body = collected.to_bytes();
        let strategy = if self.grpc {
            let status =
                head.headers.get("grpc-status").map_or("missing", |status| status.to_str().unwrap_or("garbled"));
            if status != "0" {
                return Err(ExportError::Refused { status: format!("gRPC status {status}") });
            }
            protobuf::strategy(&body)
        } else {
            Strategy::from_json(&body)
        };
        strategy.map_err(|error| ExportError::Answer(error.into()))
    }

    fn request(&self) -> Request<Full<Bytes>> {
        if self.grpc { self.call() } else { self.get() }
    }

    /// `GET /sampling?service=…`
    fn get(&self) -> Request<Full<Bytes>> {
        let path = match self.endpoint.path() {
            "" | "/" => HTTP_PATH,
            path => path,
        };
        let mut request = Request::new(Full::default());
        // A path and an escaped name make a legal target.
        *request.uri_mut() = format!("{path}?service={}", escape(&self.service)).parse().unwrap_or_default();
        if let Some(host) = self.endpoint.authority().and_then(|host| host.as_str().parse().ok()) {
            request.headers_mut().insert(HOST, host);
        }
        request
    }

    /// `GetSamplingStrategy(SamplingStrategyParameters { serviceName })`
    fn call(&self) -> Request<Full<Bytes>> {
        let parameters = protobuf::parameters(&self.service);
        let mut framed = BytesMut::with_capacity(parameters.len() + 5);
        framed.put_u8(0);
        framed.put_u32(u32::try_from(parameters.len()).unwrap_or(u32::MAX));
        framed.put_slice(&parameters);
        let mut request = Request::new(Full::new(framed.freeze()));
        *request.method_mut() = Method::POST;
        let uri = Uri::builder()
            .scheme(self.endpoint.scheme_str().unwrap_or("http"))
            .authority(self.endpoint.authority().map_or("localhost", |authority| authority.as_str()))
            .path_and_query(GRPC_PATH);
        *request.uri_mut() = uri.build().unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        request
    }
}

/// Percent-encodes whatever is not an unreserved character.
fn escape(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}
