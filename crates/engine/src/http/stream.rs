//! A streamed answer as an HTTP body, and bodies that break on demand.
//!
//! The body is polled by the connection's own task: a step wakes it, it renders whatever tokens there are and hands
//! them over in one frame. Dropping it, which is what happens when the client goes, drops the tickets, which gives the
//! requests up.

use super::Refusal;
use super::answer::{Answer, Choice, StoreJob};
use crate::fault::{DRIP_BYTES, Fault};
use bytes::Bytes;
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http_body::Body as HttpBody;
use proxy::{Body, BoxError};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::Sleep;

/// What a garbled answer consists of.
pub(super) const GARBAGE: &[u8] = b"\x00\xff\xfe{]data \xc3\x28: nonsense\n\n\x80\x81";

/// Room for a token's chunk, so that rendering it does not reallocate.
const CHUNK: usize = 320;

type Framed = Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>>;

impl Answer {
    /// The head now, the tokens as they come.
    pub(super) fn into_stream(self) -> Response<Body> {
        let fault = self.fault;
        let body =
            if fault.garbage { Body::from(Bytes::from_static(GARBAGE)) } else { Body::wrap(TokenStream::new(self)) };
        let mut response = Response::new(Broken::wrap(body, fault));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

/// The events of an answer.
struct TokenStream {
    answer: Answer,
    /// What is said before anything has been computed.
    opening: Vec<u8>,
    phase: Phase,
}

enum Phase {
    Generating,
    /// All is generated, but the shared store must have the blocks before the client may act on the end.
    Storing {
        job: StoreJob,
        rest: Vec<u8>,
    },
    Ended,
}

impl TokenStream {
    fn new(mut answer: Answer) -> Self {
        let mut opening = Vec::new();
        answer.frame.open(&mut opening);
        Self { answer, opening, phase: Phase::Generating }
    }

    fn poll_generate(&mut self, cx: &Context<'_>) -> Poll<Vec<u8>> {
        let Answer { frame, choices, .. } = &mut self.answer;
        let mut out = Vec::with_capacity(CHUNK);
        for (index, choice) in (0..).zip(choices.iter_mut()) {
            // Until it is pending: only then will it wake this task.
            while choice.poll_render(index, frame, &mut out, cx).is_ready() {}
        }
        if choices.iter().all(Choice::ended) {
            self.answer.render_end(&mut out);
            // Nobody will learn the names, as on a real instance: a streamed prefill waits for its time-out.
            self.answer.grant_lease();
            self.phase = Phase::Ended;
        }
        if out.is_empty() { Poll::Pending } else { Poll::Ready(out) }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        if !self.opening.is_empty() {
            return Poll::Ready(Some(std::mem::take(&mut self.opening)));
        }
        if let Phase::Generating = self.phase {
            let rest = ready!(self.poll_generate(cx));
            match self.answer.store_job().filter(|_| matches!(self.phase, Phase::Ended)) {
                Some(job) => self.phase = Phase::Storing { job, rest },
                None => return Poll::Ready(Some(rest)),
            }
        }
        if let Phase::Storing { job, rest } = &mut self.phase {
            ready!(job.as_mut().poll(cx));
            let rest = std::mem::take(rest);
            self.phase = Phase::Ended;
            return Poll::Ready(Some(rest));
        }
        Poll::Ready(None)
    }
}

impl Answer {
    /// What follows the last choice's end.
    fn render_end(&mut self, out: &mut Vec<u8>) {
        if self.failed() {
            self.frame.fail(&Refusal::internal(), out);
        } else {
            let usage = self.usage();
            self.frame.end(usage, self.include_usage, out);
        }
    }
}

impl HttpBody for TokenStream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Framed {
        let bytes = ready!(self.get_mut().poll_bytes(cx));
        Poll::Ready(bytes.map(|bytes| Ok(http_body::Frame::data(bytes.into()))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }
}

/// A body that suffers a fault.
pub(super) struct Broken {
    inner: Body,
    fault: Fault,
    /// Token events let through.
    tokens: u32,
    /// Let through, but still to drip out.
    held: Bytes,
    pause: Option<Pin<Box<Sleep>>>,
    then: Then,
}

/// What comes after the bytes that were let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    Reset,
    Hang,
    End,
}

impl Broken {
    /// `inner`, broken where the fault says so.
    pub(super) fn wrap(inner: Body, fault: Fault) -> Body {
        if !fault.breaks_body() {
            return inner;
        }
        Body::wrap(Self { inner, fault, tokens: 0, held: Bytes::new(), pause: None, then: Then::GoOn })
    }

    /// How much of `data`, which holds whole events (or a document), passes, and what comes then.
    fn cut(&mut self, data: &[u8]) -> (usize, Then) {
        let mut passed = 0;
        while passed < data.len() {
            let rest = &data[passed..];
            let event = rest.windows(2).position(|pair| pair == b"\n\n").map_or(rest.len(), |at| at + 2);
            if self.fault.reset_after.is_some_and(|after| self.tokens >= after) {
                return (passed, Then::Reset);
            }
            if self.fault.hang_after.is_some_and(|after| self.tokens >= after) {
                return (passed, Then::Hang);
            }
            if self.fault.half_event_after.is_some_and(|after| self.tokens >= after) {
                return (passed + event / 2, Then::End);
            }
            self.tokens += u32::from(!rest[..event].windows(8).any(|word| word == br#"{"role":"#));
            passed += event;
        }
        (passed, Then::GoOn)
    }

    fn poll_drip(&mut self, cx: &mut Context<'_>, gap: std::time::Duration) -> Poll<Bytes> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
        }
        self.pause = Some(Box::pin(tokio::time::sleep(gap)));
        Poll::Ready(self.held.split_to(DRIP_BYTES.min(self.held.len())))
    }
}

impl HttpBody for Broken {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Framed {
        loop {
            if !self.held.is_empty() {
                let bytes = match self.fault.drip {
                    Some(gap) => ready!(self.poll_drip(cx, gap)),
                    None => std::mem::take(&mut self.held),
                };
                return Poll::Ready(Some(Ok(http_body::Frame::data(bytes))));
            }
            match self.then {
                Then::GoOn => {}
                Then::Reset => {
                    return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::ConnectionReset).into())));
                }
                Then::Hang => return Poll::Pending,
                Then::End => return Poll::Ready(None),
            }
            let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)) else {
                return Poll::Ready(None);
            };
            let Ok(data) = frame?.into_data() else { continue };
            let (passed, then) = self.cut(&data);
            self.held = data.slice(..passed);
            self.then = then;
        }
    }
}
