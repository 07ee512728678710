//! The Prometheus HTTP API: paths, parameters, answers and errors as Prometheus has them.

mod answer;
mod browse;
mod params;
mod query;
mod targets;

use std::sync::Arc;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use proxy::Body;
use serde_json::json;

use answer::{Answer, ApiError};
use params::Params;

use crate::state::State;

/// What every path of the API begins with.
pub const PREFIX: &str = "/api/v1/";
/// The Prometheus whose API and query language this is; Grafana decides by it what it may ask.
const LEVEL: &str = "2.42.0";

/// Answers a request below [`PREFIX`].
pub(crate) async fn handle(state: &Arc<State>, request: Request<Incoming>) -> Response<Body> {
    match respond(state, request).await {
        Ok(answer) => answer.into_response(),
        Err(error) => error.into_response(),
    }
}

async fn respond(state: &Arc<State>, request: Request<Incoming>) -> Result<Answer, ApiError> {
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return Err(ApiError::method());
    }
    let path = request.uri().path().to_owned();
    let params = Params::read(request).await?;
    let path = path.strip_prefix(PREFIX).unwrap_or_default();
    match path {
        "query" => query::instant(state, &params).await,
        "query_range" => query::range(state, &params).await,
        "query_exemplars" => query::exemplars(state, &params),
        "format_query" => query::format(&params),
        "targets" => Ok(targets::targets(state)),
        // Rules are evaluated by a Prometheus; Grafana asks for them wherever it draws.
        "rules" => Ok(Answer::of(json!({"groups": []}))),
        "alerts" => Ok(Answer::of(json!({"alerts": []}))),
        "series" => browse::series(state, &params),
        "labels" => browse::labels(state, &params),
        "metadata" => browse::metadata(state, &params),
        "status/buildinfo" => Ok(build_info()),
        _ => match path.strip_prefix("label/").and_then(|rest| rest.strip_suffix("/values")) {
            Some(name) => browse::values(state, name, &params),
            None => Err(ApiError::not_found(path)),
        },
    }
}

fn build_info() -> Answer {
    let version = env!("CARGO_PKG_VERSION");
    Answer::of(json!({
        "version": LEVEL,
        "revision": format!("candor-observatory {version}"),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}
