//! Errors in vLLM's shape: `{"error":{"message":…,"type":…,"param":…,"code":<status>}}`, and in Anthropic's where its API
//! was asked.

use http::StatusCode;
use openai::Api;
use serde_json::json;

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The HTTP status, repeated in the body.
    pub(crate) status: StatusCode,
    kind: &'static str,
    message: String,
    param: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequestError", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFoundError", message)
    }

    /// What vLLM says whatever went wrong inside; the cause goes to the log.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "Internal server error")
    }

    pub(crate) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), param: None }
    }

    /// The same, naming the member at fault.
    pub(crate) fn with_param(self, param: &'static str) -> Self {
        Self { param: Some(param), ..self }
    }

    /// The document.
    pub(crate) fn to_json(&self) -> String {
        let Self { status, kind, message, param } = self;
        json!({"error": {"message": message, "type": kind, "param": param, "code": status.as_u16()}}).to_string()
    }

    /// The sentence that tells what went wrong.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The document in the shape of `api`, where there is one.
    pub(crate) fn to_json_of(&self, api: Option<Api>) -> String {
        match api {
            Some(Api::Messages) => {
                json!({"type": "error", "error": {"type": self.kind, "message": self.message}}).to_string()
            }
            _ => self.to_json(),
        }
    }
}
