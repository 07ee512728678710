//! The response on its way from the decoder to the client.
//!
//! One body type sits between the two connections. Whatever the decoder sends is handed on within the same poll, as the
//! very bytes that came; beside it a scanner finds the events in them and a meter the tokens in those. Only where events
//! have to change (the prefill's cached tokens, usage that the client did not ask for) are they filtered, and then an
//! unfinished event waits for its rest.
//!
//! The other purpose is a truthful end. A decoder that dies mid-stream, or a prefill that fails behind a concurrent
//! decode, becomes an `error` event and then the end: a stream that simply stops looks like a short answer. And exactly
//! one outcome goes on record: at the last byte, at the error, or (when this is dropped) for a client that left.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use openai::sse::{Event, Filter, Scanner, Verdict};
use openai::usage::HideUsage;
use openai::{ApiError, Chunk, ErrorKind, TokenMeter};
use pd::CachedTokens;
use proxy::BoxError;
use proxy::client::UpstreamBody;
use telemetry::clock::{self, Moment};
use telemetry::coordinator::Request as Record;
use telemetry::server_timing::SERVER_TIMING;
use telemetry::{Blame, Outcome, Stage};

use crate::concurrent::Prefilling;
use crate::failure::{Failure, blame_for};

/// What to change in a stream of events.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Changes {
    pub(crate) cached: Option<CachedTokens>,
    pub(crate) hide: HideUsage,
}

impl Changes {
    fn any(&self) -> bool {
        self.cached.is_some() || self.hide.last || self.hide.continuous
    }

    /// What becomes of one event.
    fn verdict(&self, chunk: &Chunk, event: &Event<'_>) -> Verdict {
        let hidden = self.hide.verdict(chunk, event.data);
        match (self.cached, hidden) {
            (Some(cached), Verdict::Keep) if chunk.usage.is_some() => {
                let corrected = cached.correct(&Bytes::copy_from_slice(event.data));
                corrected.map_or(Verdict::Keep, Verdict::ReplaceData)
            }
            (_, hidden) => hidden,
        }
    }
}

/// How the bytes are looked at.
enum Mode {
    /// Not at all: errors of the engine, documents that were read as a whole before.
    Plain,
    /// Events are read beside the bytes.
    Watch(Scanner),
    /// Events may change.
    Change(Filter, Changes),
}

/// What the events of a stream have said.
#[derive(Default)]
struct Said {
    meter: TokenMeter,
    events: u64,
    /// A choice finished, or the stream's closing event came.
    closed: bool,
    /// The engine reported an error inside the stream.
    error: bool,
}

impl Said {
    /// Takes note of an event; returns what it carries.
    fn hear(&mut self, event: &Event<'_>) -> Chunk {
        let chunk = self.meter.feed(event.data);
        self.events += 1;
        self.closed |= chunk.done || chunk.finish.is_some();
        self.error |= chunk.error;
        chunk
    }
}

/// The response body of a generation request.
pub(crate) struct Relay {
    upstream: Option<UpstreamBody>,
    ready: VecDeque<Bytes>,
    mode: Mode,
    said: Said,
    status: StatusCode,
    /// Events of this API's streams end with a closing one; a stream without it broke off.
    closes: bool,
    prefilling: Option<Prefilling>,
    record: Option<Record>,
    trailers: Option<HeaderMap>,
    wants_trailers: bool,
    /// When the last chunk was handed out, until the next one is asked for.
    handed: Option<Moment>,
}

/// A relay before its first poll.
pub(crate) struct Start {
    /// The decoder's body; `None` where all of it is in `held`.
    pub(crate) upstream: Option<UpstreamBody>,
    /// What has been read of it.
    pub(crate) held: Vec<Bytes>,
    pub(crate) status: StatusCode,
    pub(crate) events: bool,
    pub(crate) changes: Changes,
    pub(crate) closes: bool,
    pub(crate) prefilling: Option<Prefilling>,
    pub(crate) record: Record,
    pub(crate) wants_trailers: bool,
}

