//! Where a request goes: metrics, filters, and a selector, over a snapshot.
//!
//! A policy is put together from named parts by a file ([`file`]); the built-in ones are such files too. It is a function of
//! snapshot, request and time: no lock, no I/O, and nothing read that was not given. What a selector remembers (whose turn it
//! is) is in atomics of the policy, and its dice are a counter and a seed, so that a simulation can repeat a run.
//!
//! The order of instances is total: a number that is none sorts last, and ties fall to the next metric and at last to the
//! instance's id.

pub mod explain;
mod file;
mod filter;
mod metric;
mod place;
mod reserve;
mod select;
mod stage;

pub use file::{BUILT_IN, Parameters, PolicyFault, built_in};
pub(crate) use filter::Fallen;
pub use filter::{Domain, Filter, Rejected};
pub use metric::{Metric, Mode, Weighing};
pub use place::{Ask, Placement, Refusal};
pub use select::Dice;
pub use stage::{Chosen, Nobody, Stage};

use cluster::api::InferType;

#[cfg(test)]
mod tests;

/// A policy: how an instance of each type is chosen.
#[derive(Debug)]
pub struct Policy {
    name: String,
    mode: Mode,
    stages: [Stage; 3],
}

impl Policy {
    /// Its name, as files and spans have it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its numbers come from.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether it goes by predictions.
    #[must_use]
    pub fn predicts(&self) -> bool {
        self.stages.iter().any(Stage::predicts)
    }

    /// How an instance of this type is chosen.
    #[must_use]
    pub fn stage(&self, infer_type: InferType) -> &Stage {
        match infer_type {
            InferType::Neutral => &self.stages[0],
            InferType::Prefill => &self.stages[1],
            InferType::Decode => &self.stages[2],
        }
    }
}
