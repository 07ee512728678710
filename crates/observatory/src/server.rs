//! From a path to its handler.

use std::sync::Arc;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use proxy::Body;
use serde_json::json;

use crate::api::{prometheus, tempo};
use crate::reply::json;
use crate::state::State;
use crate::{otlp, page};

/// Answers one request.
pub(crate) async fn handle(state: Arc<State>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    if path == "/healthz" {
        return json(StatusCode::OK, json!({"status": "ok"}).to_string());
    }
    if request.method() == Method::GET
        && let Some(file) = page::answer(&state, path)
    {
        return file;
    }
    if !allowed(&state, request.headers()) {
        return unauthorized();
    }
    if let Some(backend) = state.elsewhere.backend(path) {
        return state.elsewhere.ask(backend, request).await;
    }
    match path {
        "/metrics" => state.process.page(request.headers()).await.map(Body::from),
        // Grafana's health check and load balancers ask these of a Prometheus.
        "/-/healthy" | "/-/ready" => json(StatusCode::OK, json!({"status": "ok"}).to_string()),
        _ if otlp::serves(path) => otlp::handle(Arc::clone(&state.receiver), request).await,
        _ if tempo::serves(path) => tempo::handle(Arc::clone(&state.spans), request).await,
        _ if path.starts_with(prometheus::PREFIX) => prometheus::handle(&state, request).await,
        _ => json(StatusCode::NOT_FOUND, json!({"error": format!("there is nothing at {path}")}).to_string()),
    }
}

/// Answers one request on a port where only OTLP arrives.
pub(crate) async fn receive(state: Arc<State>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    if !allowed(&state, request.headers()) {
        return unauthorized();
    }
    if otlp::serves(path) {
        return otlp::handle(Arc::clone(&state.receiver), request).await;
    }
    json(StatusCode::NOT_FOUND, json!({"error": format!("only OTLP arrives here, nothing at {path}")}).to_string())
}

/// Whether the caller showed the token, where there is one. Two tokens are compared in a time that does not tell where
/// they differ.
fn allowed(state: &State, headers: &HeaderMap) -> bool {
    let Some(token) = &state.token else {
        return true;
    };
    let shown = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let shown = shown.strip_prefix(b"Bearer ").unwrap_or_default();
    let wanted = token.reveal().as_bytes();
    let differ = shown.iter().zip(wanted).fold(0, |differ, (a, b)| differ | (a ^ b));
    shown.len() == wanted.len() && differ == 0
}

fn unauthorized() -> Response<Body> {
    let error = "this observatory asks for a token: send `Authorization: Bearer TOKEN`";
    let mut response = json(StatusCode::UNAUTHORIZED, json!({"error": error}).to_string());
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
