//! One request, from its head to the head of its answer.
//!
//! The stages are those of the timeline: read and prepare the body ([`read`]), see what the request may use ([`grant`]), wait
//! for admission ([`admit`]), make attempts until one is answered ([`crate::journey`], [`crate::attempts`]), and look at the head of the answer to decide how the rest
//! is relayed ([`relay`]). A stage that fails ends in a [`Refusal`]; a client that leaves drops the future, which closes the
//! connection to the engine at once and leaves the record to settle itself.

use http::header::{CONTENT_LENGTH, TRAILER};
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use openai::Api;
use proxy::{Body, ConnInfo, Observed};
use telemetry::clock::{self, Moment};
use telemetry::gateway::{Begin, Request as Record};
use telemetry::server_timing::ServerTiming;

use crate::admission::{Full, Priority, Slot};
use crate::ask::Ask;
use crate::caller::Caller;
use crate::errors::Refusal;
use crate::headers::{self, REQUEST_ID};
use crate::held::Held;
use crate::journey;
use crate::limits::Grant;
use crate::outcome;
use crate::prepare::{self, Prepared};
use crate::prompt;
use crate::relay::{Stream, StreamTerms, Whole};
use crate::state::State;

/// Serves one request to an inference API, unless it was not `admitted`. Every path through here ends the record: with the
/// answer's last byte, with a refusal, or, when the client leaves, by being dropped.
pub(crate) async fn serve(
    state: &State,
    api: Api,
    received: Moment,
    request: Request<Incoming>,
    admitted: Result<(), Refusal>,
) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    let request_id = headers::request_id(&head.headers, received);
    let mut record = state.telemetry.begin(Begin {
        received,
        api: api.name(),
        path: api.path(),
        request_id: request_id.to_str().unwrap_or_default(),
        headers: &head.headers,
    });
    if let Some(connection) = head.extensions.get::<ConnInfo>() {
        record.came_by(connection.egress.peer());
    }
    let caller = Caller::of(&head.extensions);
    if let Some(caller) = &caller {
        record.caller(caller.name());
    }
    let trailers = proxy::headers::accepts_trailers(&head.headers);
    headers::strip_request(&mut head.headers);
    let priority = Priority::of(&head.headers);
    let ask = Ask { api, received, uri: head.uri, headers: head.headers, request_id, trailers, priority, caller };
    let answered = match admitted {
        Ok(()) => answer(state, &ask, &mut record, body).await,
        Err(refusal) => Err(refusal),
    };
    let mut response = match answered {
        Ok(answer) => relay(state, &ask, record, answer),
        Err(refusal) => refuse(api, record, &refusal),
    };
    response.headers_mut().insert(REQUEST_ID, ask.request_id);
    response
}

/// The head of an engine's answer, and what was asked of the engine.
struct Answer {
    response: Response<Body>,
    held: Held,
    prepared: Prepared,
}

/// Everything up to the head of the answer.
async fn answer(state: &State, ask: &Ask, record: &mut Record, body: Incoming) -> Result<Answer, Refusal> {
    let (prepared, read) = read(state, ask, record, body).await?;
    let mut held = Held { grant: grant(state, ask, &prepared)?, ..Held::default() };
    let slot = admit(state, ask, record, read).await?;
    held.admitted();
    let sent = journey::answer(state, ask, record, &prepared, slot, &mut held).await;
    if sent.as_ref().is_ok_and(|response| response.status().is_success()) {
        held.delivered();
    } else {
        held.failed();
    }
    Ok(Answer { response: sent?, held, prepared })
}

/// Reads the body and prepares it; also when that was done.
async fn read(state: &State, ask: &Ask, record: &mut Record, body: Incoming) -> Result<(Prepared, Moment), Refusal> {
    let bytes = proxy::body::collect(body, state.max_body_bytes).await?;
    let body = prepare::parse(bytes.clone())?;
    if let Some(mirror) = &state.mirror {
        mirror.copy(ask, &bytes);
    }
    let (length, ids) = state.tokens.count(ask.api, &body).await;
    let mut prepared = prepare::prepare(ask.api, &body, length, state.exact_token_accounting)?;
    if ids.is_none() && state.tokens.forwards() && state.schedulers.any() {
        prepared.prompt_text = prompt::text_blocks(&body);
    }
    prepared.prompt_ids = ids;
    if let Some(model) = &prepared.model {
        record.model(model);
    }
    record.streaming(prepared.stream);
    record.prompt(prepared.prompt.count, prepared.prompt.source.as_str());
    let done = clock::now();
    record.preprocessed(done);
    match state.tokens.exceeds(ask.api, length) {
        Some(limit) => Err(Refusal::PromptTooLong { tokens: length.count, limit }),
        None => Ok((prepared, done)),
    }
}

/// What the request may use of its model's and its key's limits; `None` where there are none.
fn grant(state: &State, ask: &Ask, prepared: &Prepared) -> Result<Option<Grant>, Refusal> {
    let Some(limits) = &state.limits else { return Ok(None) };
    let granted = limits.admit(prepared.model.as_deref(), ask.caller.as_ref(), prepared.prompt.count);
    granted.map(Some).map_err(Refusal::Limited)
}

/// Waits for admission. Where it is had at once, no time passes and no clock is asked.
async fn admit<'a>(state: &'a State, ask: &Ask, record: &mut Record, now: Moment) -> Result<Slot<'a>, Refusal> {
    let entered = state.admission.enter(ask.priority);
    let mut slot = entered.map_err(|Full| Refusal::QueueFull { retry_after: state.queue.retry_after })?;
    record.enqueued(now);
    if slot.is_admitted() {
        record.dequeued(now);
        return Ok(slot);
    }
    let patience = state.queue.timeout;
    let admitted = tokio::time::timeout(patience, slot.admitted()).await;
    admitted.map_err(|_| Refusal::QueueTimeout { patience })?;
    record.dequeued(clock::now());
    Ok(slot)
}

/// The response to the client, whose body relays the engine's.
fn relay(state: &State, ask: &Ask, mut record: Record, answer: Answer) -> Response<Body> {
    let (mut head, body) = answer.response.into_parts();
    let held = answer.held;
    let timing = ServerTiming::from_headers(&head.headers);
    record.upstream_timing(&timing);
    headers::strip_response(&mut head.headers);
    headers::insert_timing(&mut head.headers, record.server_timing());
    held.grant.iter().for_each(|grant| grant.rates().insert_into(&mut head.headers));
    let status = head.status;
    let streams = answer.prepared.stream && status.is_success() && headers::is_event_stream(&head.headers);
    let body = if streams {
        // The length, if the engine gave one, is that of its own stream.
        head.headers.remove(CONTENT_LENGTH);
        if ask.trailers {
            head.headers.insert(TRAILER, HeaderValue::from_static("server-timing"));
        }
        let hide = answer.prepared.hide;
        let terms = StreamTerms { api: ask.api, hide, idle: state.stream_idle, trailers: ask.trailers };
        Body::wrap(Stream::new(body, record, held, status, terms))
    } else {
        let whole = Whole::new(record, held, status, headers::is_plain(&head.headers));
        Body::wrap(Observed::new(body, whole))
    };
    Response::from_parts(head, body)
}

fn refuse(api: Api, mut record: Record, refusal: &Refusal) -> Response<Body> {
    if let Some(reason) = refusal.rejection() {
        record.rejected(reason);
    }
    let mut response = refusal.to_response(Some(api));
    let status = response.status();
    record.finish(clock::now(), outcome::of_refusal(refusal, status), status.as_u16());
    headers::insert_timing(response.headers_mut(), record.server_timing());
    response
}
