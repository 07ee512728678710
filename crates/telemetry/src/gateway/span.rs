//! The gateway's span: the root of a request's trace, unless the client has one.

use super::{Fallback, PlacedBy, Rejection, Request, Retry};
use crate::attributes::{
    COMPLETION_TOKENS, PROMPT_TOKENS, REQUEST_ID, REQUEST_MODEL, STATUS_CODE, URL_PATH, gateway as keys,
};
use crate::clock::Moment;
use crate::outcome::{Outcome, Stage};
use crate::span::{SpanEvent, SpanKind, SpanRecord};
use crate::timeline::{Component, TtftParts};

/// The span of a request that has ended.
pub(super) fn assemble(request: &Request, parts: Option<&TtftParts>, outcome: &Outcome, status: u16) -> SpanRecord {
    let (state, points) = (&request.state, &request.state.points);
    let times = (points.received, points.finished.unwrap_or(points.received));
    let mut span = request.span.record(keys::REQUEST, keys::SCOPE, SpanKind::Server, times);
    span.set(URL_PATH, state.path.to_string());
    span.set(keys::API, state.api);
    span.set(REQUEST_ID, state.request_id.to_string());
    span.set_some(REQUEST_MODEL, state.model.as_deref().map(String::from));
    span.set(keys::STREAMING, state.streaming);
    span.set_some(keys::PREFILL_TARGET, state.prefill_target.as_deref().map(String::from));
    span.set_some(keys::DECODE_TARGET, state.decode_target.as_deref().map(String::from));
    span.set_some(keys::REJECTED, state.rejected.map(Rejection::as_str));
    span.set_some(keys::CALLER, state.caller.as_deref().map(String::from));
    if let Some((tokens, source)) = state.prompt {
        span.set(keys::PROMPT_ESTIMATE, tokens);
        span.set(keys::PROMPT_SOURCE, source);
    }
    if let Some(usage) = state.usage {
        span.set(PROMPT_TOKENS, usage.input);
        span.set(COMPLETION_TOKENS, usage.output);
        span.set_some(keys::CACHED_TOKENS, usage.cached);
    }
    latencies(&mut span, request, parts);
    ending(&mut span, request, outcome, status);
    let first_token = |at: Moment| SpanEvent { name: keys::EVENT_FIRST_TOKEN, at, attributes: Vec::new() };
    span.events.extend_from_slice(&state.events);
    span.events.extend(points.first_token.map(first_token));
    span
}

/// The spans of the stages before the answer. They tile the time that they stand for, as the parts of the TTFT do; one that
/// was begun and not ended ends with the request, and says how. A request whose stages are placed apart has two of choosing.
pub(super) fn stages(request: &Request, outcome: &Outcome) -> [Option<SpanRecord>; 4] {
    let (state, points) = (&request.state, &request.state.points);
    let admitted = points.dequeued.or_else(|| points.preprocessed.filter(|_| points.enqueued.is_none()));
    let ended_in = |stage: Stage| request.ended_stage(outcome) == stage.as_str();
    let stage = |name, is_last: bool, begun: Option<Moment>, ended: Option<Moment>| {
        let end = ended.or_else(|| points.finished.filter(|_| is_last))?;
        let started = request.shared.tracer.child(&request.span);
        let mut span = started.record(name, keys::SCOPE, SpanKind::Internal, (begun?, end));
        if is_last {
            span.set(keys::OUTCOME, outcome.as_str());
            span.set_outcome(outcome);
        }
        Some(span)
    };
    let apart = points.decode_scheduling;
    let while_choosing = ended_in(Stage::Schedule);
    let queue = stage(keys::QUEUE, ended_in(Stage::Queue), points.enqueued, points.dequeued);
    let first = stage(keys::SCHEDULE, while_choosing && apart.is_none(), admitted, points.scheduled);
    let second = stage(keys::SCHEDULE, while_choosing, apart, points.decode_scheduled);
    let dispatch = stage(keys::DISPATCH, ended_in(Stage::Dispatch), points.scheduled, points.dispatched);
    let target = |mut span: SpanRecord| {
        span.set_some(keys::PREFILL_TARGET, state.prefill_target.as_deref().map(String::from));
        span.set_some(keys::DECODE_TARGET, state.decode_target.as_deref().map(String::from));
        span
    };
    let chosen = |mut span: SpanRecord, by: Option<PlacedBy>, stage: &'static str| {
        span.set_some(keys::PLACED_BY, by.map(PlacedBy::as_str));
        span.set_some(keys::SCHEDULE_STAGE, apart.map(|_| stage));
        span
    };
    [
        queue,
        first.map(|span| chosen(span, state.placed_by, "prefill")),
        dispatch.map(target),
        second.map(|span| chosen(span, state.decode_placed_by, "decode")),
    ]
}

/// The event of an attempt that was followed by another one.
pub(super) fn retry(retry: &Retry<'_>) -> SpanEvent {
    let mut attributes = vec![(keys::EVENT_TARGET, retry.target.to_owned().into())];
    attributes.extend(retry.status.map(|status| (STATUS_CODE, status.into())));
    attributes.push((keys::EVENT_PAUSE, (retry.pause.as_nanos() as f64 / 1e6).into()));
    SpanEvent { name: keys::EVENT_RETRY, at: retry.at, attributes }
}

/// The event of an attempt at a fallback.
pub(super) fn fallback(fallback: &Fallback<'_>) -> SpanEvent {
    let mut attributes = vec![(keys::EVENT_TARGET, fallback.target.to_owned().into())];
    attributes.extend(fallback.status.map(|status| (STATUS_CODE, status.into())));
    SpanEvent { name: keys::EVENT_FALLBACK, at: fallback.at, attributes }
}

/// How many attributes [`latencies`] and [`ending`] set at most, each latency counted twice.
const LATENCIES: usize = 2 * (4 + Component::ALL.len()) + 5;

fn latencies(span: &mut SpanRecord, request: &Request, parts: Option<&TtftParts>) {
    span.attributes.reserve(LATENCIES);
    let (state, points) = (&request.state, &request.state.points);
    span.set_latency(keys::TTFT, points.ttft());
    span.set_latency(keys::E2E, points.e2e());
    span.set_latency(keys::TPOT, points.tpot(request.output_tokens()));
    span.set_latency(keys::POSTPROCESS, Some(state.postprocess).filter(|&work| work > 0));
    for (component, nanos) in parts.into_iter().flat_map(TtftParts::iter) {
        span.set_latency(keys::PARTS[component as usize], Some(nanos));
    }
}

fn ending(span: &mut SpanRecord, request: &Request, outcome: &Outcome, status: u16) {
    span.set(STATUS_CODE, status);
    span.set(keys::OUTCOME, outcome.as_str());
    if *outcome != Outcome::Completed {
        span.set(keys::STAGE, request.ended_stage(outcome));
    }
    if let Outcome::Failed { blame, reason, .. } = outcome {
        span.set(keys::BLAME, blame.as_str());
        span.set(keys::ERROR, reason.clone());
    }
    span.set_outcome(outcome);
}
