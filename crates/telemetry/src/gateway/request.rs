//! One request's events.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::metrics::{OfModel, PlacedBy, Rejection};
use super::{Begin, Shared, span};
use crate::client::{ClientSide, Peer};
use crate::clock::{Moment, nanos, now};
use crate::itl::GapBuffer;
use crate::metrics::Exemplar;
use crate::outcome::{Blame, Outcome, Stage};
use crate::server_timing::ServerTiming;
use crate::span::{SpanEvent, Started};
use crate::timeline::{GatewayPoints, TtftParts, UpstreamParts};
use crate::trace::{TraceContext, TraceId};

/// Status under which a client that left is counted.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// One request at the gateway. Settles exactly once: by [`Request::finish`], or on drop as cancelled by the client.
/// Events after that are ignored.
pub struct Request {
    pub(super) shared: Arc<Shared>,
    model: Arc<OfModel>,
    pub(super) span: Started,
    /// On the heap: a request moves from future to future, and into its response's body at last.
    pub(super) state: Box<State>,
    /// Tokens seen since the last flush, and altogether.
    unflushed_tokens: u64,
    counted_tokens: u64,
    is_pending: bool,
    settled: bool,
}

/// Everything known of a request; what the span is assembled from.
pub(super) struct State {
    pub(super) api: &'static str,
    pub(super) path: Box<str>,
    pub(super) request_id: Box<str>,
    pub(super) model: Option<Box<str>>,
    pub(super) streaming: bool,
    pub(super) points: GatewayPoints,
    pub(super) upstream: UpstreamParts,
    pub(super) usage: Option<Usage>,
    pub(super) postprocess: u64,
    pub(super) prefill_target: Option<Box<str>>,
    pub(super) decode_target: Option<Box<str>>,
    pub(super) placed_by: Option<PlacedBy>,
    /// Who placed the decode stage, where that was done by itself.
    pub(super) decode_placed_by: Option<PlacedBy>,
    pub(super) rejected: Option<Rejection>,
    pub(super) caller: Option<Box<str>>,
    /// The prompt's length before an engine counted it, and who counted.
    pub(super) prompt: Option<(u64, &'static str)>,
    /// Attempts that failed and were followed by another one.
    pub(super) events: Vec<SpanEvent>,
    gaps: GapBuffer,
    client: ClientSide,
}

/// The engine's count of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens.
    pub input: u64,
    /// Generated tokens.
    pub output: u64,
    /// Prompt tokens that came from a prefix cache, where the engine says.
    pub cached: Option<u64>,
}

/// An attempt that failed and is followed by another one.
#[derive(Clone, Copy, Debug)]
pub struct Retry<'a> {
    /// When it was known to have failed.
    pub at: Moment,
    /// Where it went.
    pub target: &'a str,
    /// The status of the answer; `None` where there was none.
    pub status: Option<u16>,
    /// How long the next attempt waits.
    pub pause: Duration,
}

/// An attempt at a fallback endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Fallback<'a> {
    /// When its end was known.
    pub at: Moment,
    /// Where it went.
    pub target: &'a str,
    /// The status of the answer; `None` where there was none.
    pub status: Option<u16>,
    /// Whether the answer goes to the client.
    pub served: bool,
}

impl Request {
    pub(super) fn new(shared: Arc<Shared>, begin: Begin<'_>) -> Self {
        let span = shared.tracer.start(TraceContext::extract(begin.headers));
        let model = shared.metrics.unknown();
        shared.metrics.current.fetch_add(1, Ordering::Relaxed);
        shared.metrics.pending.fetch_add(1, Ordering::Relaxed);
        let state = Box::new(State {
            api: begin.api,
            path: begin.path.into(),
            request_id: begin.request_id.into(),
            model: None,
            streaming: false,
            points: GatewayPoints { received: begin.received, ..GatewayPoints::default() },
            upstream: UpstreamParts::default(),
            usage: None,
            postprocess: 0,
            prefill_target: None,
            decode_target: None,
            placed_by: None,
            decode_placed_by: None,
            rejected: None,
            caller: None,
            prompt: None,
            events: Vec::new(),
            gaps: GapBuffer::new(),
            client: ClientSide::default(),
        });
        Self { shared, model, span, state, unflushed_tokens: 0, counted_tokens: 0, is_pending: true, settled: false }
    }

