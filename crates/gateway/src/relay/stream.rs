//! An event stream on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body as HttpBody, Frame};
use openai::Api;
use openai::usage::HideUsage;
use proxy::{Body, BoxError};
use telemetry::clock::{self, Moment};
use telemetry::gateway::Request as Record;
use telemetry::server_timing::ServerTiming;

use super::Break;
use super::events::{Events, Outgoing, Tokens};
use super::silence::Silence;
use crate::held::Held;
use crate::{headers, outcome};

/// How a stream is to be passed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamTerms {
    /// Whose events they are.
    pub(crate) api: Api,
    /// What the client did not ask for.
    pub(crate) hide: HideUsage,
    /// How long the engine may stay silent.
    pub(crate) idle: Duration,
    /// Whether the client takes trailers.
    pub(crate) trailers: bool,
}

/// The client's side of an engine's event stream.
///
/// Whatever becomes of the engine's stream, the client's ends in order: a stream that breaks off is ended by an SSE `error`
/// event, never by silence. Dropped before its end, it leaves the request to settle itself as left by the client, unless
/// the last event had gone out already: many clients close as soon as they have read `[DONE]`.
pub(crate) struct Stream {
    /// The engine's side; gone once it has ended, so that its connection closes at that moment.
    upstream: Option<Body>,
    events: Events,
    out: Outgoing,
    silence: Silence,
    api: Api,
    trailers: bool,
    stage: Stage,
    record: Option<Record>,
    held: Held,
    status: StatusCode,
    /// When the last chunk was handed out, until the next one is asked for.
    handed: Option<Moment>,
}

enum Stage {
    /// The engine may say more.
    Open,
    /// Everything is in `out`; then these trailers.
    Ending(Option<HeaderMap>),
    /// Nothing more comes.
    Done,
}

/// Tokens that were handed on at `now`.
fn count(record: &mut Record, held: &mut Held, now: Moment, tokens: Tokens) {
    held.tokens(tokens.first + tokens.rest, now);
    record.tokens(now, tokens.first);
    record.tokens(now, tokens.rest);
}

fn trailers(timing: String) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    headers::insert_timing(&mut trailers, timing);
    trailers
}

impl Stream {
    /// Passes `upstream` on; `record` is settled at its end. `status` is that of the engine's answer.
    pub(crate) fn new(upstream: Body, record: Record, held: Held, status: StatusCode, terms: StreamTerms) -> Self {
        Self {
            upstream: Some(upstream),
            events: Events::new(terms.hide),
            out: Outgoing::new(),
            silence: Silence::new(terms.idle, clock::now()),
            api: terms.api,
            trailers: terms.trailers,
            stage: Stage::Open,
            record: Some(record),
            held,
            status,
            handed: None,
        }
    }

    /// Waits for the engine's next word and deals with it.
    fn poll_engine(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(upstream) = &mut self.upstream else {
            self.stage = Stage::Done;
            return Poll::Ready(());
        };
        match Pin::new(upstream).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => self.frame(frame),
            Poll::Ready(Some(Err(_))) => self.broke(Break::Lost),
            Poll::Ready(None) => self.ended(),
            Poll::Pending => {
                ready!(self.silence.poll(cx, clock::now));
                self.broke(Break::Silent);
            }
        }
        Poll::Ready(())
    }

    fn frame(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(chunk) => self.chunk(chunk),
            Err(frame) => {
                if let (Ok(trailers), Some(record)) = (frame.into_trailers(), &mut self.record) {
                    record.upstream_timing(&ServerTiming::from_headers(&trailers));
                }
                self.ended();
            }
        }
    }

    fn chunk(&mut self, chunk: Bytes) {
        let came = clock::now();
        self.silence.heard(came);
        let tokens = self.events.push(chunk, &mut self.out);
        let Some(record) = &mut self.record else { return };
        let handed = clock::now();
        record.postprocess(handed - came);
        count(record, &mut self.held, handed, tokens);
        let seen = self.events.seen();
        if seen.done {
            self.held.complete(seen.usage);
        }
    }

    /// The engine ended the stream in good order.
    fn ended(&mut self) {
        let tokens = self.events.finish(&mut self.out);
        if let Some(record) = &mut self.record {
            count(record, &mut self.held, clock::now(), tokens);
        }
        if self.events.seen().is_whole() {
            self.settle(None);
        } else {
            self.broke(Break::Truncated);
        }
    }

    /// The engine's stream ended before its last event.
    fn broke(&mut self, how: Break) {
        if self.events.seen().done {
            return self.settle(None);
        }
        self.events.abort(how.to_error().to_sse_event_for(self.api), &mut self.out);
        self.settle(Some(how));
    }

    /// Says how the request ended, and lets go of the engine.
    fn settle(&mut self, broken: Option<Break>) {
        let seen = self.events.seen();
        self.upstream = None;
        std::mem::take(&mut self.held).complete(seen.usage);
        let Some(mut record) = self.record.take() else { return };
        if let Some(usage) = seen.usage {
            record.usage(super::counted(usage));
        }
        let outcome = match broken {
            Some(how) => outcome::of_break(how, self.status),
            None if seen.error => outcome::of_error_event(self.status),
            None => outcome::of_answer(self.status),
        };
        record.finish(clock::now(), outcome, self.status.as_u16());
        self.stage = Stage::Ending(self.trailers.then(|| trailers(record.server_timing())));
    }
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let (Some(handed), Some(record)) = (this.handed.take(), &mut this.record) {
            // hyper asks for the next chunk as soon as there is room for it: a pause is the client's.
            record.held(clock::now() - handed);
        }
        loop {
            if let Some(bytes) = this.out.pop_front() {
                this.handed = Some(clock::now());
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match &mut this.stage {
                Stage::Open => ready!(this.poll_engine(cx)),
                Stage::Ending(trailers) => {
                    let trailers = trailers.take();
                    this.stage = Stage::Done;
                    if let Some(trailers) = trailers {
                        return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                    }
                }
                Stage::Done => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.events.seen().done && self.out.is_empty() {
            self.settle(None);
        }
    }
}
