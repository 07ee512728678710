//! The page: files from the bundle, and what the page has to know before it asks anything.
//!
//! They hold no data of anybody and need no token; what they ask of the APIs does.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use proxy::Body;
use serde_json::json;

use crate::reply::json;
use crate::state::State;

/// Whatever the page loads or asks comes from here, and nobody may frame it. Charts set styles of their elements.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
);
/// A name that changes with the content.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// The file at `path`, if the page has one there.
pub(crate) fn answer(state: &State, path: &str) -> Option<Response<Body>> {
    if path == "/page/config.json" {
        return Some(json(StatusCode::OK, config(state)));
    }
    let asset = page::asset(path)?;
    let mut response = Response::new(asset.bytes.into_owned().into());
    let set: [(HeaderName, HeaderValue); 4] = [
        (CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
        (CACHE_CONTROL, if asset.immutable { FOR_EVER } else { ASK_AGAIN }),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    response.headers_mut().extend(set);
    Some(response)
}

/// What the page reads first. Since when there is data, and how often samples come, is known only of stores that are our
/// own.
fn config(state: &State) -> String {
    let mut known = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "prometheus": state.elsewhere.prometheus_name(),
        "tempo": state.elsewhere.tempo_name(),
    });
    if !state.elsewhere.is_anywhere() {
        known["since"] = json!(state.started / 1000);
    }
    if state.elsewhere.has_samples_here() {
        known["scrape"] = json!(state.targets.timing().interval.as_secs_f64());
    }
    known.to_string()
}
