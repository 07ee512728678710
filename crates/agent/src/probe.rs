//! Asking the engine and the sidecar.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use proxy::body::collect;
use proxy::client::{Client, ClientConfig, ClientError};
use proxy::{Body, Target};
use serde::Deserialize;
use telemetry::clock::{self, Moment};
use telemetry::exposition::{self, ParseError};

use crate::estimate::Flight;
use crate::observation::{NoEngine, Observation};

/// Longest answer that is read: an engine with thousands of series.
const MAX_ANSWER: usize = 16 << 20;

/// Why nothing was learnt.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// No answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No answer in time.
    #[error("it did not answer within {0:?}")]
    Late(Duration),
    /// An answer that says no.
    #[error("it answered {path} with {status}")]
    Status {
        /// What was asked for.
        path: &'static str,
        /// What came.
        status: StatusCode,
    },
    /// An answer that does not end.
    #[error("its answer could not be read: {0}")]
    Body(String),
    /// An answer that is no exposition.
    #[error("its /metrics cannot be read: {0}")]
    Exposition(#[from] ParseError),
    /// Somebody else's metrics.
    #[error(transparent)]
    NoEngine(#[from] NoEngine),
    /// An answer that is no list of requests.
    #[error("its requests in flight cannot be read: {0}")]
    Json(#[from] serde_json::Error),
}

/// Asks, and waits for so long.
#[derive(Debug)]
pub(crate) struct Probe {
    client: Client,
    patience: Duration,
}

#[derive(Deserialize)]
struct InFlight {
    requests: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    decode_seconds: Option<f64>,
    streaming: bool,
    first_token: bool,
}

impl Probe {
    pub(crate) fn new(patience: Duration) -> Self {
        let client = Client::new(ClientConfig { connect_timeout: patience, ..ClientConfig::default() });
        Self { client, patience }
    }

    /// The engine's health and numbers, and when they were asked for.
    pub(crate) async fn engine(&self, engine: &Target, rank: Option<u16>) -> Result<(Moment, Observation), ProbeError> {
        self.get(engine, "/health").await?;
        let begun = clock::now();
        let text = self.get(engine, "/metrics").await?;
        let scrape = exposition::parse(&String::from_utf8_lossy(&text))?;
        Ok((begun, Observation::read(&scrape, rank)?))
    }

    /// The requests that the sidecar has sent to the engine.
    pub(crate) async fn flights(&self, sidecar: &Target) -> Result<Vec<Flight>, ProbeError> {
        let text = self.get(sidecar, "/in-flight").await?;
        let now = clock::now();
        let listed: InFlight = serde_json::from_slice(&text)?;
        let flights = listed.requests.into_iter().filter_map(|listed| {
            let ago = Duration::try_from_secs_f64(listed.decode_seconds?).ok()?;
            let Listed { id, streaming, first_token, .. } = listed;
            Some(Flight { id: id.into(), sent: now - ago, streaming, first_token })
        });
        Ok(flights.collect())
    }

    async fn get(&self, target: &Target, path: &'static str) -> Result<Bytes, ProbeError> {
        let exchange = async {
            let mut request = Request::new(Body::Empty);
            *request.uri_mut() = http::Uri::from_static(path);
            let (head, body) = self.client.send(target, request).await?.into_parts();
            if !head.status.is_success() {
                return Err(ProbeError::Status { path, status: head.status });
            }
            collect(body, MAX_ANSWER).await.map_err(|error| ProbeError::Body(error.to_string()))
        };
        tokio::time::timeout(self.patience, exchange).await.unwrap_or(Err(ProbeError::Late(self.patience)))
    }
}
