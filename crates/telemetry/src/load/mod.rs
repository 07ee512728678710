//! `client.request`: the root of a trace that a load generator began, with what its stopwatch said.
//!
//! The durations are the client's own; this process's clock only says when they began.

use std::borrow::Cow;

use crate::attributes::{COMPLETION_TOKENS, REQUEST_ID, REQUEST_MODEL, STATUS_CODE, URL_PATH, client as keys};
use crate::clock::Moment;
use crate::span::{SpanEvent, SpanKind, SpanRecord, Status, Tracer};
use crate::trace::TraceContext;

/// A request that has ended, as its client saw it.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    /// What the request carried as its `traceparent`.
    pub context: TraceContext,
    /// Its `x-request-id`.
    pub request_id: String,
    /// Where it went.
    pub path: String,
    /// The model it asked for.
    pub model: String,
    /// Whether it asked for a stream.
    pub streaming: bool,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Output tokens that arrived.
    pub tokens: u64,
    /// When it was sent.
    pub sent: Moment,
    /// Nanoseconds from there to the first token; streams only.
    pub first_token: Option<u64>,
    /// Nanoseconds from there to the end.
    pub ended: u64,
    /// `completed`, `cancelled` or `failed`.
    pub outcome: &'static str,
    /// Why it failed.
    pub error: Option<String>,
}

/// Hands the span of a request over.
pub fn record(tracer: &Tracer, request: ClientRequest) {
    tracer.finish(assemble(request));
}

fn assemble(request: ClientRequest) -> SpanRecord {
    let at = |nanos: u64| Moment::from_nanos(request.sent.as_nanos().saturating_add(nanos));
    let mut span = SpanRecord {
        context: request.context,
        parent: None,
        name: keys::REQUEST,
        scope: keys::SCOPE,
        kind: SpanKind::Client,
        start: request.sent,
        end: at(request.ended),
        attributes: Vec::new(),
        events: Vec::new(),
        status: request.error.map_or(Status::Unset, |why| Status::Error(Cow::Owned(why))),
    };
    if let Some(first) = request.first_token {
        span.events.push(SpanEvent { name: keys::EVENT_FIRST_TOKEN, at: at(first), attributes: Vec::new() });
    }
    span.set(REQUEST_ID, request.request_id);
    span.set(REQUEST_MODEL, request.model);
    span.set(URL_PATH, request.path);
    span.set(keys::STREAMING, request.streaming);
    span.set_some(STATUS_CODE, request.status);
    span.set(keys::OUTCOME, request.outcome);
    span.set_latency(keys::TTFT, request.first_token);
    span.set_latency(keys::E2E, Some(request.ended));
    span.set(COMPLETION_TOKENS, request.tokens);
    span
}

#[cfg(test)]
mod tests;