    /// The trace this request belongs to, for logs and error bodies.
    pub fn trace_id(&self) -> TraceId {
        self.span.context.trace_id
    }

    /// The request's own position in its trace: what `dispatched` hands out.
    pub fn context(&self) -> &TraceContext {
        &self.span.context
    }

    /// When the request was received.
    pub fn received(&self) -> Moment {
        self.state.points.received
    }

    /// The model that the body names. Comes before the stages that are observed under it.
    pub fn model(&mut self, model: &str) {
        self.model = self.shared.metrics.of(model);
        self.state.model = Some(model.into());
    }

    /// Whether the client wants a stream.
    pub fn streaming(&mut self, streaming: bool) {
        self.state.streaming = streaming;
    }

    /// Who asks, by name.
    pub fn caller(&mut self, name: &str) {
        self.state.caller = Some(name.into());
    }

    /// How long the prompt is as far as the gateway can tell, and how it can tell.
    pub fn prompt(&mut self, tokens: u64, source: &'static str) {
        self.state.prompt = Some((tokens, source));
    }

    /// The body has been read and parsed.
    pub fn preprocessed(&mut self, now: Moment) {
        if self.state.points.preprocessed.replace(now).is_none() {
            self.model.preprocess.observe(now.nanos_since(self.state.points.received));
        }
    }

    /// The request has entered the admission queue.
    pub fn enqueued(&mut self, now: Moment) {
        self.state.points.enqueued = Some(now);
    }

    /// The request has left the admission queue.
    pub fn dequeued(&mut self, now: Moment) {
        self.state.points.dequeued = Some(now);
        if let Some(waited) = self.state.points.queue() {
            self.model.queue.observe(waited);
        }
    }

    /// The request is turned away.
    pub fn rejected(&mut self, reason: Rejection) {
        self.model.rejected(reason);
        self.state.rejected = Some(reason);
    }

    /// A placement is in hand. When an attempt fails and another placement is made, the last one counts.
    pub fn scheduled(&mut self, now: Moment) {
        self.state.points.scheduled = Some(now);
    }

    /// Who chose where the request goes.
    pub fn placed(&mut self, by: PlacedBy) {
        self.model.placed(by);
        self.state.placed_by = Some(by);
    }

    /// Where the request goes: the prefill host, where there is one, and the decode host, where it is known by now.
    pub fn targets(&mut self, prefill: Option<&str>, decode: Option<&str>) {
        self.state.prefill_target = prefill.map(Into::into);
        self.state.decode_target = decode.map(Into::into);
    }

    /// The prefill is done, and the decode stage is about to be placed.
    pub fn decode_scheduling(&mut self, now: Moment) {
        self.state.points.decode_scheduling = Some(now);
    }

    /// The decode stage is placed, on this host. When it has to be placed again, the last placement counts.
    pub fn decode_scheduled(&mut self, now: Moment, by: PlacedBy, target: &str) {
        self.model.placed(by);
        self.state.decode_placed_by = Some(by);
        self.state.decode_target = Some(target.into());
        self.state.points.decode_scheduled = Some(now);
    }

    /// The decode host of a request whose prompt is computed is not there, and another one is chosen.
    pub fn decode_retry(&mut self, retry: Retry<'_>) {
        self.another_attempt(retry);
        self.state.points.decode_scheduled = None;
    }

    /// The upstream request is being handed to the connection; the trace context to send with it. The elapsed time to
    /// send as `x-candor-elapsed-us` is `now - received`.
    pub fn dispatched(&mut self, now: Moment) -> TraceContext {
        self.state.points.dispatched = Some(now);
        self.no_longer_pending();
        self.span.context.clone()
    }

    /// An attempt failed, and another one follows.
    pub fn retry(&mut self, retry: Retry<'_>) {
        self.another_attempt(retry);
        // The stages begin anew; the time so far belongs to the placement that will be in hand at last.
        let points = &mut self.state.points;
        (points.scheduled, points.dispatched) = (None, None);
        (points.decode_scheduling, points.decode_scheduled) = (None, None);
        self.state.decode_placed_by = None;
    }

    fn another_attempt(&mut self, retry: Retry<'_>) {
        self.model.retried(retry.status);
        if self.span.is_recorded() {
            self.state.events.push(span::retry(&retry));
        }
    }

