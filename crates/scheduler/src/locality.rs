//! Looking a prompt's prefix up, timed, and remembering where it was placed.

use std::time::Duration;

use cluster::api::{InferType, SchedulingRequest, SchedulingStage};
use telemetry::clock::{self, Moment};

use crate::prefix::{Hits, Index, IndexConfig, Prompt};
use crate::view::Instance;

/// Which prompts are looked up, and what is remembered of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixConfig {
    /// Tokens of the shortest prompt that is looked up.
    pub min_tokens: u64,
    /// Tokens of a block.
    pub chunk: usize,
    /// The index.
    pub index: IndexConfig,
}

/// Who has which prefix, from what was placed where.
#[derive(Debug)]
pub(crate) struct Prefixes {
    config: PrefixConfig,
    index: Index,
}

/// What was found of a prompt.
#[derive(Debug)]
pub(crate) struct Found {
    prompt: Prompt,
    pub(crate) hits: Hits,
    pub(crate) query: Duration,
    pub(crate) calc: Duration,
}

impl Prefixes {
    pub(crate) fn new(config: PrefixConfig) -> Self {
        Self { config, index: Index::new(config.index) }
    }

    /// Who has how much of the prompt; `None` where it is not looked up: it is too short or nothing is known of it, or it will
    /// have been computed elsewhere by then.
    pub(crate) fn look_up(&self, asked: &SchedulingRequest, prompt_tokens: u64) -> Option<Found> {
        if prompt_tokens < self.config.min_tokens || asked.scheduling_stage == Some(SchedulingStage::Decode) {
            return None;
        }
        let began = clock::now();
        let prompt = Prompt::of(asked, prompt_tokens, self.config.chunk)?;
        let hashed = clock::now();
        let holders = self.index.holders(&prompt.blocks, hashed);
        let queried = clock::now();
        let hits = Hits::of(&prompt, &holders);
        let calc = (hashed - began) + (clock::now() - queried);
        Some(Found { prompt, hits, query: queried - hashed, calc })
    }

    /// The prompt will be computed on this instance, and be in its cache.
    pub(crate) fn placed(&self, found: &Found, instance: &Instance, now: Moment) {
        let holder = instance.seat.holder_or(|| self.index.next_holder());
        self.index.place(&found.prompt.blocks, holder, now);
    }
}

/// Whether a choice is of an instance that computes the prompt.
pub(crate) fn computes(infer_type: InferType) -> bool {
    infer_type != InferType::Decode
}
