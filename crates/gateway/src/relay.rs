//! Passing an engine's answer on to the client.
//!
//! Two ways, told apart by the head of the answer: an event stream that the client asked for is read as it passes
//! ([`stream`]); anything else (a JSON answer, an engine's own error, a body that cannot be read) passes untouched
//! ([`whole`]). Both forward every chunk as it arrives, without a copy; both stop reading when the client stops, since a
//! body is read only when the client's connection asks for more; and both settle the request's telemetry exactly once, by
//! what really happened to the last byte.

use openai::{ApiError, ErrorKind};

mod events;
mod silence;
mod stream;
mod whole;

pub(crate) use stream::{Stream, StreamTerms};
pub(crate) use whole::Whole;

/// An engine's count of tokens, as telemetry takes it.
fn counted(usage: openai::Usage) -> telemetry::gateway::Usage {
    telemetry::gateway::Usage {
        input: usage.prompt_tokens,
        output: usage.completion_tokens,
        cached: usage.cached_tokens,
    }
}

/// How an engine's answer broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// It ended in good order, but before its last event.
    Truncated,
    /// The connection failed.
    Lost,
    /// Nothing came for too long.
    Silent,
}

impl Break {
    /// A name that programs can match.
    fn code(self) -> &'static str {
        match self {
            Self::Truncated => "stream_truncated",
            Self::Lost => "stream_lost",
            Self::Silent => "stream_silent",
        }
    }

    /// A sentence for the client, the span and the log.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Truncated => "the engine ended its answer before it was complete",
            Self::Lost => "the connection to the engine was lost within its answer",
            Self::Silent => "the engine stayed silent for too long within its answer",
        }
    }

    fn to_error(self) -> ApiError {
        let kind = match self {
            Self::Truncated | Self::Lost => ErrorKind::BadGateway,
            Self::Silent => ErrorKind::Timeout,
        };
        ApiError::new(kind, self.message()).with_code(self.code())
    }
}
