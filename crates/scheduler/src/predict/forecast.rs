//! What is expected, from what was learnt.

use std::sync::Arc;
use std::time::Duration;

use super::regression::{Row, UNKNOWNS};
use super::{Decodes, Prefills, Step};

/// Thousands of tokens, so that all unknowns are of a size.
const TOKENS: f64 = 1e-3;

/// Errors count in proportion to what a step took, down to this many milliseconds.
const LEAST_MS: f64 = 0.1;

/// How many samples' worth a profile is: it was measured with care, though perhaps elsewhere.
const PROFILE_BELIEF: f64 = 4.0;

/// So little is believed without a profile that it never shows, but where the samples leave a choice.
const NO_BELIEF: f64 = 1e-9;

/// The step's duration as a sum of terms: two for its prompt tokens, three for its decoding requests. Where a profile tells
/// what such work takes there is one term for it, and the unknown is by how much the profile is wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    pub(super) prefills: Option<Arc<Prefills>>,
    pub(super) decodes: Option<Arc<Decodes>>,
}

impl Shape {
    fn row(&self, prefill_tokens: f64, batch: f64, context: f64) -> Row {
        let mut row = [0.0; UNKNOWNS];
        if prefill_tokens > 0.0 {
            match &self.prefills {
                Some(profile) => row[0] = profile.at(prefill_tokens),
                None => (row[0], row[1]) = (1.0, prefill_tokens * TOKENS),
            }
        }
        if batch > 0.0 {
            match &self.decodes {
                Some(profile) => row[2] = profile.at(batch, context.max(0.0) / batch),
                None => (row[2], row[3], row[4]) = (1.0, batch, context.max(0.0) * TOKENS),
            }
        }
        row
    }

    /// A step as a sample of relative error.
    pub(super) fn sample(&self, step: &Step) -> Option<(Row, f64)> {
        let told = step.ms.is_finite() && step.ms > 0.0 && (step.prefill_tokens > 0 || step.batch > 0);
        let weight = 1.0 / step.ms.max(LEAST_MS);
        let row = self.row(step.prefill_tokens as f64, step.batch as f64, step.context as f64);
        told.then(|| (row.map(|term| term * weight), step.ms * weight))
    }

    /// What is believed without samples, and how firmly.
    pub(super) fn prior(&self) -> (Row, Row) {
        let (mut prior, mut belief) = ([0.0; UNKNOWNS], [NO_BELIEF; UNKNOWNS]);
        for (at, told) in [(0, self.prefills.is_some()), (2, self.decodes.is_some())] {
            if told {
                (prior[at], belief[at]) = (1.0, PROFILE_BELIEF);
            }
        }
        (prior, belief)
    }
}

/// What was learnt of a class of instances, as a function of what there is to do.
#[derive(Clone, Debug, Default)]
pub struct Forecast {
    shape: Shape,
    coefficients: Row,
    /// Whether the steps' prompt tokens, and their decoding requests, are known to cost what.
    knows: [bool; 2],
}

/// What there is to do on an instance when a request comes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Situation {
    /// Prompt tokens that were not computed when its status was written.
    pub uncomputed: i64,
    /// How long ago that was.
    pub elapsed: Duration,
    /// Prompt tokens placed there since, of which no status tells.
    pub inflight: i64,
    /// In how long those will be done, by what was predicted of them.
    pub promised: Duration,
    /// Requests that decode there, or will.
    pub batch: i64,
    /// Their tokens.
    pub context: i64,
    /// Tokens that it computes in one step at most.
    pub batched: u64,
}

/// What has become of the prompts of a status by now.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Tokens computed.
    computed: f64,
    /// Tokens in the step under way.
    underway: f64,
    /// Until that ends, milliseconds.
    left_ms: f64,
}

impl Forecast {
    pub(super) fn new(shape: Shape, coefficients: Row, knows: [bool; 2]) -> Self {
        Self { shape, coefficients, knows }
    }

    /// What a step takes, in milliseconds.
    #[must_use]
    pub fn step_ms(&self, prefill_tokens: f64, batch: f64, context: f64) -> f64 {
        let row = self.shape.row(prefill_tokens, batch, context);
        row.iter().zip(&self.coefficients).map(|(term, unknown)| term * unknown).sum::<f64>().max(0.0)
    }

