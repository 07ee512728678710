//! The errors that Candor itself answers with, in the shapes that clients read.

use bytes::Bytes;

use crate::api::Api;
use crate::edit::escape_into;

#[cfg(test)]
mod tests;

/// What kind of error it is; it decides the status and the names in both shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// 400: the request is wrong.
    InvalidRequest,
    /// 401: nobody that is known here is asking.
    Unauthorized,
    /// 403: the request names what it may not reach.
    Forbidden,
    /// 404: no such path or model.
    NotFound,
    /// 405: the path knows other methods only.
    MethodNotAllowed,
    /// 413: the body exceeds the limit.
    TooLarge,
    /// 429: too much is going on.
    Overloaded,
    /// 500: our fault.
    Internal,
    /// 502: an engine answered nothing usable.
    BadGateway,
    /// 503: nobody is there to serve it.
    Unavailable,
    /// 504: an engine took too long.
    Timeout,
}

impl ErrorKind {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TooLarge => 413,
            Self::Overloaded => 429,
            Self::Internal => 500,
            Self::BadGateway => 502,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }

    /// OpenAI's `error.type`.
    const fn openai_type(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::NotFound | Self::MethodNotAllowed | Self::TooLarge => "invalid_request_error",
            Self::Unauthorized => "authentication_error",
            Self::Forbidden => "permission_error",
            Self::Overloaded => "rate_limit_error",
            Self::Internal | Self::BadGateway | Self::Unavailable | Self::Timeout => "server_error",
        }
    }

    /// Anthropic's `error.type`.
    const fn anthropic_type(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::MethodNotAllowed => "invalid_request_error",
            Self::Unauthorized => "authentication_error",
            Self::Forbidden => "permission_error",
            Self::NotFound => "not_found_error",
            Self::TooLarge => "request_too_large",
            Self::Overloaded => "rate_limit_error",
            Self::Internal | Self::BadGateway => "api_error",
            Self::Unavailable => "overloaded_error",
            Self::Timeout => "timeout_error",
        }
    }

    /// vLLM's and the llm-d sidecar's `type`.
    const fn vllm_type(self) -> &'static str {
        match self {
            Self::InvalidRequest => "BadRequestError",
            Self::Unauthorized => "AuthenticationError",
            Self::Forbidden => "PermissionDeniedError",
            Self::NotFound => "NotFoundError",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::TooLarge => "RequestEntityTooLarge",
            Self::Overloaded => "TooManyRequests",
            Self::Internal => "InternalServerError",
            Self::BadGateway => "BadGateway",
            Self::Unavailable => "ServiceUnavailable",
            Self::Timeout => "GatewayTimeout",
        }
    }
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// What kind of error it is.
    pub kind: ErrorKind,
    /// A sentence for the client.
    pub message: String,
    /// The request member at fault.
    pub param: Option<String>,
    /// A name that programs can match, e.g. `prefill_timeout`.
    pub code: Option<String>,
}

impl ApiError {
    /// An error that names neither member nor code.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), param: None, code: None }
    }

    /// The same, naming the request member at fault.
    #[must_use]
    pub fn with_param(self, param: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..self }
    }

    /// The same, with a name that programs can match.
    #[must_use]
    pub fn with_code(self, code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..self }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.kind.status()
    }

    /// OpenAI's shape: `{"error":{"message":…,"type":…,"param":…,"code":…}}`, absent ones `null`.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.message.len() + 96);
        out.extend_from_slice(b"{\"error\":{\"message\":");
        quote_into(&self.message, &mut out);
        out.extend_from_slice(b",\"type\":");
        quote_into(self.kind.openai_type(), &mut out);
        for (name, value) in [("param", &self.param), ("code", &self.code)] {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            match value {
                Some(value) => quote_into(value, &mut out),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.extend_from_slice(b"}}");
        out
    }

    /// The shape of vLLM and the llm-d sidecar: flat, with the status as `code` and an empty `param` where none is named.
    pub fn to_vllm_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.message.len() + 96);
        out.extend_from_slice(b"{\"object\":\"error\",\"message\":");
        quote_into(&self.message, &mut out);
        out.extend_from_slice(b",\"type\":");
        quote_into(self.kind.vllm_type(), &mut out);
        out.extend_from_slice(b",\"param\":");
        quote_into(self.param.as_deref().unwrap_or_default(), &mut out);
        out.extend_from_slice(format!(",\"code\":{}}}", self.status()).as_bytes());
        out
    }

    /// Anthropic's shape: `{"type":"error","error":{"type":…,"message":…}}`. It has no place for a code or a member.
    pub fn to_anthropic_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.message.len() + 80);
        out.extend_from_slice(b"{\"type\":\"error\",\"error\":{\"type\":");
        quote_into(self.kind.anthropic_type(), &mut out);
        out.extend_from_slice(b",\"message\":");
        quote_into(&self.message, &mut out);
        out.extend_from_slice(b"}}");
        out
    }

    /// The document in the shape that clients of `api` read: Anthropic's for its own API, else OpenAI's.
    pub fn to_json_for(&self, api: Option<Api>) -> Vec<u8> {
        match api {
            Some(Api::Messages) => self.to_anthropic_json(),
            _ => self.to_json(),
        }
    }

    /// The event that tells clients of `api` that a stream has failed.
    ///
    /// The Responses API has error events of its own shape, flat and with a `type`; see also [`ApiError::to_sse_event`].
    pub fn to_sse_event_for(&self, api: Api) -> Bytes {
        let data = match api {
            Api::Messages => self.to_anthropic_json(),
            Api::Responses => self.to_response_event(),
            _ => self.to_json(),
        };
        crate::sse::encode(Some("error"), &data)
    }

    /// The data of an `error` event of the Responses API.
    fn to_response_event(&self) -> Vec<u8> {
        let mut out = b"{\"type\":\"error\",\"message\":".to_vec();
        quote_into(&self.message, &mut out);
        for (name, value) in [("code", &self.code), ("param", &self.param)] {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            match value {
                Some(value) => quote_into(value, &mut out),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.push(b'}');
        out
    }

    /// An SSE `error` event with OpenAI's shape as its data: how a stream that has begun reports a failure.
    ///
    /// Where the stream broke off inside an event, that one must be ended by a blank line first, or the two run together
    /// (see [`crate::sse::Scanner::is_between_events`]).
    pub fn to_sse_event(&self) -> Bytes {
        crate::sse::encode(Some("error"), &self.to_json())
    }
}

fn quote_into(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape_into(text, out);
    out.push(b'"');
}
