//! What a receiver's answer means.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::wire::fields;
use crate::export::ExportError;

/// The end of one attempt.
#[derive(Debug)]
pub(super) enum Attempt {
    /// Taken, but for this many spans.
    Delivered { rejected: u64 },
    /// May go better later; the receiver may say when.
    Retry { error: ExportError, after: Option<Duration> },
    /// Will not go better.
    Refused(ExportError),
}

/// The answer to an HTTP request.
pub(super) fn of_http(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Attempt {
    if status.is_success() {
        let json = headers
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        return Attempt::Delivered { rejected: if json { rejected_json(body) } else { rejected(body).unwrap_or(0) } };
    }
    let error = ExportError::Refused { status: status.to_string() };
    match status.as_u16() {
        429 | 502 | 503 | 504 => Attempt::Retry { error, after: retry_after(headers) },
        _ => Attempt::Refused(error),
    }
}

/// The answer to a gRPC call: status in the trailers, or in the headers where there is no body.
pub(super) fn of_grpc(headers: &HeaderMap, body: &[u8]) -> Attempt {
    /// `CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS`, by the OTLP
    /// specification.
    const RETRYABLE: [u32; 7] = [1, 4, 8, 10, 11, 14, 15];
    let status = headers.get("grpc-status").and_then(|status| status.to_str().ok()?.parse::<u32>().ok());
    let error = |status: &str| ExportError::Refused { status: format!("gRPC status {status}") };
    match status {
        Some(0) => Attempt::Delivered { rejected: body.get(5..).and_then(rejected).unwrap_or(0) },
        Some(code) if RETRYABLE.contains(&code) => Attempt::Retry { error: error(&code.to_string()), after: None },
        Some(code) => Attempt::Refused(error(&code.to_string())),
        None => Attempt::Retry { error: error("missing"), after: None },
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// `partial_success.rejected_spans` of a protobuf `ExportTraceServiceResponse`; `None` for what is not one.
fn rejected(response: &[u8]) -> Option<u64> {
    let first = |message| fields(message)?.into_iter().find(|(number, _)| *number == 1).map(|(_, value)| value);
    first(first(response)?.bytes()?)?.varint()
}

fn rejected_json(response: &[u8]) -> u64 {
    let response: serde_json::Value = serde_json::from_slice(response).unwrap_or_default();
    let rejected = &response["partialSuccess"]["rejectedSpans"];
    rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or(0)
}