    /// A fallback was tried.
    pub fn fallback(&mut self, fallback: Fallback<'_>) {
        self.model.fell_back(fallback.status, fallback.served);
        if self.span.is_recorded() {
            self.state.events.push(span::fallback(&fallback));
        }
    }

    /// A fallback served after it had answered 429 and the request had waited.
    pub fn fallback_waited_out(&mut self) {
        self.model.waited_out.inc();
    }

    /// The connection that the request came by.
    pub fn came_by(&mut self, peer: Peer) {
        self.state.client.came_by(peer);
    }

    /// The stream could not be passed on for this long, since the client did not read.
    pub fn held(&mut self, time: Duration) {
        self.state.client.held(time);
    }

    /// A chunk with `n` tokens has been handed to the client's connection. For requests that do not stream nothing is
    /// recorded: their client has no first token.
    pub fn tokens(&mut self, now: Moment, n: u32) {
        if n == 0 || !self.state.streaming {
            return;
        }
        self.state.client.tokens(&self.shared.clients, now);
        let points = &mut self.state.points;
        points.last_token = Some(now);
        if points.first_token.is_none() {
            points.first_token = Some(now);
            self.model.ttft.observe_with(now.nanos_since(points.received), self.span.exemplar(now));
        }
        self.unflushed_tokens += u64::from(n);
        if self.state.gaps.push(now, n) {
            self.flush();
        }
    }

    /// What the coordinator said of its part, from its header or trailer; what comes later completes what came before.
    pub fn upstream_timing(&mut self, timing: &ServerTiming) {
        let (known, later) = (&mut self.state.upstream, UpstreamParts::from_timing(timing));
        known.prefill = later.prefill.or(known.prefill);
        known.kv_transfer = later.kv_transfer.or(known.kv_transfer);
        known.first_decode = later.first_decode.or(known.first_decode);
    }

    /// The engine's usage.
    pub fn usage(&mut self, usage: Usage) {
        self.state.usage = Some(usage);
    }

    /// The gateway's own work on one chunk; summed.
    pub fn postprocess(&mut self, work: Duration) {
        self.state.postprocess += nanos(work);
    }

