//! How a request ended: exactly one of three ways.

use std::borrow::Cow;

/// Values of the label `outcome`.
pub(crate) const OUTCOMES: &[&str] = &["completed", "cancelled", "failed"];
/// Values of the label `stage`.
pub(crate) const STAGES: &[&str] =
    &["none", "receive", "queue", "schedule", "dispatch", "prefill", "coordination", "decode", "relay"];

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole response was relayed.
    Completed,
    /// The client left first.
    ClientCancelled,
    /// Something went wrong.
    Failed {
        /// The stage that failed.
        stage: Stage,
        /// Whose fault it was.
        blame: Blame,
        /// The HTTP status that the client got (or would have got).
        status: Option<u16>,
        /// One sentence for the span and the log.
        reason: Cow<'static, str>,
    },
}

/// A stage of a request, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Reading and checking the request.
    Receive,
    /// Waiting for admission.
    Queue,
    /// Choosing instances.
    Schedule,
    /// Handing the request to an upstream.
    Dispatch,
    /// The prefill leg.
    Prefill,
    /// Between the legs.
    Coordination,
    /// The decode leg, until its response begins.
    Decode,
    /// Relaying the response.
    Relay,
}

/// Whose fault a failure was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The request is wrong.
    Client,
    /// An engine, or a proxy before it, refused or broke.
    Upstream,
    /// The connection between us and an upstream.
    Network,
    /// Ourselves.
    Candor,
}

impl Outcome {
    /// A failure.
    pub fn failed(stage: Stage, blame: Blame, status: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Failed { stage, blame, status: Some(status), reason: reason.into() }
    }

    /// The label value.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::ClientCancelled => "cancelled",
            Self::Failed { .. } => "failed",
        }
    }
}

impl Stage {
    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Queue => "queue",
            Self::Schedule => "schedule",
            Self::Dispatch => "dispatch",
            Self::Prefill => "prefill",
            Self::Coordination => "coordination",
            Self::Decode => "decode",
            Self::Relay => "relay",
        }
    }
}

impl Blame {
    /// The attribute value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Network => "network",
            Self::Candor => "candor",
        }
    }
}
