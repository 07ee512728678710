//! One request's events.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::labels::api_label;
use super::metrics::Decision;
use super::{Begin, Connector, Denial, Shared, TtftOrigin, spans};
use crate::attributes::pd;
use crate::client::{ClientSide, Peer};
use crate::clock::{Moment, nanos, now};
use crate::origin::Origin;
use crate::outcome::{Blame, Outcome, Stage};
use crate::server_timing::{ServerTiming, name};
use crate::span::{SpanEvent, Started, Value};
use crate::timeline::{CoordinatorNumbers, CoordinatorPoints, Legs};
use crate::trace::{TraceContext, TraceId};

/// One request at the coordinator. Settles exactly once: by [`Request::finish`], or on drop as cancelled by the client.
/// Events after that are ignored.
pub struct Request {
    shared: Arc<Shared>,
    pub(super) span: Started,
    /// On the heap: a request moves from future to future, and into its response's body at last.
    pub(super) state: Box<State>,
    /// Its place among those in flight.
    key: u64,
    settled: bool,
}

/// Everything known of a request; what the spans are assembled from.
pub(super) struct State {
    pub(super) api: &'static str,
    pub(super) path: Box<str>,
    pub(super) connector: Connector,
    pub(super) request_id: Arc<str>,
    pub(super) model: Option<Box<str>>,
    pub(super) streaming: bool,
    pub(super) origin: TtftOrigin,
    pub(super) legs: Legs,
    pub(super) points: CoordinatorPoints,
    pub(super) prefill: Leg,
    pub(super) decode: Leg,
    pub(super) candidates: Option<u32>,
    pub(super) reason: Option<&'static str>,
    pub(super) denied: Option<(Box<str>, Denial)>,
    decided: bool,
    client: ClientSide,
}

/// One leg's span and what is said on it.
#[derive(Default)]
pub(super) struct Leg {
    pub(super) span: Option<Started>,
    pub(super) target: Option<Box<str>>,
    pub(super) status: Option<u16>,
    pub(super) ended: Option<Moment>,
    pub(super) error: Option<Cow<'static, str>>,
    pub(super) events: Vec<SpanEvent>,
}

impl Request {
    pub(super) fn new(shared: Arc<Shared>, begin: Begin<'_>) -> Self {
        let origin = Origin::from_headers(begin.headers, begin.received);
        let span = shared.tracer.start(TraceContext::extract(begin.headers));
        let api = api_label(begin.api);
        shared.metrics.received(begin.connector, api);
        let points = CoordinatorPoints {
            received: begin.received,
            origin_elapsed: nanos(origin.elapsed),
            ..CoordinatorPoints::default()
        };
        let request_id: Arc<str> = begin.request_id.into();
        let key = shared.in_flight.enter(Arc::clone(&request_id), begin.received);
        let state = Box::new(State {
            api,
            path: begin.path.into(),
            connector: begin.connector,
            request_id,
            model: begin.model.map(Into::into),
            streaming: begin.streaming,
            origin: origin.source,
            legs: Legs::DecodeOnly,
            points,
            prefill: Leg::default(),
            decode: Leg::default(),
            candidates: None,
            reason: None,
            denied: None,
            decided: false,
            client: ClientSide::default(),
        });
        Self { shared, span, state, key, settled: false }
    }

    /// The trace this request belongs to, for logs and error bodies.
    pub fn trace_id(&self) -> TraceId {
        self.span.context.trace_id
    }

    /// The request span's own position, for legs that are none of prefill and decode.
    pub fn context(&self) -> &TraceContext {
        &self.span.context
    }

    /// The model that the body names.
    pub fn model(&mut self, model: &str) {
        self.state.model = Some(model.into());
    }

    /// Whether the client wants a stream.
    pub fn streaming(&mut self, streaming: bool) {
        self.state.streaming = streaming;
    }

    /// How many prefill hosts the request names.
    pub fn candidates(&mut self, candidates: usize) {
        self.state.candidates = Some(u32::try_from(candidates).unwrap_or(u32::MAX));
    }

    /// The prefill host of the attempt that begins.
    pub fn prefill_target(&mut self, target: &str) {
        self.state.prefill.target = Some(target.into());
    }

    /// The decode host.
    pub fn decode_target(&mut self, target: &str) {
        self.state.decode.target = Some(target.into());
    }

    /// The request goes to the decoder alone, because of `reason` (`no_prefill_header`). Also when a failed prefill is made
    /// up for by the decoder.
    pub fn decode_only(&mut self, reason: &'static str) {
        self.state.reason = Some(reason);
        self.state.legs = Legs::DecodeOnly;
        self.decide(Decision::DecodeOnly);
    }

