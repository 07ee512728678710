//! Tempo's HTTP API, in its shapes: what Grafana's Tempo data source asks.
//!
//! | asked | module |
//! |---|---|
//! | traces that a query finds | `search` |
//! | one trace | `trace` |
//! | numbers over time | `metrics` |
//! | names and values of attributes | `tags` |
//!
//! Answers are made on a thread of their own: a query may take milliseconds, in which this runtime serves others.

mod json;
mod metrics;
mod params;
mod reply;
mod search;
mod tags;
mod trace;

use std::sync::Arc;

use http::header::{ACCEPT, ALLOW};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use proxy::Body;
use serde_json::{Value, json};

use crate::traces::SpanStore;
use params::Params;
use reply::{PROTOBUF, Reply};

/// The version of Tempo whose API this is. Grafana decides by it what it may ask.
const TEMPO_VERSION: &str = "3.0.3";

/// Whether a path is one of Tempo's.
#[must_use]
pub fn serves(path: &str) -> bool {
    Route::of(path).is_some()
}

/// Answers a request whose path [`serves`].
pub async fn handle<B>(store: Arc<SpanStore>, request: Request<B>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = Reply::text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed").into_response();
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default().to_owned();
    let uri = request.uri().clone();
    let answering = move || answer(&store, uri.path(), uri.query().unwrap_or_default(), &accept);
    match tokio::task::spawn_blocking(answering).await {
        Ok(reply) => reply.into_response(),
        Err(error) => {
            tracing::error!(%error, "a query broke; answered 500");
            Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response()
        }
    }
}

/// The answer to a request.
fn answer(store: &SpanStore, path: &str, query: &str, accept: &str) -> Reply {
    let params = Params::new(query);
    let answered = match Route::of(path) {
        Some(Route::Search) => search::answer(store, &params),
        Some(Route::Trace { id, enveloped }) => trace::answer(store, &id, enveloped, accept.contains(PROTOBUF)),
        Some(Route::MetricsRange) => metrics::range(store, &params),
        Some(Route::MetricsInstant) => metrics::instant(store, &params),
        Some(Route::Tags { scoped }) => tags::names(store, &params, scoped),
        Some(Route::TagValues { name, typed }) => tags::values(store, &params, &name, typed),
        Some(Route::Echo) => Ok(Reply::text(StatusCode::OK, "echo")),
        Some(Route::BuildInfo) => Ok(Reply::json(&build_info())),
        Some(Route::Version) => Ok(Reply::text(StatusCode::OK, format!("tempo, version {TEMPO_VERSION} (candor)\n"))),
        None => Ok(Reply::text(StatusCode::NOT_FOUND, "404 page not found\n")),
    };
    answered.unwrap_or_else(|fault| Reply::text(StatusCode::BAD_REQUEST, fault.0))
}

/// What a path asks for.
enum Route {
    Search,
    Trace {
        id: String,
        /// Version 2 puts the trace into an envelope.
        enveloped: bool,
    },
    MetricsRange,
    MetricsInstant,
    Tags {
        /// Version 2 groups by scope.
        scoped: bool,
    },
    TagValues {
        name: String,
        /// Version 2 says of which type a value is.
        typed: bool,
    },
    Echo,
    BuildInfo,
    Version,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        let exact = match path {
            "/api/search" => Self::Search,
            "/api/metrics/query_range" => Self::MetricsRange,
            "/api/metrics/query" => Self::MetricsInstant,
            "/api/search/tags" => Self::Tags { scoped: false },
            "/api/v2/search/tags" => Self::Tags { scoped: true },
            "/api/echo" => Self::Echo,
            "/api/status/buildinfo" => Self::BuildInfo,
            "/api/status/version" | "/status/version" => Self::Version,
            _ => return Self::of_pattern(path),
        };
        Some(exact)
    }

    fn of_pattern(path: &str) -> Option<Self> {
        if let Some(id) = path.strip_prefix("/api/traces/") {
            return Some(Self::Trace { id: id.to_owned(), enveloped: false });
        }
        if let Some(id) = path.strip_prefix("/api/v2/traces/") {
            return Some(Self::Trace { id: id.to_owned(), enveloped: true });
        }
        let tag = |prefix: &str| path.strip_prefix(prefix).and_then(|rest| rest.strip_suffix("/values")).map(decoded);
        if let Some(name) = tag("/api/search/tag/") {
            return Some(Self::TagValues { name, typed: false });
        }
        tag("/api/v2/search/tag/").map(|name| Self::TagValues { name, typed: true })
    }
}

/// A segment of a path, its percent signs resolved.
fn decoded(segment: &str) -> String {
    // A plus sign stands for itself in a path.
    let escaped = segment.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(escaped.as_bytes()).next().map_or_else(String::new, |(name, _)| name.into_owned())
}

fn build_info() -> Value {
    json!({
        "version": TEMPO_VERSION,
        "revision": concat!("candor-", env!("CARGO_PKG_VERSION")),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    })
}

#[cfg(test)]
mod tests;
