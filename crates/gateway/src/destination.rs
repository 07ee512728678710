//! Where an attempt goes, and sending it there.

use std::sync::Arc;

use cluster::api::SchedulingMode;
use http::header::TE;
use http::{HeaderMap, HeaderValue, Method, Request};
use proxy::Body;
use telemetry::clock::Moment;
use telemetry::gateway::Request as Record;

use crate::ask::Ask;
use crate::attempts::Attempts;
use crate::disagg::is_split;
use crate::endpoints::Instance;
use crate::errors::{Refusal, Sent};
use crate::headers::{ELAPSED, PREFILLER, REQUEST_ID};
use crate::placing;
use crate::prepare::Prepared;
use crate::retry;
use crate::routing::Placement;
use crate::scheduler::Lease;
use crate::staged::Staged;
use crate::state::State;

/// Where an attempt goes.
#[derive(Debug)]
pub(crate) struct Destination {
    placement: Placement,
    /// The decode stage is placed when the prefill is done: who serves is a guess until then.
    staged: bool,
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
        let apart = placing::mode(state, ask) == SchedulingMode::PdStaged;
        let staged = apart && state.disagg.as_ref().is_some_and(|disagg| disagg.has_stages(ask, prepared));
        let placement = match staged {
            true => placing::place_prefill(state, ask, record, prepared, attempts).await?,
            false => placing::place(state, ask, record, prepared, attempts).await?,
        };
        Ok(Self { placement, staged })
    }

    /// What schedulers have on their accounts for it, until its last byte.
    pub(crate) fn into_leases(self) -> Vec<Lease> {
        self.placement.leases
    }

    /// Who is to be left alone after an attempt that failed like this.
    pub(crate) fn culprit(&self, failed: &Sent) -> &Arc<Instance> {
        let prefill = self.placement.prefill.as_ref().filter(|_| retry::is_prefills(failed));
        prefill.unwrap_or(&self.placement.serving)
    }

    /// Hands the request over and waits for the head of its answer.
    pub(crate) async fn dispatch(
        &mut self,
        state: &State,
        ask: &Ask,
        record: &mut Record,
        prepared: &Prepared,
        attempts: &mut Attempts<'_>,
    ) -> Sent {
        let placement = &mut self.placement;
        let split = placement.prefill.clone().filter(|_| is_split(ask.api));
        match (&state.disagg, split) {
            (Some(disagg), Some(prefill)) if self.staged => {
                let staged = Staged { state, disagg, ask, record, prepared, attempts };
                Box::pin(staged.dispatch(placement, &prefill)).await
            }
            (Some(disagg), Some(prefill)) => {
                let excluded = &attempts.excluded;
                Box::pin(disagg.dispatch(ask, record, prepared, (placement, &prefill), excluded)).await
            }
            _ => to_instance(state, ask, record, prepared, placement).await,
        }
    }
}

/// Hands the request to an instance, or to the sidecar before it.
async fn to_instance(
    state: &State,
    ask: &Ask,
    record: &mut Record,
    prepared: &Prepared,
    placement: &Placement,
) -> Sent {
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