impl Relay {
    pub(crate) fn new(start: Start) -> Self {
        let mode = match start.events {
            false => Mode::Plain,
            true if start.changes.any() => Mode::Change(Filter::default(), start.changes),
            true => Mode::Watch(Scanner::default()),
        };
        let mut relay = Self {
            upstream: start.upstream,
            ready: VecDeque::new(),
            mode,
            said: Said::default(),
            status: start.status,
            closes: start.closes,
            prefilling: start.prefilling,
            record: Some(start.record),
            trailers: None,
            wants_trailers: start.wants_trailers,
            handed: None,
        };
        for bytes in start.held {
            relay.take_in(bytes);
        }
        relay
    }

    /// Takes in a chunk of the decoder's: counts its tokens and lets out what may leave.
    fn take_in(&mut self, bytes: Bytes) {
        let said = &mut self.said;
        let mut tokens = 0;
        match &mut self.mode {
            Mode::Plain => self.ready.push_back(bytes),
            Mode::Watch(scanner) => {
                scanner.push(&bytes, |event| tokens += said.hear(&event).tokens);
                self.ready.push_back(bytes);
            }
            Mode::Change(filter, changes) => {
                let judge = |event: &Event<'_>| {
                    let chunk = said.hear(event);
                    tokens += chunk.tokens;
                    changes.verdict(&chunk, event)
                };
                filter.push(&bytes, judge, &mut self.ready);
            }
        }
        self.count(tokens);
    }

    fn count(&mut self, tokens: u32) {
        if let (1.., Some(record)) = (tokens, &mut self.record) {
            record.tokens(clock::now(), tokens);
        }
    }

    /// The decoder's body is whole. Lets out what was held back, and settles.
    fn complete(&mut self) {
        self.upstream = None;
        let streams = !matches!(self.mode, Mode::Plain);
        let mut half = false;
        match std::mem::replace(&mut self.mode, Mode::Plain) {
            Mode::Plain => {}
            Mode::Watch(scanner) => {
                let said = &mut self.said;
                let mut tokens = 0;
                half = scanner.finish(|event| tokens += said.hear(&event).tokens);
                self.count(tokens);
            }
            Mode::Change(filter, changes) => {
                half = !filter.is_between_events();
                let said = &mut self.said;
                let mut tokens = 0;
                let judge = |event: &Event<'_>| {
                    let chunk = said.hear(event);
                    tokens += chunk.tokens;
                    changes.verdict(&chunk, event)
                };
                filter.finish(judge, &mut self.ready);
                self.count(tokens);
            }
        }
        if streams && self.closes && !self.said.closed && !self.said.error {
            let what = if half { "in the middle of an event" } else { "before it was finished" };
            self.break_off(Failure::broke_off(&format!("the decode node ended the stream {what}")), half);
        } else {
            self.settle_well();
        }
    }

    /// Everything was relayed. Whether that is a success is for the engine's status, and its events, to say.
    fn settle_well(&mut self) {
        let outcome = if !self.status.is_success() {
            let status = self.status.as_u16();
            let reason = format!("the decode node answered {status}");
            Outcome::failed(Stage::Decode, blame_for(self.status), status, reason)
        } else if self.said.error {
            Outcome::failed(
                Stage::Decode,
                Blame::Upstream,
                self.status.as_u16(),
                "the engine reported an error in the stream",
            )
        } else {
            Outcome::Completed
        };
        self.settle(outcome);
    }

    fn settle(&mut self, outcome: Outcome) {
        let Some(mut record) = self.record.take() else { return };
        record.finish(clock::now(), outcome);
        let timing = self.wants_trailers.then(|| record.server_timing_trailer());
        if let Some(value) = timing.and_then(|text| HeaderValue::try_from(text).ok()) {
            self.trailers = Some(HeaderMap::from_iter([(SERVER_TIMING, value)]));
        }
    }

    /// Ends a stream of events with an error event; what follows from upstream does not matter any more.
    fn break_off(&mut self, failure: Failure, mid_event: bool) {
        // Dropping the body closes the decoder's connection: it must not go on generating for nobody.
        self.upstream = None;
        self.prefilling = None;
        self.settle(failure.outcome());
        if mid_event {
            self.ready.push_back(Bytes::from_static(b"\n\n"));
        }
        self.ready.push_back(failure.into_error().to_sse_event());
        self.mode = Mode::Plain;
    }

    fn is_mid_event(&self) -> bool {
        match &self.mode {
            Mode::Plain => false,
            Mode::Watch(scanner) => !scanner.is_between_events(),
            Mode::Change(filter, _) => !filter.is_between_events(),
        }
    }

    /// The decoder's body failed. A stream says so in its own language; anything else is cut off, which a client notices.
    fn broken(&mut self, error: proxy::ClientError) -> Option<BoxError> {
        let failure = Failure::broke_off(&format!("the decode node broke off: {error}"));
        if matches!(self.mode, Mode::Plain) {
            self.upstream = None;
            self.settle(failure.outcome());
            return Some(error.into());
        }
        let mid_event = self.is_mid_event();
        self.break_off(failure, mid_event);
        None
    }

    /// Looks after a concurrent prefill; `true` when it has failed and the stream was ended for it.
    fn watch_prefill(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(prefilling) = &mut self.prefilling else { return false };
        let Poll::Ready(end) = Pin::new(prefilling).poll(cx) else { return false };
        self.prefilling = None;
        let Some(record) = &mut self.record else { return false };
        match end.note(record) {
            Ok(()) => false,
            // The document of a request that does not stream is whole already, or its own failure is about to show.
            Err(_) if matches!(self.mode, Mode::Plain) => false,
            Err(failed) => {
                let mid_event = self.is_mid_event();
                self.break_off(failed.into_failure(), mid_event);
                true
            }
        }
    }

    /// Moves things on until there is something to hand out, or nothing more to come.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        while self.ready.is_empty() && self.record.is_some() {
            if self.watch_prefill(cx) {
                break;
            }
            let Some(upstream) = &mut self.upstream else {
                self.complete();
                break;
            };
            match ready!(Pin::new(upstream).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.take_in(bytes);
                    }
                }
                Some(Err(error)) => {
                    if let Some(error) = self.broken(error) {
                        return Poll::Ready(Err(error));
                    }
                }
                None => self.complete(),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The next chunk in hand. A body whose length was announced is never asked for more than that, so its end is put on
    /// record together with its last chunk.
    fn hand_out(&mut self) -> Option<Bytes> {
        let bytes = self.ready.pop_front()?;
        let over = self.upstream.as_ref().is_none_or(HttpBody::is_end_stream);
        if over && self.ready.is_empty() && matches!(self.mode, Mode::Plain) && self.record.is_some() {
            self.complete();
        }
        Some(bytes)
    }
}

impl HttpBody for Relay {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let (Some(handed), Some(record)) = (this.handed.take(), &mut this.record) {
            // hyper asks for the next chunk as soon as there is room for it: a pause is the client's.
            record.held(clock::now() - handed);
        }
        if let Err(error) = ready!(this.poll_ready(cx)) {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = match this.hand_out() {
            Some(bytes) => {
                this.handed = Some(clock::now());
                Some(Frame::data(bytes))
            }
            None => this.trailers.take().map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.record.is_none() && self.ready.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let held: usize = self.ready.iter().map(Bytes::len).sum();
        match (&self.upstream, &self.mode) {
            (None, Mode::Plain) => SizeHint::with_exact(held as u64),
            (Some(upstream), Mode::Plain) => match upstream.size_hint().exact() {
                Some(rest) => SizeHint::with_exact(rest + held as u64),
                None => SizeHint::default(),
            },
            _ => SizeHint::default(),
        }
    }
}

impl Failure {
    /// The decoder stopped in the middle of its answer.
    fn broke_off(message: &str) -> Self {
        Self::Made {
            stage: Stage::Decode,
            blame: Blame::Upstream,
            error: ApiError::new(ErrorKind::BadGateway, message),
        }
    }
}
