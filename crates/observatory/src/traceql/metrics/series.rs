//! When is counted, and what comes of it.

use crate::traceql::value::Literal;

/// Most samples per series.
pub const MAX_SAMPLES: u64 = 11_000;

/// Most series of one answer; further ones are left out, and the answer says so.
pub(super) const MAX_SERIES: usize = 10_000;

/// When to count. Times are nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    first: u64,
    step: u64,
    pub(super) samples: usize,
    /// The earliest and the latest start of a span that counts.
    pub(super) counted: (u64, u64),
    pub(super) instant: bool,
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
    pub(super) fn seconds(&self) -> f64 {
        self.step as f64 / 1e9
    }

    /// Which sample counts a span that begins at `start`.
    pub(super) fn sample_of(&self, start: u64) -> Option<usize> {
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
