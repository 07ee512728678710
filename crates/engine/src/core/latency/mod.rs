//! How long the simulated hardware takes.
//!
//! A step is one forward pass. Its cost has two parts that add up, as in Llumnix's predictor: a prefill part for the
//! prompt tokens computed in it, and a decode part for the sequences that get one token each. Either comes from a
//! formula ([`Formula`]) or from measurements of real hardware ([`Profile`]).
//!
//! Not every chunk of prompt is "prefill" in this sense. A pass over a handful of tokens after a cached prefix is bound
//! by reading the weights, like decoding, not by arithmetic; the scheduler prices such a chunk as one decoding sequence
//! ([`Work::decode_sequences`]). Without that rule a decode instance would pay the whole fixed cost of a prefill for
//! the last, partly filled block of a transferred prompt.

mod profile;

pub use profile::{Profile, ProfileError};

use super::hash::Random;
use std::time::Duration;

/// What one step has to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Prompt tokens computed in chunks large enough to be bound by arithmetic.
    pub prefill_tokens: u64,
    /// Sequences that advance by one token (or by a chunk as cheap as one).
    pub decode_sequences: u32,
    /// Tokens of context over all decoding sequences.
    pub decode_context: u64,
}

/// Linear costs, for experiments in which every duration is to be known in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formula {
    /// Fixed cost of a step that computes any prompt tokens.
    pub prefill_base: Duration,
    /// Cost per prompt token computed.
    pub prefill_per_token: Duration,
    /// Fixed cost of a step in which any sequence decodes.
    pub decode_step: Duration,
    /// Cost per decoding sequence beyond the first.
    pub decode_per_sequence: Duration,
}

/// Costs of moving KV from one instance to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Fixed cost of a transfer.
    pub base: Duration,
    /// Cost per block moved.
    pub per_block: Duration,
    /// Size of a block in bytes, for the metrics and for `bandwidth`.
    pub block_bytes: u64,
    /// Bytes per second of the link; 0 is infinitely fast.
    pub bandwidth: u64,
}

impl Transfer {
    /// Time that moving `blocks` blocks takes. Nothing to move takes no time.
    #[must_use]
    pub fn duration(&self, blocks: u32) -> Duration {
        if blocks == 0 {
            return Duration::ZERO;
        }
        let wire = match self.bandwidth {
            0 => Duration::ZERO,
            bandwidth => Duration::from_secs_f64(self.bytes(blocks) as f64 / bandwidth as f64),
        };
        self.base + self.per_block * blocks + wire
    }

    /// Bytes in `blocks` blocks.
    #[must_use]
    pub const fn bytes(&self, blocks: u32) -> u64 {
        self.block_bytes * blocks as u64
    }
}

/// Where step durations come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Computed.
    Formula(Formula),
    /// Interpolated between measurements.
    Profile(Profile),
}

/// The latency model of one instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Step durations before jitter.
    pub source: Source,
    /// Relative spread: a duration is multiplied by a number uniform in `[1 - jitter, 1 + jitter]`.
    pub jitter: f64,
    /// KV transfers.
    pub transfer: Transfer,
}

impl Model {
    /// A model in which nothing takes any time.
    #[must_use]
    pub const fn zero() -> Self {
        let formula = Formula {
            prefill_base: Duration::ZERO,
            prefill_per_token: Duration::ZERO,
            decode_step: Duration::ZERO,
            decode_per_sequence: Duration::ZERO,
        };
        let transfer = Transfer { base: Duration::ZERO, per_block: Duration::ZERO, block_bytes: 0, bandwidth: 0 };
        Self { source: Source::Formula(formula), jitter: 0.0, transfer }
    }

    /// How long a step with this `work` takes.
    pub fn step(&self, work: &Work, random: &mut Random) -> Duration {
        let exact = match &self.source {
            Source::Formula(formula) => formula.step(work),
            Source::Profile(profile) => profile.step(work),
        };
        self.jittered(exact, random)
    }

    /// `exact`, spread by the model's jitter.
    pub fn jittered(&self, exact: Duration, random: &mut Random) -> Duration {
        if self.jitter == 0.0 || exact.is_zero() {
            return exact;
        }
        exact.mul_f64(1.0 + self.jitter * (2.0 * random.unit() - 1.0))
    }
}

impl Formula {
    fn step(&self, work: &Work) -> Duration {
        let mut total = Duration::ZERO;
        if work.prefill_tokens > 0 {
            let tokens = u32::try_from(work.prefill_tokens).unwrap_or(u32::MAX);
            total += self.prefill_base + self.prefill_per_token * tokens;
        }
        if let Some(others) = work.decode_sequences.checked_sub(1) {
            total += self.decode_step + self.decode_per_sequence * others;
        }
        total
    }
}

#[cfg(test)]
mod tests;
