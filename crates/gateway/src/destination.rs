//! Where an attempt goes, and sending it there.

use http::header::TE;
use http::{HeaderMap, HeaderValue, Method, Request};
use proxy::Body;
use telemetry::clock::Moment;
use telemetry::gateway::Request as Record;

use crate::attempts::Attempts;
use crate::disagg::is_split;
use crate::errors::Refusal;
use crate::exchange::Ask;
use crate::headers::{ELAPSED, PREFILLER, REQUEST_ID};
use crate::placing;
use crate::prepare::Prepared;
use crate::routing::Placement;
use crate::scheduler::Lease;
use crate::state::State;
use crate::traffic::Sent;

/// Where an attempt goes.
#[derive(Debug)]
pub(crate) enum Destination {
    /// To instances of the cluster.
    Local(Placement),
}

impl Destination {
    /// Chooses who serves the next attempt.
    pub(crate) async fn choose(
        state: &State,
        ask: &Ask,
        record: &mut Record,
        prepared: &Prepared,
        attempts: &mut Attempts<'_>,
    ) -> Result<Self, Refusal> {
        placing::place(state, ask, record, prepared, attempts).await.map(Self::Local)
    }

    /// What schedulers have on their accounts for it, until its last byte.
    pub(crate) fn into_leases(self) -> Vec<Lease> {
        match self {
            Self::Local(placement) => placement.leases,
        }
    }

    /// Its name in spans and logs.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Local(placement) => placement.serving.endpoint.as_str(),
        }
    }

    /// Hands the request over and waits for the head of its answer.
    pub(crate) async fn dispatch(&self, state: &State, ask: &Ask, record: &mut Record, prepared: &Prepared) -> Sent {
        match self {
            Self::Local(placement) => to_instance(state, ask, record, prepared, placement).await,
        }
    }
}

/// Hands the request to an instance, or to the sidecar before it; or runs its legs, where the gateway does that itself.
async fn to_instance(
    state: &State,
    ask: &Ask,
    record: &mut Record,
    prepared: &Prepared,
    placement: &Placement,
) -> Sent {
    if let (Some(disagg), Some(prefill), true) = (&state.disagg, &placement.prefill, is_split(ask.api)) {
        return Box::pin(disagg.dispatch(state, ask, record, prepared, (placement, prefill))).await;
    }
    let mut request = Request::new(Body::from(prepared.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = ask.uri.clone();
    *request.headers_mut() = ask.headers.clone();
    let fields = request.headers_mut();
    fields.insert(REQUEST_ID, ask.request_id.clone());
    fields.insert(TE, HeaderValue::from_static("trailers"));
    if let Some(prefill) = &placement.prefill {
        fields.insert(PREFILLER, prefill.header.clone());
    }
    let serving = &placement.serving.endpoint;
    // At the moment when an open connection takes the request, so that connecting counts as dispatch, not as prefill.
    let finish_head = |fields: &mut HeaderMap, now: Moment| {
        record.dispatched(now).inject(fields);
        fields.insert(ELAPSED, HeaderValue::from(now.nanos_since(ask.received) / 1_000));
    };
    let sent = state.client.send_with(serving.target(), request, finish_head).await;
    sent.map(|response| response.map(Body::from))
        .map_err(|error| Refusal::Upstream { endpoint: serving.clone(), error })
}
