//! The one body type that components pass around, and reading a body into memory with a limit.
//!
//! [`Body`] is an enum rather than a boxed trait object: the two bodies of the hot path (an upstream's answer being
//! relayed, and bytes already in hand) cost no allocation and no virtual call. Whatever else a component wraps goes through
//! [`Body::wrap`].

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;

use crate::client::UpstreamBody;

#[cfg(test)]
mod tests;

/// Any error a body can end with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request or response body. `Unpin`, so it can be polled through `&mut`.
#[derive(Default)]
pub enum Body {
    /// No bytes.
    #[default]
    Empty,
    /// Bytes in hand, sent as one frame with a known length.
    Full(Bytes),
    /// What a client of our server sends.
    Incoming(Incoming),
    /// What an upstream answers; dropping it early closes its connection.
    Upstream(UpstreamBody),
    /// Anything else.
    Dyn(Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>),
}

impl Body {
    /// Boxes a body of another type, typically an [`crate::Observed`] one.
    pub fn wrap<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::Dyn(Box::pin(Erased(body)))
    }

    /// A second body with the same bytes, for the kinds that can be sent twice (nothing, or bytes in hand).
    #[must_use]
    pub fn replay(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Full(bytes) => Some(Self::Full(bytes.clone())),
            Self::Incoming(_) | Self::Upstream(_) | Self::Dyn(_) => None,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        if incoming.is_end_stream() { Self::Empty } else { Self::Incoming(incoming) }
    }
}

impl From<UpstreamBody> for Body {
    fn from(body: UpstreamBody) -> Self {
        Self::Upstream(body)
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Body::Empty"),
            Self::Full(bytes) => write!(f, "Body::Full({} bytes)", bytes.len()),
            Self::Incoming(_) => f.write_str("Body::Incoming"),
            Self::Upstream(_) => f.write_str("Body::Upstream"),
            Self::Dyn(_) => f.write_str("Body::Dyn"),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Incoming(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Upstream(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Dyn(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Incoming(body) => body.is_end_stream(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Dyn(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Incoming(body) => body.size_hint(),
            Self::Upstream(body) => body.size_hint(),
            Self::Dyn(body) => body.size_hint(),
        }
    }
}

pin_project_lite::pin_project! {
    /// Turns a body's own error type into [`BoxError`].
    struct Erased<B> {
        #[pin]
        inner: B,
    }
}

#[expect(non_snake_case, reason = "the constructor of the projected struct reads like the tuple it stands for")]
fn Erased<B>(inner: B) -> Erased<B> {
    Erased { inner }
}

impl<B> HttpBody for Erased<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().inner.poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Why [`collect`] could not return a whole body.
#[derive(Debug, Error)]
pub enum CollectError {
    /// The body is longer than the limit, by its declared length or by what arrived.
    #[error("body exceeds {limit} bytes")]
    TooLarge {
        /// The limit that was given, in bytes.
        limit: usize,
    },
    /// The body failed before its end; what had arrived is discarded.
    #[error("body ended early: {0}")]
    Incomplete(#[source] BoxError),
}

/// Reads a whole body of at most `limit` bytes; trailers are dropped.
///
/// A body that declares a longer length is refused before a byte of it is read. A body of one frame is returned without a
/// copy; several are copied once each.
///
/// # Errors
/// [`CollectError::TooLarge`] past the limit, [`CollectError::Incomplete`] where the body itself fails.
pub async fn collect<B>(mut body: B, limit: usize) -> Result<Bytes, CollectError>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let declared = body.size_hint();
    if declared.lower() > limit as u64 {
        return Err(CollectError::TooLarge { limit });
    }
    let mut gathered = Gathered::default();
    while let Some(frame) = next_frame(&mut body).await {
        let frame = frame.map_err(|error| CollectError::Incomplete(error.into()))?;
        let Ok(data) = frame.into_data() else { continue };
        if gathered.len() + data.len() > limit {
            return Err(CollectError::TooLarge { limit });
        }
        // The declared length is a claim, not memory: grow with what arrives, up to a step beyond it.
        gathered.push(data, declared.upper());
    }
    Ok(gathered.finish())
}

/// The next frame of a body, or `None` at its end.
pub async fn next_frame<B>(body: &mut B) -> Option<Result<Frame<B::Data>, B::Error>>
where
    B: HttpBody + Unpin,
{
    std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

/// Most memory reserved at once on the word of a `Content-Length`.
const RESERVE_STEP: usize = 1 << 20;

/// Bytes so far: none, one frame as it came, or several joined.
#[derive(Default)]
struct Gathered {
    first: Bytes,
    joined: BytesMut,
}

impl Gathered {
    fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    fn push(&mut self, data: Bytes, declared: Option<u64>) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        if self.joined.is_empty() {
            let expected = declared.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            let reserve = expected.min(RESERVE_STEP).max(self.first.len() + data.len());
            self.joined.reserve(reserve);
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&data);
    }

    fn finish(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}
