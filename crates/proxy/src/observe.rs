//! The end-of-stream wrapper: every frame seen, and the end reported exactly once with its reason.
//!
//! A body can stop in more ways than it can finish. hyper drops it when the client leaves; it never polls a body that says
//! it is already over; and with a known length it drops the body as soon as the last byte is written, without asking for
//! the final `None`. A wrapper that waits for `None` would call the last two an abort. [`Observed`] therefore asks the inner
//! body after every frame, and once more when it is dropped, whether it is at its end.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::BoxError;

#[cfg(test)]
mod tests;

/// How a body ended.
#[derive(Debug)]
pub enum End<'a> {
    /// All bytes went by; no trailers came from the inner body.
    Complete,
    /// All bytes went by, then these trailers.
    Trailers(&'a HeaderMap),
    /// The inner body failed.
    Error(&'a (dyn Error + 'static)),
    /// Dropped before its end: the reader left, or the relaying task was cancelled.
    Dropped,
}

/// Watches a body go by.
pub trait Observe {
    /// A data frame is about to be handed on.
    fn frame(&mut self, data: &Bytes);

    /// The inner body is whole: trailers to send after it, merged over those it brought itself. Asked once, before
    /// [`Observe::end`]; not asked after an error or an early drop.
    ///
    /// Over HTTP/1.1 hyper sends them only when the body is chunked, the request said `TE: trailers` and the response
    /// head lists the names in `Trailer`.
    fn trailers(&mut self) -> Option<HeaderMap> {
        None
    }

    /// The end; called exactly once, from `poll_frame` or from the drop.
    fn end(&mut self, end: End<'_>);
}

/// A body that tells `O` of everything that passes. Keeps the inner size hint, so a `Content-Length` stays one.
pub struct Observed<B, O>
where
    B: HttpBody<Data = Bytes> + Unpin,
    O: Observe,
{
    inner: B,
    observer: O,
    stage: Stage,
}

/// Where in its life an observed body is.
enum Stage {
    /// Frames are still coming.
    Open,
    /// The inner body is whole and its end reported; these trailers still wait to be taken.
    Trailing(HeaderMap),
    /// Reported; nothing more comes.
    Done,
}

impl<B, O> Observed<B, O>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    O: Observe,
{
    /// Wraps `inner`; nothing is reported before the first poll or the drop.
    pub fn new(inner: B, observer: O) -> Self {
        Self { inner, observer, stage: Stage::Open }
    }

    /// The observer, for a caller that still has to set something on it before the body is sent.
    pub fn observer_mut(&mut self) -> &mut O {
        &mut self.observer
    }

    /// A data frame passes; it may turn out to be the last.
    fn data(&mut self, data: &Bytes) {
        self.observer.frame(data);
        if self.inner.is_end_stream() {
            self.complete();
        }
    }

    /// The inner body ended well and without trailers.
    fn complete(&mut self) {
        let extra = self.observer.trailers();
        self.stage = extra.filter(|map| !map.is_empty()).map_or(Stage::Done, Stage::Trailing);
        self.observer.end(End::Complete);
    }

    /// The inner body ended with trailers; returns them with the observer's own merged over.
    fn complete_with(&mut self, mut trailers: HeaderMap) -> HeaderMap {
        let extra = self.observer.trailers();
        self.stage = Stage::Done;
        self.observer.end(End::Trailers(&trailers));
        trailers.extend(extra.unwrap_or_default());
        trailers
    }

    /// What the inner body said, while it was open.
    fn pass(&mut self, item: Option<Result<Frame<Bytes>, B::Error>>) -> Option<Result<Frame<Bytes>, BoxError>> {
        match item {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    self.data(&data);
                    Some(Ok(Frame::data(data)))
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    Some(Ok(Frame::trailers(self.complete_with(trailers))))
                }
            },
            Some(Err(error)) => {
                let error: BoxError = error.into();
                self.stage = Stage::Done;
                self.observer.end(End::Error(error.as_ref()));
                Some(Err(error))
            }
            None => {
                self.complete();
                self.trailing().map(Ok)
            }
        }
    }

    /// The observer's trailers, once.
    fn trailing(&mut self) -> Option<Frame<Bytes>> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Trailing(trailers) => Some(Frame::trailers(trailers)),
            Stage::Open | Stage::Done => None,
        }
    }
}

impl<B, O> HttpBody for Observed<B, O>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    O: Observe + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if !matches!(this.stage, Stage::Open) {
            return Poll::Ready(this.trailing().map(Ok));
        }
        let item = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        Poll::Ready(this.pass(item))
    }

    fn is_end_stream(&self) -> bool {
        // A body over before its first poll (no bytes at all) is reported when it is dropped, since hyper never polls it.
        match self.stage {
            Stage::Open => self.inner.is_end_stream(),
            Stage::Trailing(_) => false,
            Stage::Done => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B, O> Drop for Observed<B, O>
where
    B: HttpBody<Data = Bytes> + Unpin,
    O: Observe,
{
    fn drop(&mut self) {
        if matches!(self.stage, Stage::Open) {
            let whole = self.inner.is_end_stream();
            self.observer.end(if whole { End::Complete } else { End::Dropped });
        }
    }
}
