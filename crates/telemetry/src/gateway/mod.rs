//! Events of the gateway: one call per thing that happened, with the moment it did.
//!
//! A [`Request`] settles exactly once: by [`Request::finish`], or when it is dropped, as cancelled by the client.

mod metrics;
mod request;
mod span;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use metrics::Metrics;
pub use metrics::{CallOutcome, PlacedBy, Rejection, SchedulerCall};
pub use request::{Fallback, Request, Retry, Usage};

use crate::Telemetry;
use crate::client::{ClientTerms, ClientWatch};
use crate::clock::{Moment, now};
use crate::span::Tracer;

/// The gateway's recorder. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

struct Shared {
    tracer: Tracer,
    metrics: Metrics,
    clients: ClientWatch,
}

/// What became of a copy of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorOutcome {
    /// It was served.
    Answered,
    /// It was answered with an error.
    Refused,
    /// It was not answered.
    Failed,
    /// It took too long.
    TimedOut,
    /// There was no room for it, or no time left.
    Dropped,
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
    /// The request id.
    pub request_id: &'a str,
    /// The request's headers: the trace context is read from them.
    pub headers: &'a HeaderMap,
}

/// Connections to engines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Waiting for a request.
    pub idle: usize,
    /// Serving one.
    pub active: usize,
}

impl Gateway {
    /// A recorder that knows `served` models: their series exist from now on, at zero. Requests for any other model are
    /// counted under `unknown`, so that a client cannot make series.
    pub fn new<'a>(telemetry: &Telemetry, served: impl IntoIterator<Item = &'a str>) -> Self {
        Self::with_terms(telemetry, served, ClientTerms::default())
    }

    /// The same, with terms of its own for its clients.
    pub fn with_terms<'a>(
        telemetry: &Telemetry,
        served: impl IntoIterator<Item = &'a str>,
        terms: ClientTerms,
    ) -> Self {
        let metrics = Metrics::new(telemetry.registry());
        served.into_iter().for_each(|model| metrics.serve(model));
        Self {
            shared: Arc::new(Shared {
                tracer: telemetry.tracer().beginning(crate::attributes::gateway::REQUEST),
                metrics,
                clients: ClientWatch::new(telemetry.registry(), terms),
            }),
        }
    }

    /// A model is served from now on.
    pub fn serve(&self, model: &str) {
        self.shared.metrics.serve(model);
    }

    /// A copy of a request has ended.
    pub fn mirrored(&self, outcome: MirrorOutcome) {
        self.shared.metrics.mirrored[outcome as usize].inc();
    }

    /// Has the connections to engines counted whenever somebody scrapes.
    pub fn watch_connections(&self, count: impl Fn() -> Connections + Clone + Send + Sync + 'static) {
        self.shared.metrics.watch_connections(count);
    }

    /// A first token took this long from the kernel's taking it to its having left.
    pub fn egress_delay(&self, delay: Duration) {
        self.shared.clients.egress(now(), delay);
    }

    /// A scheduler was asked or told something.
    pub fn scheduler_call(&self, call: SchedulerCall, outcome: CallOutcome) {
        self.shared.metrics.scheduler_call(call, outcome);
    }

    /// Begins a request. Every request that reaches a handler is begun, whatever becomes of it.
    pub fn begin(&self, begin: Begin<'_>) -> Request {
        Request::new(Arc::clone(&self.shared), begin)
    }
}

#[cfg(test)]
mod tests;
