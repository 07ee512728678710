//! Numbers over time: what a metrics query counts.
//!
//! A sample at `t` counts the spans that began after `t - step` and not after `t`; the first and the last `t` are the bounds
//! of the window, moved outwards to whole steps. An instant query is one such interval.

mod accumulate;
mod compare;
mod second;

use super::ast::{Function, Query};
use super::bind::Bound;
use super::eval::Context;
use super::narrow::{each, plain_filters, shown};
use super::pipeline;
use super::search::{Bounds, candidates};
use super::tree::Tree;
use super::value::Literal;
use crate::traces::Stored;
use accumulate::Accumulator;

/// Most samples per series.
pub const MAX_SAMPLES: u64 = 11_000;

/// Most series of one answer; further ones are left out, and the answer says so.
const MAX_SERIES: usize = 10_000;

/// When to count. Times are nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    first: u64,
    step: u64,
    samples: usize,
    /// The earliest and the latest start of a span that counts.
    counted: (u64, u64),
    instant: bool,
}

impl Window {
    /// One sample for all spans that begin at `start` or later, and before `end`.
    #[must_use]
    pub fn instant(start: u64, end: u64) -> Self {
        let counted = (start, end.saturating_sub(1));
        Self { first: end, step: end.saturating_sub(start).max(1), samples: 1, counted, instant: true }
    }

    /// A sample per step; `None` where there would be too many, or where the step is 0.
    #[must_use]
    pub fn range(start: u64, end: u64, step: u64) -> Option<Self> {
        let first = start.checked_sub(start.checked_rem(step)?)?;
        let last = end.checked_next_multiple_of(step)?;
        let samples = last.checked_sub(first)? / step + 1;
        let counted = (first.saturating_sub(step) + 1, last);
        (samples <= MAX_SAMPLES).then_some(Self { first, step, samples: samples as usize, counted, instant: false })
    }

    /// How many samples a series has.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// When a sample is taken, in milliseconds.
    #[must_use]
    pub fn millis(&self, sample: usize) -> u64 {
        (self.first + self.step * sample as u64) / 1_000_000
    }

    /// How long a sample's interval is, in seconds.
    fn seconds(&self) -> f64 {
        self.step as f64 / 1e9
    }

    /// Which sample counts a span that begins at `start`.
    fn sample_of(&self, start: u64) -> Option<usize> {
        if !(self.counted.0..=self.counted.1).contains(&start) {
            return None;
        }
        if self.instant {
            return Some(0);
        }
        usize::try_from(start.saturating_sub(self.first).div_ceil(self.step))
            .ok()
            .filter(|&sample| sample < self.samples)
    }
}

/// What a metrics query found.
#[derive(Debug, Default)]
pub struct Answer {
    /// The series, in the order of their labels.
    pub series: Vec<Series>,
    /// What the reader should know beside the numbers.
    pub message: Option<String>,
    /// Spans that were counted.
    pub inspected: u64,
}

/// One series.
#[derive(Clone, Debug)]
pub struct Series {
    /// What tells it apart.
    pub labels: Vec<(String, Literal)>,
    /// One value per sample of the window; `None` where there is nothing to say.
    pub values: Vec<Option<f64>>,
    /// A few of the spans behind it.
    pub exemplars: Vec<Exemplar>,
}

/// A span behind a series.
#[derive(Clone, Debug)]
pub struct Exemplar {
    /// The trace, and what the query mentions of the span.
    pub labels: Vec<(String, Literal)>,
    /// What was measured; `None` where spans are counted only.
    pub value: Option<f64>,
    /// When the span began, in milliseconds.
    pub millis: u64,
    /// The sample that counts it.
    pub sample: usize,
}

/// Runs a metrics query, with up to `exemplars` exemplars. `None` where the query is a search.
#[must_use]
pub fn run(stored: &Stored, query: &Query, window: &Window, exemplars: usize) -> Option<Answer> {
    let metrics = query.metrics.as_ref()?;
    let wanted = query.hints.iter().all(|(name, value)| name != "exemplars" || *value != Literal::Bool(false));
    let exemplars = if window.instant || !wanted { 0 } else { exemplars };
    let bound = Bound::new(stored, query);
    if let Function::Compare { selection, top, window: chosen } = &metrics.function {
        return Some(compare::run(&bound, query, window, selection, *top, *chosen));
    }
    let fields = shown(query);
    let mut counting = Accumulator::new(metrics, *window, exemplars, &fields);
    each_span(&bound, query, window, |context| counting.add(context));
    let mut answer = counting.finish();
    for stage in &metrics.then {
        answer.series = second::apply(stage, answer.series, window.samples);
    }
    Some(answer)
}

/// Calls `found` with every span that the pipeline leaves and that begins in the window.
fn each_span(bound: &Bound<'_>, query: &Query, window: &Window, mut found: impl FnMut(&Context<'_>)) {
    let (from, to) = window.counted;
    if let Some(filters) = plain_filters(query) {
        for block in bound.blocks().iter().filter(|block| block.block.starts_within(from, to)) {
            each(block, &filters, (from, to), |context| found(&context));
        }
        return;
    }
    let bounds = Bounds { start: from, end: to, traces: usize::MAX, spans: 0, shortest: 0, longest: u64::MAX };
    for (_, id) in candidates(bound, query, &bounds) {
        let tree = Tree::new(bound, id);
        for set in pipeline::run(&query.pipeline, &tree) {
            let places = set.spans.into_iter().filter(|&place| (from..=to).contains(&tree.spans[place].span.start));
            for place in places {
                found(&Context { at: tree.spans[place], tree: Some((&tree, place)) });
            }
        }
    }
}
