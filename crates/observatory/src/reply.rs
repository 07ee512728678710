//! An answer in JSON.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use proxy::Body;

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
