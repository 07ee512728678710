//! One scheduler: where it is, whether it is worth asking, and which name it knows us by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use proxy::Body;
use proxy::client::Client;
use telemetry::clock::{Moment, nanos};

use super::batch::Mailbox;
use crate::endpoints::Endpoint;

/// How long a scheduler that failed is left alone.
const COOL_DOWN: Duration = Duration::from_secs(1);

/// The longest answer that is read, bytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// One scheduler.
pub(super) struct Peer {
    pub(super) endpoint: Endpoint,
    /// Until when it is not asked, on the clock; 0 where it may be.
    rests_until: AtomicU64,
    /// Our end of its keepalive connection, which it knows us by; none while there is no such connection.
    gateway_id: ArcSwapOption<String>,
    /// What waits for the next exchange with it.
    pub(super) mailbox: Mailbox,
}

impl Peer {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            rests_until: AtomicU64::new(0),
            gateway_id: ArcSwapOption::empty(),
            mailbox: Mailbox::default(),
        }
    }

    /// Whether it is worth asking. Of the requests that come when a failed one has rested, only the first is sent there, so
    /// that a scheduler which hangs does not make all of them wait.
    pub(super) fn may_be_asked(&self, now: Moment) -> bool {
        let until = self.rests_until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let rested = until <= on_clock(now);
        rested && self.rests_until.compare_exchange(until, rest(now), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// It answered.
    pub(super) fn answered(&self) {
        if self.rests_until.load(Ordering::Relaxed) != 0 && self.rests_until.swap(0, Ordering::Relaxed) != 0 {
            tracing::info!(scheduler = %self.endpoint, "scheduler answers again");
        }
    }

    /// It could not be reached, or is none that places.
    pub(super) fn failed(&self, now: Moment, why: &str) {
        if self.rests_until.swap(rest(now), Ordering::Relaxed) == 0 {
            tracing::warn!(scheduler = %self.endpoint, why, "scheduler does not answer");
        }
    }

    /// The name it knows us by.
    pub(super) fn gateway_id(&self) -> Option<Arc<String>> {
        self.gateway_id.load_full()
    }

    /// It knows us by this name from now on, and takes batches or does not.
    pub(super) fn connected(&self, gateway_id: String, takes_batches: bool) {
        self.gateway_id.store(Some(Arc::new(gateway_id)));
        self.mailbox.open(takes_batches);
    }

    /// It knows us no more.
    pub(super) fn disconnected(&self) {
        self.mailbox.open(false);
        self.gateway_id.store(None);
    }

    /// Posts JSON and reads the answer.
    ///
    /// # Errors
    /// Where there was none, with the reason.
    pub(super) async fn post(
        &self,
        client: &Client,
        token: Option<&HeaderValue>,
        path: &'static str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), String> {
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(path);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        let response = client.send(self.endpoint.target(), request).await.map_err(|error| error.to_string())?;
        let (head, body) = response.into_parts();
        let body = proxy::body::collect(body, LONGEST_ANSWER).await.map_err(|error| error.to_string())?;
        Ok((head.status, body))
    }
}

fn on_clock(now: Moment) -> u64 {
    now.nanos_since(Moment::default())
}

fn rest(now: Moment) -> u64 {
    // Never 0, which stands for "may be asked".
    on_clock(now).saturating_add(nanos(COOL_DOWN)).max(1)
}

#[cfg(test)]
mod tests {
    use telemetry::clock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_failed_is_tried_again_by_one_request_at_a_time() {
        let peer = Peer::new("s:1".parse().unwrap());
        assert!(peer.may_be_asked(clock::now()));
        peer.failed(clock::now(), "refused");
        assert!(!peer.may_be_asked(clock::now()));
        tokio::time::advance(COOL_DOWN).await;
        let asked: Vec<_> = (0..3).map(|_| peer.may_be_asked(clock::now())).collect();
        assert_eq!(asked, [true, false, false]);
        peer.answered();
        assert!(peer.may_be_asked(clock::now()));
    }
}