    /// There is no prefill leg: the decoder has the prompt computed by the prefill instance that it is told of.
    pub fn prefill_by_decoder(&mut self) {
        self.state.reason = Some("prefill_by_decoder");
        self.decide(Decision::Disaggregated);
    }

    /// A prefill target was refused by the allow-list.
    pub fn denied(&mut self, target: &str, denial: Denial) {
        self.shared.metrics.of(self.state.connector).denials[denial as usize].inc();
        self.state.denied = Some((target.into(), denial));
        self.decide(Decision::Denied);
    }

    /// The (first) prefill request is about to be sent; the context to send with it. Retries keep the same span.
    pub fn prefill_sent(&mut self, now: Moment) -> TraceContext {
        self.decide(Decision::Disaggregated);
        let concurrent = self.state.connector.is_concurrent();
        self.state.legs = if concurrent { Legs::Concurrent } else { Legs::Serial };
        self.state.points.prefill_sent.get_or_insert(now);
        let (tracer, parent) = (&self.shared.tracer, &self.span);
        self.state.prefill.span.get_or_insert_with(|| tracer.child(parent)).context.clone()
    }

    /// An attempt at the prefill failed; another may follow.
    pub fn prefill_attempt_failed(&mut self, now: Moment, reason: impl Into<Cow<'static, str>>) {
        self.attempt_event(pd::EVENT_ATTEMPT_FAILED, now, reason.into());
    }

    /// The prefill is tried again; `reason` is a label value (`connect`, `503`), so from a small set.
    pub fn prefill_retry(&mut self, now: Moment, reason: &'static str) {
        self.shared.metrics.retried(self.state.connector, reason);
        self.attempt_event(pd::EVENT_RETRY, now, Cow::Borrowed(reason));
    }

    /// The last byte of a good prefill response.
    pub fn prefill_done(&mut self, now: Moment, status: u16) {
        self.state.points.prefill_done.get_or_insert(now);
        self.state.prefill.ended.get_or_insert(now);
        self.state.prefill.status = Some(status);
    }

    /// The prefill failed for good: no number of it is observed, but its span says all that is known.
    pub fn prefill_failed(&mut self, now: Moment, status: Option<u16>, reason: impl Into<Cow<'static, str>>) {
        self.state.prefill.ended.get_or_insert(now);
        self.state.prefill.status = status;
        self.state.prefill.error = Some(reason.into());
    }

    /// The decode request is about to be sent; the context to send with it.
    pub fn decode_sent(&mut self, now: Moment) -> TraceContext {
        self.decide(Decision::DecodeOnly);
        self.state.points.decode_sent.get_or_insert(now);
        self.shared.in_flight.decode_sent(self.key, now, self.state.streaming);
        let (tracer, parent) = (&self.shared.tracer, &self.span);
        self.state.decode.span.get_or_insert_with(|| tracer.child(parent)).context.clone()
    }

    /// The decode response head.
    pub fn decode_accepted(&mut self, now: Moment, status: u16) {
        self.state.points.decode_accepted.get_or_insert(now);
        self.state.decode.status = Some(status);
    }

    /// The connection that the request came by.
    pub fn came_by(&mut self, peer: Peer) {
        self.state.client.came_by(peer);
    }

    /// The stream could not be passed on for this long, since the client did not read.
    pub fn held(&mut self, time: Duration) {
        self.state.client.held(time);
    }

    /// A chunk with `n` tokens has been handed to the client's connection. Streaming requests only: a client that does
    /// not stream has no first token, and calls for it are ignored.
    pub fn tokens(&mut self, now: Moment, n: u32) {
        let points = &mut self.state.points;
        if n == 0 || !self.state.streaming {
            return;
        }
        self.state.client.tokens(&self.shared.clients, now);
        if points.first_token.is_none() {
            points.first_token = Some(now);
            self.shared.in_flight.first_token(self.key);
        } else if points.second_token.is_none() {
            (points.second_token, points.second_tokens) = (Some(now), n);
        }
        points.last_token = Some(now);
    }

