//! A planned request as bytes.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::Full;
use openai::Api;
use serde::Serialize;

use crate::workload::Planned;

/// The identifiers that one request is sent with, by which its spans are found again.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) request_id: String,
    pub(super) trace_id: String,
    pub(super) span_id: String,
}

impl Identity {
    /// Identifiers of request `index` of the run marked by `nonce`. The mark keeps runs with one seed apart where they
    /// write to one trace store.
    pub(super) fn new(nonce: u64, index: u64) -> Self {
        let id = scattered(nonce.wrapping_add(index));
        Self {
            request_id: format!("audit-{nonce:016x}-{index}"),
            trace_id: format!("{nonce:016x}{id:016x}"),
            span_id: format!("{id:016x}"),
        }
    }

    /// The W3C `traceparent`, marked as sampled so that every span of an audited request is kept.
    fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace_id, self.span_id)
    }
}

/// Another number for each number, as good as random: W3C trace context wants the right half of a trace id so, and a person
/// who looks at its end alone. Never zero, which it forbids (SplitMix64's last step takes only zero there).
fn scattered(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15).max(1);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The members of a request body; `ignore_eos` is vLLM's, so that a real engine fills `max_tokens` too.
#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<[Message<'a>; 1]>,
    max_tokens: u32,
    ignore_eos: bool,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

fn body(model: &str, planned: &Planned) -> Result<Bytes, serde_json::Error> {
    let chat = planned.api == Api::ChatCompletions;
    let prompt = planned.prompt.as_str();
    let body = Body {
        model,
        prompt: (!chat).then_some(prompt),
        messages: chat.then_some([Message { role: "user", content: prompt }]),
        max_tokens: planned.max_tokens,
        ignore_eos: true,
        stream: planned.stream,
        stream_options: planned.usage.then_some(StreamOptions { include_usage: true }),
    };
    serde_json::to_vec(&body).map(Bytes::from)
}

/// Why a request could not be put together: a host that is no header value, for one.
#[derive(Debug, thiserror::Error)]
#[error("cannot build the request: {0}")]
pub(super) struct BuildError(String);

/// The request for `planned`.
pub(super) fn build(
    host: &HeaderValue,
    model: &str,
    planned: &Planned,
    identity: &Identity,
) -> Result<Request<Full<Bytes>>, BuildError> {
    let body = body(model, planned).map_err(|error| BuildError(error.to_string()))?;
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(planned.api.path())
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-request-id", &identity.request_id)
        .header("traceparent", identity.traceparent());
    for (name, value) in &planned.headers {
        request = request.header(name, value);
    }
    request.body(Full::new(body)).map_err(|error| BuildError(error.to_string()))
}