    /// The request has ended with this status towards the client (a client that left is counted as 499 whatever is said
    /// here). Only the first call counts.
    #[expect(clippy::needless_pass_by_value, reason = "the outcome is handed over; callers build it in place")]
    pub fn finish(&mut self, now: Moment, outcome: Outcome, status: u16) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let status = if outcome == Outcome::ClientCancelled { CLIENT_CLOSED_REQUEST } else { status };
        self.state.points.finished = Some(now);
        self.no_longer_pending();
        self.shared.metrics.current.fetch_sub(1, Ordering::Relaxed);
        self.flush();
        self.state.client.ended(&self.shared.clients);
        if outcome == Outcome::ClientCancelled {
            self.state.client.aborted(&self.shared.clients, now, self.stage());
        }
        let parts = self.parts();
        self.observe(now, &outcome, status, parts.as_ref());
        self.log(&outcome, status);
        if self.span.is_recorded() {
            self.shared.tracer.finish(span::assemble(self, parts.as_ref(), &outcome, status));
            for span in span::stages(self, &outcome).into_iter().flatten() {
                self.shared.tracer.finish(span);
            }
        }
    }

    /// `Server-Timing` for the client, after [`Request::finish`] (as a trailer) or at the head (what is known by then).
    pub fn server_timing(&self) -> String {
        let points = &self.state.points;
        let Some(parts) = self.parts() else {
            return ServerTiming::default()
                .with("preprocess", points.preprocess())
                .with("queue", points.queue())
                .with("schedule", points.schedule())
                // Known where the request has ended already, as one that is refused has.
                .with("total", points.e2e())
                .to_header();
        };
        let timing = parts
            .iter()
            .fold(ServerTiming::default(), |timing, (component, nanos)| timing.with(component.as_str(), Some(nanos)));
        timing.with("ttft", points.ttft()).with("total", points.e2e()).to_header()
    }

    /// The stage the request is in, as far as its points tell: where a client left.
    pub fn stage(&self) -> Stage {
        let points = &self.state.points;
        match () {
            () if points.first_token.is_some() => Stage::Relay,
            () if points.decode_scheduling.is_some() && points.decode_scheduled.is_none() => Stage::Schedule,
            () if points.scheduled.or(points.dispatched).is_some() => Stage::Dispatch,
            () if points.dequeued.is_none() && points.enqueued.is_some() => Stage::Queue,
            () if points.preprocessed.is_some() => Stage::Schedule,
            () => Stage::Receive,
        }
    }

    fn parts(&self) -> Option<TtftParts> {
        self.state.points.ttft_parts(self.state.upstream)
    }

    fn no_longer_pending(&mut self) {
        if std::mem::replace(&mut self.is_pending, false) {
            self.shared.metrics.pending.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn flush(&mut self) {
        self.state.gaps.flush(&self.model.itl);
        let tokens = std::mem::take(&mut self.unflushed_tokens);
        self.counted_tokens += tokens;
        self.model.output_total.add(tokens);
    }

    fn observe(&self, at: Moment, outcome: &Outcome, status: u16, parts: Option<&TtftParts>) {
        let (model, points, look) = (&self.model, &self.state.points, self.span.exemplar(at));
        if let Some(schedule) = points.schedule() {
            model.schedule.observe(schedule);
        }
        for (component, nanos) in parts.into_iter().flat_map(TtftParts::iter) {
            model.parts[component as usize].observe(nanos);
        }
        if self.state.postprocess > 0 {
            model.postprocess.observe(self.state.postprocess);
        }
        if let Some(usage) = self.state.usage {
            model.input_total.add(usage.input);
            // What was seen while streaming is in already; the engine knows better what was not.
            model.output_total.add(usage.output.saturating_sub(self.counted_tokens));
        }
        if *outcome == Outcome::Completed {
            self.observe_completed(points, look);
        }
        model.ended(status, outcome, self.ended_stage(outcome));
    }

    fn observe_completed(&self, points: &GatewayPoints, look: Option<Exemplar>) {
        let model = &self.model;
        if let Some(e2e) = points.e2e() {
            model.e2e.observe_with(e2e, look);
        }
        if let Some(tpot) = points.tpot(self.output_tokens()) {
            model.tpot.observe_with(tpot, look);
        }
        if let Some(usage) = self.state.usage {
            model.input.observe(usage.input);
            model.output.observe(usage.output);
        }
    }

    /// The engine's count where it told one, else what was seen.
    pub(super) fn output_tokens(&self) -> u64 {
        self.state.usage.map_or(self.counted_tokens, |usage| usage.output)
    }

    /// The stage label of an outcome.
    pub(super) fn ended_stage(&self, outcome: &Outcome) -> &'static str {
        match outcome {
            Outcome::Completed => "none",
            Outcome::ClientCancelled => self.stage().as_str(),
            Outcome::Failed { stage, .. } => stage.as_str(),
        }
    }

    fn log(&self, outcome: &Outcome, status: u16) {
        let (trace_id, request_id) = (self.trace_id(), &*self.state.request_id);
        let ms = |nanos: Option<u64>| nanos.map(|nanos| nanos as f64 / 1e6);
        let (ttft_ms, e2e_ms) = (ms(self.state.points.ttft()), ms(self.state.points.e2e()));
        match outcome {
            Outcome::Failed { stage, blame, reason, .. } if *blame != Blame::Client => tracing::warn!(
                %trace_id, request_id, api = self.state.api, model = self.state.model.as_deref(), stage = stage.as_str(),
                blame = blame.as_str(), status, e2e_ms, "request failed: {reason}"
            ),
            Outcome::Failed { stage, reason, .. } => tracing::info!(
                %trace_id, request_id, api = self.state.api, stage = stage.as_str(), status, "request refused: {reason}"
            ),
            _ => tracing::debug!(
                %trace_id, request_id, api = self.state.api, model = self.state.model.as_deref(), status, ttft_ms, e2e_ms,
                "request {}", outcome.as_str()
            ),
        }
    }
}

impl Drop for Request {
    /// A request that nobody finished was dropped with its connection: the client left.
    fn drop(&mut self) {
        if !self.settled {
            self.finish(now(), Outcome::ClientCancelled, CLIENT_CLOSED_REQUEST);
        }
    }
}
