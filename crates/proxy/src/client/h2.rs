//! HTTP/2 upstreams: one shared connection per host, with a task of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{HeaderMap, Request, Response, header};
use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use telemetry::clock::{self, Moment};
use tokio_util::task::TaskTracker;

use super::error::{ClientError, ErrorKind};
use super::pool::Host;
use super::{Client, Exchange, Target, UpstreamBody};
use crate::io::Wire;
use crate::{Body, BoxError};

/// Starts hyper's helper futures as tasks that their owner can wait for.
#[derive(Clone)]
pub(crate) struct Tracked(pub(crate) TaskTracker);

impl<F> Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Sends a request over the host's shared connection, opening it where there is none.
pub(super) async fn send<P>(
    client: &Client,
    host: &Arc<Host>,
    target: &Target,
    request: Request<Body>,
    mut prepare: P,
) -> Result<Response<UpstreamBody>, ClientError>
where
    P: FnMut(&mut HeaderMap, Moment),
{
    let mut request = absolute_form(request, target)?;
    let mut retried_stale = false;
    loop {
        let (mut sender, reused) = match host.shared() {
            Some(sender) => (sender, true),
            None => (open(client, host).await?, false),
        };
        if reused {
            client.shared.reused.fetch_add(1, Ordering::Relaxed);
        }
        let sent = clock::now();
        prepare(request.headers_mut(), sent);
        let answer = async { Ok(sender.try_send_request(request).await) };
        let mut refused = match client.in_time(answer).await.map_err(|error| error.on(reused, false))? {
            Ok(response) => {
                let exchange = Exchange { reused, retried_stale, sent };
                return Ok(response.map(|incoming| UpstreamBody::shared(incoming, exchange)));
            }
            Err(refused) => refused,
        };
        // The connection gives back only what it has not begun to send, so this retry is safe for any body.
        match refused.take_message() {
            Some(message) if reused && !retried_stale => request = message,
            _ => return Err(ClientError::from_hyper(refused.into_error(), false).on(reused, false)),
        }
        retried_stale = true;
        client.shared.stale_retries.fetch_add(1, Ordering::Relaxed);
        host.unshare();
    }
}

async fn open(client: &Client, host: &Host) -> Result<http2::SendRequest<Body>, ClientError> {
    let wire = Wire::new(client.connect(host).await?, Arc::default(), None);
    let executor = Tracked(client.shared.tasks.clone());
    let (sender, connection) = http2::Builder::new(executor)
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(client.shared.config.max_header_bytes).unwrap_or(u32::MAX))
        .handshake(TokioIo::new(wire))
        .await
        .map_err(|error| ClientError::from_hyper(error, false))?;
    client.shared.tasks.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "HTTP/2 upstream connection ended");
        }
    });
    host.share(sender.clone());
    Ok(sender)
}

/// Gives the request the form HTTP/2 needs: an absolute URI, no `Host`, no field of a single hop.
fn absolute_form(mut request: Request<Body>, target: &Target) -> Result<Request<Body>, ClientError> {
    let uri = std::mem::take(request.uri_mut());
    *request.uri_mut() =
        target.absolute(uri).map_err(|error| ClientError::new(ErrorKind::InvalidRequest, BoxError::from(error)))?;
    *request.version_mut() = http::Version::HTTP_2;
    request.headers_mut().remove(header::HOST);
    Ok(request)
}
