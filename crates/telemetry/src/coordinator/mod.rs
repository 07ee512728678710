//! Events of the P/D coordinator: one call per thing that happened, with the moment it did.
//!
//! A [`Request`] collects the points of one request and settles exactly once: by [`Request::finish`], or when it is
//! dropped, as cancelled by the client. Settling computes the numbers once and gives the same ones to the metrics, the
//! spans and the log line.

mod in_flight;
pub(crate) mod labels;
mod metrics;
mod request;
mod spans;
mod step;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

pub use in_flight::InFlight;
pub use labels::{Connector, Denial};
use metrics::Metrics;
pub use request::Request;
use step::StepAverage;

use crate::Telemetry;
use crate::client::{ClientTerms, ClientWatch};
use crate::clock::{Moment, now};
pub use crate::origin::{ELAPSED_US, Origin, REQUEST_START, TtftOrigin};
use crate::span::Tracer;

/// The coordinator's recorder: metrics, tracer and the decoder's average step. Cheap to clone.
#[derive(Clone)]
pub struct Coordinator {
    shared: Arc<Shared>,
}

struct Shared {
    tracer: Tracer,
    metrics: Metrics,
    step: StepAverage,
    in_flight: in_flight::Registry,
    clients: ClientWatch,
}

/// What is known when a request's head has been parsed.
#[derive(Clone, Copy, Debug)]
pub struct Begin<'a> {
    /// When the head had been parsed.
    pub received: Moment,
    /// The API's name (`chat_completions`).
    pub api: &'static str,
    /// The request's path.
    pub path: &'a str,
    /// The configured protocol.
    pub connector: Connector,
    /// The request id that both legs carry.
    pub request_id: &'a str,
    /// The model, where it is known already; else [`Request::model`].
    pub model: Option<&'a str>,
    /// Whether the client wants a stream, where it is known already; else [`Request::streaming`].
    pub streaming: bool,
    /// The request's headers: trace context and origin are read from them.
    pub headers: &'a HeaderMap,
}

impl Coordinator {
    /// A recorder whose series for `connector` exist from now on, at zero.
    pub fn new(telemetry: &Telemetry, connector: Connector) -> Self {
        Self::with_terms(telemetry, connector, ClientTerms::default())
    }

    /// The same, with terms of its own for its clients.
    pub fn with_terms(telemetry: &Telemetry, connector: Connector, terms: ClientTerms) -> Self {
        let metrics = Metrics::new(telemetry.registry());
        metrics.of(connector);
        let shared = Shared {
            tracer: telemetry.tracer().beginning(crate::attributes::pd::REQUEST),
            metrics,
            step: StepAverage::default(),
            in_flight: in_flight::Registry::default(),
            clients: ClientWatch::new(telemetry.registry(), terms),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The pods of the inference pool could not be read; those last seen stay allowed.
    pub fn pool_refresh_failed(&self) {
        self.shared.metrics.pool_refresh_failed();
    }

    /// Requests that have begun and not ended, in the order in which they came.
    pub fn in_flight(&self) -> Vec<InFlight> {
        self.shared.in_flight.list()
    }

    /// A first token took this long from the kernel's taking it to its having left.
    pub fn egress_delay(&self, delay: Duration) {
        self.shared.clients.egress(now(), delay);
    }

    /// Begins a request. Every request that reaches a handler is begun, whatever becomes of it.
    pub fn begin(&self, begin: Begin<'_>) -> Request {
        Request::new(Arc::clone(&self.shared), begin)
    }
}

#[cfg(test)]
mod tests;
