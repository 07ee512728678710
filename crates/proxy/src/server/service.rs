//! Between hyper and a component's handler: connection facts in, panics and ends accounted for.

use std::any::Any;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;
use telemetry::Peer;
use telemetry::clock::Moment;

use super::internal_error;
use super::registry::Vitals;
use crate::io::Traffic;
use crate::{Body, BoxError};

/// What is known of the connection a request came by; an extension of every request.
#[derive(Clone, Debug)]
pub struct ConnInfo {
    /// The other end.
    pub peer: SocketAddr,
    /// Whether it is encrypted.
    pub tls: bool,
    /// The connection's writing side.
    pub egress: Egress,
}

/// What has left for the client so far, on the whole connection.
#[derive(Clone, Debug)]
pub struct Egress {
    traffic: Arc<Traffic>,
}

impl Egress {
    /// When the kernel last took bytes; the honest reading of "handed to the client's connection".
    #[must_use]
    pub fn last_write(&self) -> Option<Moment> {
        self.traffic.last_write()
    }

    /// Bytes that the kernel took, over the life of the connection.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.traffic.written()
    }

    /// The connection as a recorder wants to know it: when its client left, and which write is to be followed by the
    /// listener's [`crate::EgressWatch`].
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.traffic.peer().clone()
    }
}

/// A handler as hyper wants to see it.
pub(super) struct Adapter<S> {
    service: S,
    vitals: Arc<Vitals>,
    info: ConnInfo,
}

impl<S> Adapter<S> {
    pub(super) fn new(service: S, vitals: Arc<Vitals>, peer: SocketAddr, tls: bool) -> Self {
        let egress = Egress { traffic: Arc::clone(&vitals.traffic) };
        Self { service, vitals, info: ConnInfo { peer, tls, egress } }
    }
}

impl<S, F> Service<Request<Incoming>> for Adapter<S>
where
    S: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Body>>,
{
    type Response = Response<Counted>;
    type Error = Infallible;
    type Future = Handling<F>;

    fn call(&self, mut request: Request<Incoming>) -> Handling<F> {
        let busy = Some(Busy::new(&self.vitals));
        request.extensions_mut().insert(self.info.clone());
        let handler = catch_unwind(AssertUnwindSafe(|| Box::pin((self.service)(request))))
            .map_err(|panic| report(panic.as_ref()))
            .ok();
        Handling { handler, busy }
    }
}

/// A handler at work. `None` where it panicked.
///
/// hyper keeps room for this on every connection as long as that is open. A handler is some KiB of state, and gone when the
/// stream of its answer begins: so it has a box of its own.
pub(super) struct Handling<F> {
    handler: Option<Pin<Box<F>>>,
    busy: Option<Busy>,
}

impl<F> Future for Handling<F>
where
    F: Future<Output = Response<Body>>,
{
    type Output = Result<Response<Counted>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let response = match &mut this.handler {
            None => internal_error(),
            Some(handler) => match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
                Ok(polled) => ready!(polled),
                Err(panic) => {
                    report(panic.as_ref());
                    // What is left of the handler must not be polled again.
                    this.handler = None;
                    internal_error()
                }
            },
        };
        let busy = this.busy.take();
        Poll::Ready(Ok(response.map(|body| Counted { body, failed: None, _busy: busy })))
    }
}

/// Says that a handler panicked, and with what.
fn report(panic: &(dyn Any + Send)) {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text");
    tracing::error!(panic = message, "request handler panicked; answered 500");
}

/// A request in progress, for as long as it exists.
struct Busy(Arc<Vitals>);

impl Busy {
    fn new(vitals: &Arc<Vitals>) -> Self {
        vitals.begin();
        Self(Arc::clone(vitals))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A response body that keeps its connection marked busy, and whose failure does not overtake the bytes before it.
///
/// hyper closes the connection as soon as a body fails, with all that is still in its write buffer. An engine that dies
/// after a token would so take the token with it whenever both arrive together. A failure is therefore held back for one
/// poll, in which hyper flushes.
pub(super) struct Counted {
    body: Body,
    failed: Option<BoxError>,
    _busy: Option<Busy>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Err(error)) => {
                self.failed = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            item => Poll::Ready(item),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
