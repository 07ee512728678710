//! From a path to its handler.

use std::sync::Arc;

use cluster::api::{BATCH_PATH, Batch, ReportEvent, SchedulingRequest, Verdict};
use http::header::{ACCEPT, ALLOW, CONNECTION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use proxy::Body;
use proxy::body::{CollectError, collect};
use serde::de::DeserializeOwned;
use serde_json::json;
use telemetry::clock;
use telemetry::scheduler::Predicted;

use crate::policy::Mode;
use crate::schedule::{self, schedule};
use crate::state::State;
use crate::{answer, keepalive, scrape};

/// Answers one request.
pub(crate) async fn handle(state: Arc<State>, request: Request<Incoming>) -> Response<Body> {
    let method = request.method();
    match request.uri().path() {
        path @ ("/schedule" | "/release" | "/report" | BATCH_PATH | "/keepalive") if !state.places => {
            let told = format!("there is no {path} here: this process moves requests and places none");
            answer::text(StatusCode::NOT_FOUND, told)
        }
        "/schedule" if method == Method::POST => schedule(&state, request).await,
        "/release" if method == Method::POST => release(&state, request).await,
        "/report" if method == Method::POST => report(&state, request).await,
        BATCH_PATH if method == Method::POST => batch(&state, request).await,
        "/keepalive" if method == Method::GET => keepalive::accept(&state, request),
        "/healthz" => answer::text(StatusCode::OK, "ok"),
        "/readyz" => ready(&state),
        "/metrics" => scrape::scrape(&state, request.headers().get(ACCEPT)).await,
        path @ ("/schedule" | "/release" | "/report" | BATCH_PATH | "/keepalive") => {
            let allow = if path == "/keepalive" { "GET" } else { "POST" };
            let mut response = answer::text(StatusCode::METHOD_NOT_ALLOWED, format!("this path answers {allow} only"));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
            response
        }
        path => answer::text(StatusCode::NOT_FOUND, format!("there is no {path} here")),
    }
}

/// Reads a body as JSON.
pub(crate) async fn read<T: DeserializeOwned>(state: &State, body: Incoming) -> Result<T, Response<Body>> {
    let bytes = collect(Body::from(body), state.max_body_bytes).await.map_err(|error| {
        let status = match error {
            CollectError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            CollectError::Incomplete(_) => StatusCode::BAD_REQUEST,
        };
        let mut response = answer::text(status, error.to_string());
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        answer::text(StatusCode::BAD_REQUEST, format!("the body is not what this path reads: {error}"))
    })
}

/// `/release`: the request is done with the instances that it names.
async fn release(state: &State, request: Request<Incoming>) -> Response<Body> {
    let released: SchedulingRequest = match read(state, request.into_body()).await {
        Ok(released) => released,
        Err(refusal) => return refusal,
    };
    if released.scheduling_result.is_empty() {
        return answer::text(StatusCode::BAD_REQUEST, "scheduling_result names no instance to release");
    }
    give_back(state, &released);
    answer::text(StatusCode::OK, Body::Empty)
}

/// Takes a request off the accounts of the instances that it names.
fn give_back(state: &State, released: &SchedulingRequest) {
    let view = state.view.load();
    for named in &released.scheduling_result {
        match state.policy.mode() {
            Mode::Full => {
                if let Some(instance) = view.named(named) {
                    instance.seat.account.release(&released.id);
                }
            }
            Mode::Lite => {
                state.lrs.release(&released.id, &named.endpoint.to_string());
            }
        }
    }
}

/// `/batch`: what a gateway gives back, and then what it wants placed.
async fn batch(state: &State, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let received = clock::now();
    let batch: Batch<SchedulingRequest> = match read(state, body).await {
        Ok(batch) => batch,
        Err(refusal) => return refusal,
    };
    for released in &batch.release {
        give_back(state, released);
    }
    let attempt = || state.recorder.begin(&head.headers, received);
    let verdicts: Vec<Verdict> =
        batch.schedule.into_iter().map(|asked| schedule::verdict(state, asked, attempt())).collect();
    answer::json(StatusCode::OK, &verdicts)
}

/// `/report`: how requests are getting on. Full mode learns that from the instances, but for what gateways alone can measure:
/// what requests were that something was expected of.
async fn report(state: &State, request: Request<Incoming>) -> Response<Body> {
    let events: Vec<ReportEvent> = match read(state, request.into_body()).await {
        Ok(events) => events,
        Err(refusal) => return refusal,
    };
    let now = clock::now();
    for event in &events {
        match state.policy.mode() {
            Mode::Lite => {
                state.lrs.report(event, now);
            }
            Mode::Full => compare(state, event),
        }
    }
    answer::text(StatusCode::OK, Body::Empty)
}

/// Tells how far off what was expected of a request was.
fn compare(state: &State, event: &ReportEvent) {
    let (Some(expected), Some(measured)) = (event.expected, event.measured) else {
        return;
    };
    let pairs =
        [(Predicted::Ttft, expected.ttft_us, measured.ttft_us), (Predicted::Tpot, expected.tpot_us, measured.tpot_us)];
    for (what, expected, measured) in pairs {
        if let (Some(expected), Some(measured @ 1..)) = (expected, measured) {
            state.recorder.predicted(what, expected.abs_diff(measured) as f64 / measured as f64);
        }
    }
}

/// `/readyz`: whether requests can be placed here, and how its source of instances is.
fn ready(state: &State) -> Response<Body> {
    let (health, view, now) = (state.health.load(), state.view.load(), clock::now());
    let (status, what) = match (state.drain.has_begun(), health.loaded, state.leadership.leads()) {
        (true, ..) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (_, false, _) => (StatusCode::SERVICE_UNAVAILABLE, "instances have not been read yet"),
        // In its place and at its post: the leader may fail any moment.
        (_, _, false) => (StatusCode::OK, "standing by"),
        _ if view.instances.is_empty() => (StatusCode::SERVICE_UNAVAILABLE, "no instance is known"),
        _ => (StatusCode::OK, "ready"),
    };
    let failure = health.failure.as_ref();
    let failure =
        failure.map(|(since, problem)| json!({"for_seconds": (now - *since).as_secs_f64(), "problem": problem}));
    let oldest = view.instances.iter().map(|instance| instance.age(now).as_secs_f64()).fold(0.0, f64::max);
    let schedulable = view.instances.iter().filter(|instance| instance.schedulable).count();
    let report = json!({
        "status": what,
        "instances": view.instances.len(),
        "schedulable": schedulable,
        "oldest_status_seconds": oldest,
        "failure": failure,
        "leader": state.leadership.leader().map(|leader| leader.to_string()),
    });
    answer::json(status, &report)
}
