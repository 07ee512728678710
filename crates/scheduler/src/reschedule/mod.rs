//! Requests that move in mid-life: which instance should hand some over, to which, and the calls that have it do so.
//!
//! [`plan`](plan::plan) is a function of a snapshot, as a placement is: instances that have more than others, and such that take
//! no requests any more. `round` makes one again and again and carries it out over the instances' llumlets; a migration that
//! takes its time is none that others wait for, and one that fails is tried with another destination.

mod llumlet;
pub mod plan;
mod round;
#[cfg(test)]
mod tests;

use std::time::Duration;

use cluster::api::InferType;

pub(crate) use llumlet::Grpc;
pub(crate) use round::Rounds;

use crate::policy::{Domain, Metric};

/// The orders in which requests may go, as llumlets know them.
pub const ORDERS: [&str; 6] = ["LCR", "FCR", "LR", "SR", "FCW", "FCWSR"];

/// How requests are moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Why.
    pub triggers: Vec<Trigger>,
    /// How often instances are looked at.
    pub interval: Duration,
    /// Which requests go where loads are balanced.
    pub selection: Selection,
    /// How much more an instance must have to hand over.
    pub difference: f64,
    /// Whether loads are balanced within a unit only.
    pub within_unit: bool,
    /// From this age on, a status says that its instance is gone.
    pub staleness: Duration,
    /// What else falls when an instance does.
    pub domain: Domain,
    /// How long a migration may take.
    pub timeout: Duration,
}

/// One reason to move requests, between instances of one type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trigger {
    /// The type.
    pub infer_type: InferType,
    /// The reason.
    pub cause: Cause,
}

/// Why requests move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cause {
    /// An instance has too much to do, and another one has not.
    Load {
        /// What instances are compared by.
        by: Metric,
        /// From here on an instance hands over; below, it may be handed to.
        limit: f64,
    },
    /// An instance takes no requests any more; what it has may be lost with it.
    Failover,
}

/// Which requests go, and how many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selection {
    /// Which go first, as a llumlet calls it.
    pub order: &'static str,
    /// How much goes.
    pub amount: Amount,
}

/// How much goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// Requests; −1 is all of them.
    Requests(i64),
    /// Tokens.
    Tokens(i64),
    /// A share of the KV cache.
    Share(f32),
}

impl Amount {
    /// What is counted, as a llumlet calls it.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Requests(_) => "NUM_REQ",
            Self::Tokens(_) => "TOKEN",
            Self::Share(_) => "RATIO",
        }
    }
}

impl Selection {
    /// Everything, the longest first: what upstream asks of an instance that is about to stop.
    pub const EVERYTHING: Self = Self { order: "LR", amount: Amount::Requests(-1) };
}

impl Trigger {
    /// Its name in flags, and what llumlets are told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match (self.infer_type, self.cause) {
            (InferType::Neutral, Cause::Load { .. }) => "neutral_load",
            (InferType::Prefill, Cause::Load { .. }) => "prefill_load",
            (InferType::Decode, Cause::Load { .. }) => "decode_load",
            (InferType::Neutral, Cause::Failover) => "neutral_failover",
            (InferType::Prefill, Cause::Failover) => "prefill_failover",
            (InferType::Decode, Cause::Failover) => "decode_failover",
        }
    }
}