    /// Milliseconds to the first token of a request whose prompt has so many tokens to compute there; of one that has none, as
    /// when its KV cache comes from elsewhere, to the end of its first step. `None` while too little was seen.
    #[must_use]
    pub fn ttft_ms(&self, at: &Situation, prompt_tokens: u64) -> Option<f64> {
        let prompt = prompt_tokens as f64;
        let [prefills, decodes] = self.knows;
        // Where nobody decodes and nobody is to, what that takes need not be known.
        let is_known = if prompt > 0.0 { prefills } else { decodes };
        if !is_known {
            return None;
        }
        let progress = self.progress(at);
        let before = (at.uncomputed.max(0) as f64 - progress.computed - progress.underway).max(0.0);
        let wait = self.wait_ms(at, &progress);
        let inflight = at.inflight.max(0) as f64;
        let own = |tokens: f64| if prompt > 0.0 { self.prompts_ms(at, tokens) } else { self.last_ms(at, tokens) };
        let with_all = wait + own(before + inflight + prompt);
        if inflight == 0.0 {
            return Some(with_all);
        }
        // What no status tells of has been going on since it was placed. It is done when it was said to be, if not sooner.
        let promised = at.promised.as_secs_f64() * 1e3 + own(prompt);
        Some(with_all.min(promised).max(wait + own(before + prompt)))
    }

    /// Milliseconds of a step once one more request of so many tokens decodes there. `None` while too little was seen.
    #[must_use]
    pub fn tpot_ms(&self, at: &Situation, tokens: u64) -> Option<f64> {
        let (batch, context) = (at.batch.max(0) as f64 + 1.0, at.context.max(0) as f64 + tokens as f64);
        self.knows[1].then(|| self.step_ms(0.0, batch, context))
    }

    /// Milliseconds of a step of those that decode there; 0 where nobody does. `None` while too little was seen.
    #[must_use]
    pub fn decode_ms(&self, at: &Situation) -> Option<f64> {
        if at.batch <= 0 {
            return Some(0.0);
        }
        self.knows[1].then(|| self.step_ms(0.0, at.batch as f64, at.context.max(0) as f64))
    }

    /// Prompt tokens that were computed since the status was written: never more than it said were left to compute. `None`
    /// while too little was seen.
    #[must_use]
    pub fn computed(&self, at: &Situation) -> Option<f64> {
        self.knows[0].then(|| self.progress(at).computed)
    }

    fn progress(&self, at: &Situation) -> Progress {
        let (all, elapsed) = (at.uncomputed.max(0) as f64, at.elapsed.as_secs_f64() * 1e3);
        let batched = at.batched.max(1) as f64;
        let full = self.of_step(at, batched);
        let (whole, rest) = ((all / batched).floor(), all % batched);
        if elapsed < whole * full {
            let done = (elapsed / full).floor();
            return Progress { computed: done * batched, underway: batched, left_ms: (done + 1.0) * full - elapsed };
        }
        let end = whole * full + if rest > 0.0 { self.of_step(at, rest) } else { 0.0 };
        if elapsed < end {
            return Progress { computed: all - rest, underway: rest, left_ms: end - elapsed };
        }
        Progress { computed: all, ..Progress::default() }
    }

    /// Until a new request can take part: the step under way cannot be joined. Of one of which nothing is known but that it
    /// decodes, half is left.
    fn wait_ms(&self, at: &Situation, progress: &Progress) -> f64 {
        if progress.underway > 0.0 {
            return progress.left_ms;
        }
        self.step_ms(0.0, at.batch.max(0) as f64, at.context.max(0) as f64) / 2.0
    }

    /// Milliseconds for so many prompt tokens, in steps as large as they may be.
    fn prompts_ms(&self, at: &Situation, tokens: f64) -> f64 {
        let batched = at.batched.max(1) as f64;
        let (whole, rest) = ((tokens / batched).floor(), tokens % batched);
        whole * self.of_step(at, batched) + if rest > 0.0 { self.of_step(at, rest) } else { 0.0 }
    }

    /// The same, and a step in which one more request decodes.
    fn last_ms(&self, at: &Situation, tokens: f64) -> f64 {
        self.prompts_ms(at, tokens) + self.step_ms(0.0, at.batch.max(0) as f64 + 1.0, at.context.max(0) as f64)
    }

    fn of_step(&self, at: &Situation, tokens: f64) -> f64 {
        self.step_ms(tokens, at.batch.max(0) as f64, at.context.max(0) as f64)
    }
}
