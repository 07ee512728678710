//! `llm_request`, as vLLM exports it: SERVER kind, latencies as doubles in seconds.

use crate::attributes::{COMPLETION_TOKENS, PROMPT_TOKENS, REQUEST_ID, engine as keys};
use crate::clock::Moment;
use crate::span::{SpanKind, SpanRecord, Started, Status};

/// One request that has ended, in the engine's own view.
#[derive(Clone, Debug)]
pub struct LlmRequest {
    /// The engine's request id (`cmpl-…-0`).
    pub request_id: String,
    /// The engine got the request.
    pub arrival: Moment,
    /// First put in a batch.
    pub scheduled: Option<Moment>,
    /// First token produced.
    pub first_token: Option<Moment>,
    /// Last token produced.
    pub last_token: Option<Moment>,
    /// The end.
    pub finished: Moment,
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Of these computed here.
    pub computed_tokens: u64,
    /// Generated tokens.
    pub generation_tokens: u64,
    /// `max_tokens` of the request.
    pub max_tokens: Option<u64>,
    /// `n` of the request.
    pub n: u64,
    /// `temperature` of the request.
    pub temperature: Option<f64>,
    /// `top_p` of the request.
    pub top_p: Option<f64>,
    /// How often it was preempted.
    pub preemptions: u64,
    /// One of `catalogue::vllm::FINISHED_REASONS`.
    pub finished_reason: &'static str,
}

impl LlmRequest {
    /// Arrival to first batch, nanoseconds.
    pub(super) fn queue(&self) -> Option<u64> {
        Some(self.scheduled?.nanos_since(self.arrival))
    }

    /// First batch to first token.
    pub(super) fn prefill(&self) -> Option<u64> {
        Some(self.first_token?.nanos_since(self.scheduled?))
    }

    /// First to last token.
    pub(super) fn decode(&self) -> Option<u64> {
        Some(self.last_token?.nanos_since(self.first_token?))
    }

    /// First batch to last token.
    pub(super) fn inference(&self) -> Option<u64> {
        Some(self.last_token?.nanos_since(self.scheduled?))
    }

    /// Arrival to first token.
    pub(super) fn ttft(&self) -> Option<u64> {
        Some(self.first_token?.nanos_since(self.arrival))
    }

    /// Arrival to the end.
    pub(super) fn e2e(&self) -> u64 {
        self.finished.nanos_since(self.arrival)
    }
}

/// The span of a request.
pub(super) fn assemble(started: &Started, request: &LlmRequest) -> SpanRecord {
    let times = (request.arrival, request.finished);
    let mut span = started.record(keys::REQUEST, keys::SCOPE, SpanKind::Server, times);
    let seconds = |nanos: u64| nanos as f64 / 1e9;
    span.set_some(keys::TTFT, request.ttft().map(seconds));
    span.set(keys::E2E, seconds(request.e2e()));
    span.set_some(keys::QUEUE, request.queue().map(seconds));
    span.set(PROMPT_TOKENS, request.prompt_tokens);
    span.set(COMPLETION_TOKENS, request.generation_tokens);
    span.set_some(keys::PREFILL, request.prefill().map(seconds));
    span.set_some(keys::DECODE, request.decode().map(seconds));
    span.set_some(keys::INFERENCE, request.inference().map(seconds));
    span.set(REQUEST_ID, request.request_id.clone());
    span.set_some(keys::TEMPERATURE, request.temperature);
    span.set_some(keys::TOP_P, request.top_p);
    span.set_some(keys::MAX_TOKENS, request.max_tokens);
    span.set(keys::N, request.n);
    if request.finished_reason == "error" {
        span.status = Status::Error("the engine failed".into());
    }
    span
}
