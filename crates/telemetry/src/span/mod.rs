//! Spans with explicit times, assembled after the fact.
//!
//! A span is not an object that lives beside the request: it is a record put together from the timeline when the request
//! has ended, so its times are the very moments that the metrics were computed from.

mod queue;
mod tracer;

use std::borrow::Cow;

use crate::clock::Moment;
use crate::outcome::Outcome;
use crate::trace::{SpanId, TraceContext};

pub use crate::sampling::{JaegerRemote, Roots, Sampler};
pub(crate) use queue::SpanQueue;
pub use tracer::{Started, Tracer};

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Str(Cow<'static, str>),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// A truth value.
    Bool(bool),
}

/// The role of a span in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Work inside the process.
    Internal,
    /// Serves a remote caller.
    Server,
    /// Calls a remote service.
    Client,
}

/// Whether what the span stands for went well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing to say.
    #[default]
    Unset,
    /// Failed, with one sentence.
    Error(Cow<'static, str>),
}

/// Something that happened during a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// What.
    pub name: &'static str,
    /// When.
    pub at: Moment,
    /// Details.
    pub attributes: Vec<(&'static str, Value)>,
}

/// A finished span, owned and compact; what the export queue holds.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRecord {
    /// Its own position in the trace.
    pub context: TraceContext,
    /// The span it belongs to.
    pub parent: Option<SpanId>,
    /// Span name.
    pub name: &'static str,
    /// Instrumentation scope.
    pub scope: &'static str,
    /// Role.
    pub kind: SpanKind,
    /// Start.
    pub start: Moment,
    /// End, not before `start`.
    pub end: Moment,
    /// Attributes in the order they were set.
    pub attributes: Vec<(&'static str, Value)>,
    /// Events in order.
    pub events: Vec<SpanEvent>,
    /// Status.
    pub status: Status,
}

impl SpanRecord {
    /// Sets an attribute.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.attributes.push((key, value.into()));
    }

    /// Sets an attribute where there is a value.
    pub fn set_some(&mut self, key: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Sets a latency twice: in milliseconds as a double, and in microseconds as an integer (Tempo computes quantiles over
    /// integers only). Nothing where it was not measured.
    pub fn set_latency(&mut self, (ms, us): (&'static str, &'static str), nanos: Option<u64>) {
        if let Some(nanos) = nanos {
            self.set(ms, nanos as f64 / 1e6);
            self.set(us, i64::try_from((nanos + 500) / 1000).unwrap_or(i64::MAX));
        }
    }

    /// The value of an attribute; of several with the same key the last.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.attributes.iter().rev().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// Sets the status of an outcome: an error where it failed.
    pub(crate) fn set_outcome(&mut self, outcome: &Outcome) {
        if let Outcome::Failed { reason, .. } = outcome {
            self.status = Status::Error(reason.clone());
        }
    }
}

impl From<&'static str> for Value {
    fn from(value: &'static str) -> Self {
        Self::Str(Cow::Borrowed(value))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Str(Cow::Owned(value))
    }
}

impl From<Cow<'static, str>> for Value {
    fn from(value: Cow<'static, str>) -> Self {
        Self::Str(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<u16> for Value {
    fn from(value: u16) -> Self {
        Self::Int(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

#[cfg(test)]
mod tests;
