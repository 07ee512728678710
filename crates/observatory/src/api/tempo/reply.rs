//! What is answered, and what is wrong with a question.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use proxy::Body;
use serde_json::Value;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const PROTOBUF: &str = "application/protobuf";

/// What is wrong with a request, in words for its sender.
#[derive(Debug)]
pub(super) struct Fault(pub(super) String);

impl Fault {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// An answer in the making.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    kind: &'static str,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, kind: TEXT, body: Bytes::from(text.into()) }
    }

    pub(super) fn json(value: &Value) -> Self {
        Self { status: StatusCode::OK, kind: JSON, body: Bytes::from(value.to_string()) }
    }

    pub(super) fn protobuf(message: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, kind: PROTOBUF, body: Bytes::from(message) }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body.into());
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        response
    }
}