    /// The request has ended. Only the first call counts.
    #[expect(clippy::needless_pass_by_value, reason = "the outcome is handed over; callers build it in place")]
    pub fn finish(&mut self, now: Moment, outcome: Outcome) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        self.state.points.finished = Some(now);
        self.shared.in_flight.leave(self.key);
        self.state.client.ended(&self.shared.clients);
        if outcome == Outcome::ClientCancelled {
            self.state.client.aborted(&self.shared.clients, now, self.stage());
        }
        let numbers = self.numbers();
        if let Some(step) = self.state.points.first_step() {
            self.shared.step.record(step);
        }
        self.observe(now, &numbers, &outcome);
        self.log(&numbers, &outcome);
        if self.span.is_recorded() {
            for span in spans::assemble(self, &numbers, &outcome) {
                self.shared.tracer.finish(span);
            }
        }
    }

    /// `Server-Timing` for the response head: what is known when the decoder has accepted.
    pub fn server_timing_header(&self) -> String {
        let numbers = self.state.points.numbers(self.state.legs, None);
        self.timing_origin()
            .with(name::PREFILL, numbers.prefill_duration)
            .with(name::COORDINATION, numbers.coordination)
            .to_header()
    }

    /// `Server-Timing` for the trailer: everything, after [`Request::finish`].
    pub fn server_timing_trailer(&self) -> String {
        let numbers = self.numbers();
        let kv = numbers.kv_transfer;
        self.timing_origin()
            .with(name::PREFILL, kv.map(|kv| kv.prefill_on_path).or(numbers.prefill_duration))
            .with(name::COORDINATION, numbers.coordination)
            .with(name::KV_TRANSFER, kv.map(|kv| kv.overhead))
            .with(name::FIRST_DECODE, kv.map(|kv| kv.first_decode_step))
            .with(name::TRUE_TTFT, numbers.true_ttft)
            .with(name::TOTAL, numbers.total_duration)
            .to_header()
    }

    /// The stage the request is in, as far as its points tell: where a client left.
    pub fn stage(&self) -> Stage {
        let points = &self.state.points;
        match () {
            () if points.decode_accepted.is_some() => Stage::Relay,
            () if self.state.prefill.ended.is_none() && points.prefill_sent.is_some() => Stage::Prefill,
            () if points.decode_sent.is_some() => Stage::Decode,
            () if points.prefill_sent.is_some() => Stage::Coordination,
            () => Stage::Receive,
        }
    }

    fn numbers(&self) -> CoordinatorNumbers {
        self.state.points.numbers(self.state.legs, self.shared.step.get())
    }

    fn timing_origin(&self) -> ServerTiming {
        ServerTiming::default().describe(name::ORIGIN, self.state.origin.as_str())
    }

    fn decide(&mut self, decision: Decision) {
        if !std::mem::replace(&mut self.state.decided, true) {
            self.shared.metrics.decided(self.state.connector, decision);
        }
    }

    fn attempt_event(&mut self, event: &'static str, at: Moment, reason: Cow<'static, str>) {
        if !self.span.is_recorded() {
            return;
        }
        let mut attributes = vec![(pd::EVENT_REASON, Value::Str(reason))];
        if let Some(target) = &self.state.prefill.target {
            attributes.push((pd::EVENT_TARGET, Value::from(String::from(target.as_ref()))));
        }
        self.state.prefill.events.push(SpanEvent { name: event, at, attributes });
    }

    fn observe(&self, at: Moment, numbers: &CoordinatorNumbers, outcome: &Outcome) {
        let (connector, metrics) = (self.state.connector, &self.shared.metrics);
        let completed = *outcome == Outcome::Completed;
        metrics.observe(connector, numbers, completed, self.span.exemplar(at));
        metrics.ended(connector, self.state.api, outcome.as_str(), self.ended_stage(outcome));
    }

    /// The stage label of an outcome.
    pub(super) fn ended_stage(&self, outcome: &Outcome) -> &'static str {
        match outcome {
            Outcome::Completed => "none",
            Outcome::ClientCancelled => self.stage().as_str(),
            Outcome::Failed { stage, .. } => stage.as_str(),
        }
    }

    fn log(&self, numbers: &CoordinatorNumbers, outcome: &Outcome) {
        let state = &self.state;
        let (trace_id, request_id) = (self.trace_id(), &*state.request_id);
        let total_ms = numbers.total_duration.map(|nanos| nanos as f64 / 1e6);
        match outcome {
            Outcome::Failed { stage, blame, status, reason } if *blame != Blame::Client => tracing::warn!(
                %trace_id, request_id, api = state.api, connector = state.connector.as_str(), stage = stage.as_str(),
                blame = blame.as_str(), status, total_ms, "request failed: {reason}"
            ),
            Outcome::Failed { stage, status, reason, .. } => tracing::info!(
                %trace_id, request_id, api = state.api, stage = stage.as_str(), status, "request refused: {reason}"
            ),
            _ => tracing::debug!(
                %trace_id, request_id, api = state.api, connector = state.connector.as_str(), total_ms,
                true_ttft_ms = numbers.true_ttft.map(|nanos| nanos as f64 / 1e6),
                kv_transfer_overhead_ms = numbers.kv_transfer.map(|kv| kv.overhead as f64 / 1e6),
                "request {}", outcome.as_str()
            ),
        }
    }
}

impl Drop for Request {
    /// A request that nobody finished was dropped with its connection: the client left.
    fn drop(&mut self) {
        if !self.settled {
            self.finish(now(), Outcome::ClientCancelled);
        }
    }
}
