//! What the API answers with.

use http::{Response, StatusCode};
use proxy::Body;
use serde_json::{Value, json};

use crate::reply;

/// A success.
pub(super) struct Answer {
    data: Data,
    warnings: Vec<String>,
}

enum Data {
    Value(Value),
    /// JSON that was written already.
    Text(String),
}

/// A failure, as Prometheus tells it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Answer {
    pub(super) fn of(data: Value) -> Self {
        Self { data: Data::Value(data), warnings: Vec::new() }
    }

    pub(super) fn written(data: String) -> Self {
        Self { data: Data::Text(data), warnings: Vec::new() }
    }

    pub(super) fn warn(mut self, warning: String) -> Self {
        self.warnings.push(warning);
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let data = match self.data {
            Data::Value(value) => value.to_string(),
            Data::Text(text) => text,
        };
        let warnings = match self.warnings.as_slice() {
            [] => String::new(),
            warnings => format!(",\"warnings\":{}", json!(warnings)),
        };
        reply::json(StatusCode::OK, format!("{{\"status\":\"success\",\"data\":{data}{warnings}}}"))
    }
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into() }
    }

    /// The caller's fault: a parameter.
    pub(super) fn bad_data(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_data", message)
    }

    /// A parameter by name.
    pub(super) fn parameter(name: &str, what: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter \"{name}\": {what}"))
    }

    /// The expression does not fit the data.
    pub(super) fn execution(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "execution", message)
    }

    /// It took too long.
    pub(super) fn timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message)
    }

    /// A fault of the observatory's own.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the observatory failed; its log says more")
    }

    pub(super) fn not_found(path: &str) -> Self {
        let message = format!("this observatory does not have /api/v1/{path}");
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "bad_data", "only GET and POST are answered here")
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let body = json!({"status": "error", "errorType": self.kind, "error": self.message});
        reply::json(self.status, body.to_string())
    }
}
