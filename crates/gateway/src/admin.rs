//! The answers that come from the gateway itself and concern no single request.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use proxy::Body;
use serde_json::json;

use crate::errors::Refusal;
use crate::openapi;
use crate::state::State;

/// `/healthz`: the process lives, whatever becomes of the engines.
pub(crate) fn health() -> Response<Body> {
    answer(StatusCode::OK, json!({"status": "ok"}).to_string())
}

/// `/readyz`: it takes requests, and at least one engine answers.
pub(crate) async fn ready(state: &State) -> Response<Body> {
    let instances = state.roster.load().serving().len();
    if state.drain.has_begun() {
        return readiness(state, StatusCode::SERVICE_UNAVAILABLE, "draining", instances, None);
    }
    match state.models.answering().await {
        0 => readiness(state, StatusCode::SERVICE_UNAVAILABLE, "no engine answers", instances, Some(0)),
        answering => readiness(state, StatusCode::OK, "ready", instances, Some(answering)),
    }
}

fn readiness(
    state: &State,
    status: StatusCode,
    what: &str,
    instances: usize,
    answering: Option<usize>,
) -> Response<Body> {
    let mut said = json!({"status": what, "instances": instances, "answering": answering});
    if let Some(discovery) = &*state.discovery.load() {
        said["discovery"] = json!(*discovery.health());
    }
    answer(status, said.to_string())
}

/// `/v1/models`: what all engines serve, asked in the client's name.
pub(crate) async fn models(state: &State, headers: &HeaderMap) -> Response<Body> {
    let survey = state.models.survey(headers.get(AUTHORIZATION)).await;
    match survey.into_answer() {
        Some((status, body)) => answer(status, body),
        None => Refusal::NoInstance.to_response(None),
    }
}

/// `/config`: every setting, and where it came from; the limits in force, and what is in use of them.
pub(crate) fn config(state: &State) -> Response<Body> {
    let mut said = json!({"settings": state.effective});
    if let Some(limits) = &state.limits {
        said["limits"] = limits.shown();
    }
    answer(StatusCode::OK, said.to_string())
}

/// `/openapi.json`: what is served, for programs.
pub(crate) fn openapi() -> Response<Body> {
    answer(StatusCode::OK, openapi::document().to_string())
}

/// A JSON answer.
pub(crate) fn answer(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
