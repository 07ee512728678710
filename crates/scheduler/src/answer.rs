//! What the scheduler answers.

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use proxy::Body;
use serde::Serialize;

use crate::state::State;

/// Where the leader is, on answers of replicas that do not lead.
const LEADER: HeaderName = HeaderName::from_static("x-candor-scheduler-leader");

/// Text, as upstream writes errors.
pub(crate) fn text(status: StatusCode, what: impl Into<Body>) -> Response<Body> {
    with_type(status, "text/plain; charset=utf-8", what.into())
}

/// JSON.
pub(crate) fn json(status: StatusCode, what: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(what) {
        Ok(bytes) => with_type(status, "application/json", bytes.into()),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer cannot be written: {error}")),
    }
}

/// A body of some type.
pub(crate) fn with_type(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Another replica places requests: a gateway moves on.
pub(crate) fn not_leading(state: &State) -> Response<Body> {
    let leader = state.leadership.leader();
    let what = match &leader {
        Some(leader) => format!("this scheduler does not lead; {leader} does"),
        None => "this scheduler does not lead, and no other is known to".to_owned(),
    };
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, what);
    if let Some(leader) = leader.and_then(|leader| HeaderValue::from_str(&leader).ok()) {
        response.headers_mut().insert(LEADER, leader);
    }
    response
}
