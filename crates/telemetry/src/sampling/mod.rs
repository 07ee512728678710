//! The samplers that OpenTelemetry names.
//!
//! [`Sampler`] is what the configuration says; a [`Decider`] decides, at a request's start, and costs a comparison where
//! nothing remote is involved.

mod bucket;
mod protobuf;
mod remote;
mod strategy;

use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use crate::clock::now;
use crate::trace::{TraceContext, TraceId};
pub(crate) use remote::Poll;
pub(crate) use strategy::Strategies;
use strategy::Strategy;

/// Which requests get spans.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampler {
    /// Follow the sampled flag of a parent where there is one.
    pub parent_based: bool,
    /// Traces without a parent (or all, where not parent based).
    pub roots: Roots,
}

/// How it is decided where no parent decides.
#[derive(Clone, Debug, PartialEq)]
pub enum Roots {
    /// This share of them, 0 to 1.
    Ratio(f64),
    /// As a Jaeger collector says.
    JaegerRemote(JaegerRemote),
}

/// Where strategies are asked for, as `OTEL_TRACES_SAMPLER_ARG` says it.
#[derive(Clone, Debug, PartialEq)]
pub struct JaegerRemote {
    /// The collector; without a path `/sampling` is asked. Port 14250 is asked over gRPC, as its protocol is.
    pub endpoint: Uri,
    /// How often.
    pub polling_interval: Duration,
    /// The share sampled until there is an answer, 0 to 1.
    pub initial_rate: f64,
}

/// Decides for one kind of request.
#[derive(Clone, Debug)]
pub(crate) struct Decider {
    parent_based: bool,
    rule: Rule,
    /// The name of the spans that are begun here: what Jaeger calls an operation.
    operation: &'static str,
}

#[derive(Clone, Debug)]
enum Rule {
    Ratio(f64),
    Remote(Arc<Strategies>),
}

impl Default for Sampler {
    /// `parentbased_always_on`.
    fn default() -> Self {
        Self { parent_based: true, roots: Roots::Ratio(1.0) }
    }
}

impl Sampler {
    /// A share of traces, 0 to 1.
    pub const fn ratio(parent_based: bool, ratio: f64) -> Self {
        Self { parent_based, roots: Roots::Ratio(ratio) }
    }
}

impl Decider {
    /// Decides as the configuration says; a remote strategy begins with its initial rate.
    pub(crate) fn new(sampler: &Sampler) -> Self {
        let rule = match &sampler.roots {
            Roots::Ratio(ratio) => Rule::Ratio(*ratio),
            Roots::JaegerRemote(remote) => {
                Rule::Remote(Arc::new(Strategies::new(Strategy::Probabilistic(remote.initial_rate))))
            }
        };
        Self { parent_based: sampler.parent_based, rule, operation: "" }
    }

    /// The same for spans of this name.
    pub(crate) fn of(&self, operation: &'static str) -> Self {
        Self { operation, ..self.clone() }
    }

    /// What a remote strategy is put into, where there is one.
    pub(crate) fn strategies(&self) -> Option<&Arc<Strategies>> {
        match &self.rule {
            Rule::Ratio(_) => None,
            Rule::Remote(strategies) => Some(strategies),
        }
    }

    /// Whether to record.
    pub(crate) fn samples(&self, parent: Option<&TraceContext>, trace_id: TraceId) -> bool {
        match (parent, &self.rule) {
            (Some(parent), _) if self.parent_based => parent.is_sampled(),
            (_, Rule::Ratio(ratio)) => is_within(*ratio, trace_id),
            (_, Rule::Remote(strategies)) => strategies.samples(self.operation, trace_id, now()),
        }
    }
}

/// The ratio is compared with the trace id's low bits, as other SDKs do, so that all processes of a trace with the same
/// ratio decide alike.
fn is_within(ratio: f64, trace_id: TraceId) -> bool {
    ratio >= 1.0 || (trace_id.ratio_bits() as f64) < ratio * (1_u64 << 63) as f64
}

#[cfg(test)]
mod tests;
