//! What happened, in telemetry's terms: which stage, whose fault.

use http::StatusCode;
use telemetry::{Blame, Outcome, Stage};

use crate::errors::Refusal;
use crate::relay::Break;

/// The gateway answered itself, with `status`.
pub(crate) fn of_refusal(refusal: &Refusal, status: StatusCode) -> Outcome {
    if matches!(refusal, Refusal::BodyCutOff) {
        return Outcome::ClientCancelled;
    }
    let (stage, blame) = refusal.fault();
    Outcome::failed(stage, blame, status.as_u16(), refusal.to_string())
}

/// An engine's answer with `status` was relayed to its end.
pub(crate) fn of_answer(status: StatusCode) -> Outcome {
    if !status.is_client_error() && !status.is_server_error() {
        return Outcome::Completed;
    }
    let blame = if status.is_client_error() { Blame::Client } else { Blame::Upstream };
    Outcome::failed(Stage::Decode, blame, status.as_u16(), "the engine answered with an error")
}

/// An engine's answer with `status` broke off.
pub(crate) fn of_break(how: Break, status: StatusCode) -> Outcome {
    let blame = match how {
        Break::Lost => Blame::Network,
        Break::Truncated | Break::Silent => Blame::Upstream,
    };
    Outcome::failed(Stage::Relay, blame, status.as_u16(), how.message())
}

/// An engine's stream came to its end, but the last thing it said was an error.
pub(crate) fn of_error_event(status: StatusCode) -> Outcome {
    Outcome::failed(Stage::Decode, Blame::Upstream, status.as_u16(), "the engine reported an error within its stream")
}
