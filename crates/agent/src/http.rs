//! The agent's own port: whether it lives, how things stand, and its process's metrics.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use proxy::Body;
use serde_json::json;
use telemetry::Telemetry;

use crate::watch::{Standing, Watch};

/// Answers one request.
pub(crate) async fn answer(watch: &Watch, telemetry: &Telemetry, request: &Request<Incoming>) -> Response<Body> {
    match request.uri().path() {
        "/healthz" => document(StatusCode::OK, &json!({"status": "ok"})),
        "/readyz" => ready(watch),
        "/metrics" => telemetry.page(request.headers()).await.map(Body::from),
        _ => document(StatusCode::NOT_FOUND, &json!({"error": "there are /healthz, /readyz and /metrics"})),
    }
}

/// Ready means that the engine can be sent to.
fn ready(watch: &Watch) -> Response<Body> {
    let Standing { fitness, engine_failure, sidecar_failure } = watch.standing();
    let (status, word) = match &fitness {
        Ok(()) => (StatusCode::OK, "ready".to_owned()),
        Err(unfit) => (StatusCode::SERVICE_UNAVAILABLE, unfit.to_string()),
    };
    document(
        status,
        &json!({
            "status": word,
            "instance": watch.config.publication.id(),
            "engine": watch.config.engine.authority(),
            "engine_failure": engine_failure,
            "sidecar_failure": sidecar_failure,
        }),
    )
}

fn document(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
