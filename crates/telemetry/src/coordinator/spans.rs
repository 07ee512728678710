//! The coordinator's spans: request, and below it prefill and decode as siblings.

use super::Request;
use super::request::{Leg, State};
use crate::attributes::{REQUEST_ID, REQUEST_MODEL, pd};
use crate::clock::Moment;
use crate::outcome::Outcome;
use crate::span::{SpanEvent, SpanKind, SpanRecord, Started, Status};
use crate::timeline::{CoordinatorNumbers, Legs};

/// The spans of a request that has ended. Where there was no decode leg, the request span carries the numbers.
pub(super) fn assemble(request: &Request, numbers: &CoordinatorNumbers, outcome: &Outcome) -> Vec<SpanRecord> {
    let state = &request.state;
    let points = &state.points;
    let end = points.finished.unwrap_or(points.received);
    let stage = request.ended_stage(outcome);
    let mut spans = Vec::with_capacity(3);
    let prefill = state.prefill.span.as_ref().zip(points.prefill_sent);
    spans.extend(prefill.map(|(span, sent)| prefill_span(state, span, (sent, end), outcome)));
    let decode = state.decode.span.as_ref().zip(points.decode_sent);
    let decode = decode.map(|(span, sent)| decode_span(state, span, (sent, end), outcome, stage));
    let mut top = request_span(state, &request.span, end, outcome, stage);
    let carrier = match decode {
        Some(mut decode) => {
            summary(&mut decode, state, numbers);
            Some(decode)
        }
        None => {
            summary(&mut top, state, numbers);
            None
        }
    };
    spans.extend(carrier);
    spans.push(top);
    spans
}

fn request_span(state: &State, span: &Started, end: Moment, outcome: &Outcome, stage: &'static str) -> SpanRecord {
    let times = (state.points.received, end);
    let mut span = span.record(pd::REQUEST, pd::SCOPE, SpanKind::Server, times);
    common(&mut span, state);
    span.set(pd::PATH, state.path.to_string());
    span.set(REQUEST_ID, state.request_id.to_string());
    span.set_some(pd::PREFILL_TARGET, target(&state.prefill));
    span.set_some(pd::PREFILL_CANDIDATES, state.candidates);
    span.set_some(pd::REASON, state.reason);
    if let Some((target, denial)) = &state.denied {
        span.set(pd::ERROR, "ssrf_protection_denied");
        span.set(pd::DENIED_TARGET, target.to_string());
        span.set_some(pd::REASON, state.reason.is_none().then(|| denial.as_str()));
    }
    ending(&mut span, outcome, stage);
    span
}

fn prefill_span(state: &State, span: &Started, (sent, end): (Moment, Moment), outcome: &Outcome) -> SpanRecord {
    let leg = &state.prefill;
    let ended = leg.ended.unwrap_or(end);
    let mut span = span.record(pd::PREFILL, pd::SCOPE, SpanKind::Client, (sent, ended));
    common(&mut span, state);
    span.set_some(pd::PREFILL_TARGET, target(leg));
    span.set_some(pd::PREFILL_STATUS, leg.status);
    span.set_latency(pd::PREFILL_LEG, Some(ended.nanos_since(sent)));
    span.set(pd::PREFILL_ASYNC, state.legs == Legs::Concurrent);
    span.events.clone_from(&leg.events);
    match &leg.error {
        Some(error) => {
            span.set(pd::ERROR, error.clone());
            span.status = Status::Error(error.clone());
        }
        // Cut off by what ended the request.
        None if leg.ended.is_none() => {
            span.set(pd::OUTCOME, outcome.as_str());
            span.set_outcome(outcome);
        }
        None => {}
    }
    span
}

fn decode_span(
    state: &State,
    span: &Started,
    times: (Moment, Moment),
    outcome: &Outcome,
    stage: &'static str,
) -> SpanRecord {
    let mut span = span.record(pd::DECODE, pd::SCOPE, SpanKind::Client, times);
    common(&mut span, state);
    span.set(pd::DECODE_STREAMING, state.streaming);
    span.set_some(pd::DECODE_TARGET, target(&state.decode));
    span.set_some(pd::DECODE_STATUS, state.decode.status);
    span.set_latency(pd::DECODE_LEG, Some(times.1.nanos_since(times.0)));
    span.set(pd::DECODE_CONCURRENT, state.legs == Legs::Concurrent);
    let happened =
        [(pd::EVENT_ACCEPTED, state.points.decode_accepted), (pd::EVENT_FIRST_TOKEN, state.points.first_token)];
    span.events.extend(
        happened.into_iter().filter_map(|(name, at)| Some(SpanEvent { name, at: at?, attributes: Vec::new() })),
    );
    ending(&mut span, outcome, stage);
    span
}

/// What every span of a request says, so that every filter of the seed works on each.
fn common(span: &mut SpanRecord, state: &State) {
    span.set(pd::CONNECTOR, state.connector.as_str());
    span.set(pd::REQUEST_ID, state.request_id.to_string());
    span.set(pd::API, state.api);
    span.set_some(REQUEST_MODEL, state.model.as_deref().map(String::from));
    span.set(pd::ENABLED, state.connector != super::Connector::None);
    span.set(pd::USED, state.legs != Legs::DecodeOnly);
}

/// How many attributes [`summary`] and [`ending`] set at most.
const SUMMARY: usize = 28;

/// The numbers of `design/latency.md`; absent where not measured.
fn summary(span: &mut SpanRecord, state: &State, numbers: &CoordinatorNumbers) {
    span.attributes.reserve(SUMMARY);
    span.set(pd::TTFT_ORIGIN, state.origin.as_str());
    let told = state.origin != super::TtftOrigin::Coordinator;
    span.set_latency(pd::GATEWAY_MS, told.then_some(numbers.gateway));
    span.set_latency(pd::PREPROCESS_MS, numbers.preprocess);
    span.set_latency(pd::TRUE_TTFT, numbers.true_ttft);
    span.set_latency(pd::TOTAL, numbers.total_duration);
    span.set_latency(pd::PREFILL_DURATION, numbers.prefill_duration);
    span.set_latency(pd::DECODE_DURATION, numbers.decode_duration);
    span.set_latency(pd::COORDINATION, numbers.coordination);
    if let Some(kv) = numbers.kv_transfer {
        span.set_latency(pd::KV_OVERHEAD, Some(kv.overhead));
        span.set_latency(pd::DECODE_START, Some(kv.time_to_decode_start));
        span.set_latency(pd::FIRST_STEP, Some(kv.first_decode_step));
        span.set(pd::KV_ESTIMATED, kv.estimated);
        span.set(pd::KV_OVERLAPPED, kv.overlapped);
        span.set(pd::KV_BOUND, "upper");
    }
}

fn ending(span: &mut SpanRecord, outcome: &Outcome, stage: &'static str) {
    span.set(pd::OUTCOME, outcome.as_str());
    if *outcome != Outcome::Completed {
        span.set(pd::STAGE, stage);
    }
    if let Outcome::Failed { blame, status, reason, .. } = outcome {
        span.set(pd::BLAME, blame.as_str());
        span.set_some(crate::attributes::STATUS_CODE, *status);
        if span.get(pd::ERROR).is_none() {
            span.set(pd::ERROR, reason.clone());
        }
    }
    span.set_outcome(outcome);
}

fn target(leg: &Leg) -> Option<String> {
    leg.target.as_deref().map(String::from)
}
