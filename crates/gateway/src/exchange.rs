//! One request, from its head to the head of its answer.
//!
//! The stages are those of the timeline: read and prepare the body, choose who serves it, hand it over, and look at the head
//! of the answer to decide how the rest is relayed. A stage that fails ends in a [`Refusal`]; a client that leaves drops the
//! future, which closes the connection to the engine at once and leaves the record to settle itself.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, TE, TRAILER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use hyper::body::Incoming;
use openai::Api;
use proxy::client::UpstreamBody;
use proxy::{Body, Observed};
use telemetry::clock::{self, Moment};
use telemetry::gateway::{Begin, Request as Record};
use telemetry::server_timing::ServerTiming;

use crate::errors::Refusal;
use crate::headers::{self, ELAPSED, PREFILLER, REQUEST_ID};
use crate::outcome;
use crate::prepare::{Prepared, prepare};
use crate::relay::{Stream, StreamTerms, Whole};
use crate::routing::Placement;
use crate::state::State;

/// What is known of a request by its head.
struct Ask {
    api: Api,
    received: Moment,
    /// Path and query, as the client wrote them.
    uri: Uri,
    request_id: HeaderValue,
    /// Whether the client takes trailers.
    trailers: bool,
}

/// Serves one request to an inference API. Every path through here ends the record: with the answer's last byte, with a
/// refusal, or, when the client leaves, by being dropped.
pub(crate) async fn serve(state: &State, api: Api, received: Moment, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let ask = Ask {
        api,
        received,
        uri: head.uri,
        request_id: headers::request_id(&head.headers, received),
        trailers: proxy::headers::accepts_trailers(&head.headers),
    };
    let mut record = state.telemetry.begin(Begin {
        received,
        api: api.name(),
        path: api.path(),
        request_id: ask.request_id.to_str().unwrap_or_default(),
        headers: &head.headers,
    });
    let mut response = match attempt(state, &ask, &mut record, head.headers, body).await {
        Ok(answer) => relay(state, &ask, record, answer),
        Err(refusal) => refuse(record, &refusal),
    };
    response.headers_mut().insert(REQUEST_ID, ask.request_id);
    response
}

/// The head of an engine's answer, and what was asked of the engine.
struct Answer {
    response: Response<UpstreamBody>,
    prepared: Prepared,
}

/// Everything up to the head of the engine's answer.
async fn attempt(
    state: &State,
    ask: &Ask,
    record: &mut Record,
    mut headers: HeaderMap,
    body: Incoming,
) -> Result<Answer, Refusal> {
    let prepared = read(state, ask, record, body).await?;
    let placement = place(state, record).await?;
    headers::strip_request(&mut headers);
    let response = dispatch(state, ask, record, headers, &prepared, &placement).await?;
    Ok(Answer { response, prepared })
}

/// Reads the body and prepares it.
async fn read(state: &State, ask: &Ask, record: &mut Record, body: Incoming) -> Result<Prepared, Refusal> {
    let bytes = proxy::body::collect(body, state.max_body_bytes).await?;
    let prepared = prepare(ask.api, bytes, state.exact_token_accounting)?;
    if let Some(model) = &prepared.model {
        record.model(model);
    }
    record.streaming(prepared.stream);
    record.preprocessed(clock::now());
    Ok(prepared)
}

/// Waits for `delay` and not a millisecond more. tokio's timer may fire that late, which is half of the delay that is
/// asked for in the seed document's example; so the end of it is spent asking the clock.
async fn pause(delay: Duration) {
    let until = clock::now() + delay;
    tokio::time::sleep(delay.saturating_sub(TIMER_LATE)).await;
    while clock::now() < until {
        tokio::task::yield_now().await;
    }
}

/// How late tokio's timer may be: its tick, and a little for the wake-up.
const TIMER_LATE: Duration = Duration::from_micros(1200);

/// Chooses who serves the request.
async fn place(state: &State, record: &mut Record) -> Result<Placement, Refusal> {
    if let Some(delay) = state.injected_routing_delay {
        pause(delay).await;
    }
    let placement = state.robin.place(&state.roster).ok_or(Refusal::NoInstance)?;
    let prefill = placement.prefill.as_ref().map(|instance| instance.endpoint.as_str());
    record.targets(prefill, placement.serving.endpoint.as_str());
    record.scheduled(clock::now());
    Ok(placement)
}

/// Hands the request to an instance and waits for the head of its answer.
async fn dispatch(
    state: &State,
    ask: &Ask,
    record: &mut Record,
    headers: HeaderMap,
    prepared: &Prepared,
    placement: &Placement,
) -> Result<Response<UpstreamBody>, Refusal> {
    let mut request = Request::new(Body::from(prepared.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = ask.uri.clone();
    *request.headers_mut() = headers;
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
    sent.map_err(|error| Refusal::Upstream { endpoint: serving.clone(), error })
}

/// The response to the client, whose body relays the engine's.
fn relay(state: &State, ask: &Ask, mut record: Record, answer: Answer) -> Response<Body> {
    let (mut head, body) = answer.response.into_parts();
    let timing = ServerTiming::from_headers(&head.headers);
    record.upstream_timing(&timing);
    headers::strip_response(&mut head.headers);
    headers::insert_timing(&mut head.headers, record.server_timing());
    let status = head.status;
    let streams = answer.prepared.stream && status.is_success() && headers::is_event_stream(&head.headers);
    let body = if streams {
        // The length, if the engine gave one, is that of its own stream.
        head.headers.remove(CONTENT_LENGTH);
        if ask.trailers {
            head.headers.insert(TRAILER, HeaderValue::from_static("server-timing"));
        }
        let terms = StreamTerms { hide: answer.prepared.hide, idle: state.stream_idle, trailers: ask.trailers };
        Body::wrap(Stream::new(body, record, status, terms))
    } else {
        let whole = Whole::new(record, status, headers::is_plain(&head.headers));
        Body::wrap(Observed::new(body, whole))
    };
    Response::from_parts(head, body)
}

fn refuse(mut record: Record, refusal: &Refusal) -> Response<Body> {
    let mut response = refusal.to_response();
    let status = response.status();
    record.finish(clock::now(), outcome::of_refusal(refusal, status), status.as_u16());
    headers::insert_timing(response.headers_mut(), record.server_timing());
    response
}
