//! What the client saw, request by request.

use serde::{Deserialize, Serialize};

use crate::echo::Noise;

/// How a request ended in the client's eyes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    /// A 2xx answer that arrived whole: to `[DONE]` where it was streamed.
    Completed,
    /// The client left, as planned.
    Cancelled,
    /// An answer other than 2xx, whole.
    Refused,
    /// A 2xx answer that broke off: an error event, a missing `[DONE]`, a reset.
    Broken {
        /// What was wrong.
        why: String,
    },
    /// No answer at all: no connection, or none in time.
    Unanswered {
        /// What was wrong.
        why: String,
    },
}

/// One request as the client's stopwatch saw it. Every time is in nanoseconds from `start`, the moment just before
/// the request was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its place in the plan.
    pub index: u64,
    /// The `x-request-id` that it was sent with.
    pub request_id: String,
    /// The trace id of its `traceparent`, 32 hex digits.
    pub trace_id: String,
    /// The span id of its `traceparent`, 16 hex digits: the client's own span.
    pub span_id: String,
    /// When it was sent, in nanoseconds from the beginning of the run.
    pub start_ns: u64,
    /// Its path.
    pub path: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Whether the client planned to leave early; such a request may still complete first.
    pub leaving: bool,
    /// How long after its intended start it was really sent. In an open loop a slow client or server shows up here, not
    /// as a request that was never asked for (coordinated omission); in a closed loop it is 0.
    pub late_ns: u64,
    /// The status of the answer.
    pub status: Option<u16>,
    /// The code of the error, where the answer was one.
    #[serde(default)]
    pub code: Option<String>,
    /// When the response head was read.
    pub head_ns: Option<u64>,
    /// When the first token-bearing chunk was read; streams only.
    pub first_ns: Option<u64>,
    /// When the last token-bearing chunk was read; streams only.
    pub last_ns: Option<u64>,
    /// When the end of the answer (or the reason to give up) was seen.
    pub end_ns: u64,
    /// The gaps between token-bearing chunks, in order; they add up to `last_ns - first_ns`.
    pub gaps_ns: Vec<u64>,
    /// Output tokens counted chunk by chunk.
    pub tokens: u64,
    /// Those of them that came after the first token-bearing chunk: as many gaps as a histogram of gaps per token holds.
    pub tokens_after_first: u64,
    /// Output tokens by the engine's own `usage`, where it came.
    pub usage_tokens: Option<u64>,
    /// Prompt tokens by the engine's own `usage`, where it came.
    pub prompt_tokens: Option<u64>,
    /// How it ended.
    #[serde(flatten)]
    pub end: End,
}

impl Record {
    /// Whether it ended in a way that nobody planned.
    pub fn failed(&self) -> bool {
        !matches!(self.end, End::Completed | End::Cancelled)
    }

    /// Whether it is a stream that completed, so that every latency of it is defined.
    pub fn streamed_whole(&self) -> bool {
        self.stream && self.end == End::Completed && self.first_ns.is_some()
    }
}

/// Everything a load run brought back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// When the run began, in nanoseconds of Unix time. Only to show when something was; nothing is compared with it.
    pub began_unix_ns: u64,
    /// From the first request's start to the last one's end, in nanoseconds.
    pub elapsed_ns: u64,
    /// The requests, in the order in which they ended.
    pub records: Vec<Record>,
    /// The echo probe's round trips, where there was something to probe.
    pub noise: Option<Noise>,
}
