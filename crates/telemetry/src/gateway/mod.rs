//! Events of the gateway: one call per thing that happened, with the moment it did.
//!
//! A [`Request`] settles exactly once: by [`Request::finish`], or when it is dropped, as cancelled by the client.

mod metrics;
mod request;
mod span;

use std::sync::Arc;

use http::HeaderMap;

use metrics::Metrics;
pub use metrics::Rejection;
pub use request::{Fallback, Request, Retry, Usage};

use crate::Telemetry;
use crate::clock::Moment;
use crate::span::Tracer;

/// The gateway's recorder. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

struct Shared {
    tracer: Tracer,
    metrics: Metrics,
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

impl Gateway {
    /// A recorder that knows `served` models: their series exist from now on, at zero. Requests for any other model are
    /// counted under `unknown`, so that a client cannot make series.
    pub fn new<'a>(telemetry: &Telemetry, served: impl IntoIterator<Item = &'a str>) -> Self {
        let metrics = Metrics::new(telemetry.registry());
        served.into_iter().for_each(|model| metrics.serve(model));
        Self {
            shared: Arc::new(Shared {
                tracer: telemetry.tracer().beginning(crate::attributes::gateway::REQUEST),
                metrics,
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

    /// Begins a request. Every request that reaches a handler is begun, whatever becomes of it.
    pub fn begin(&self, begin: Begin<'_>) -> Request {
        Request::new(Arc::clone(&self.shared), begin)
    }
}

#[cfg(test)]
mod tests;
