//! The frame of every bench: figures beside bars, as ratios of one run.
//!
//! A bench fills a [`Sheet`] with samples: one number per subject, metric and pass. Bars compare a subject with a
//! yardstick *pass by pass* and judge the median of those comparisons. On a machine that others use too, two passes a
//! minute apart differ more than two proxies do; two measurements of the same pass share the weather.

mod ground;
mod machine;
mod report;

use std::collections::BTreeMap;

pub(crate) use ground::Ground;
pub(crate) use machine::Machine;
pub(crate) use report::Report;

/// Something that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Metric {
    /// Name, as in the table's heading.
    pub(crate) name: &'static str,
    /// Unit, as below it.
    pub(crate) unit: &'static str,
    /// Digits after the point.
    pub(crate) decimals: usize,
}

/// What a bar demands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    /// The median of subject / yardstick is at least this.
    RatioAtLeast(f64),
    /// The median of subject / yardstick is at most this.
    RatioAtMost(f64),
    /// The median of subject - yardstick is at most this, in the metric's unit.
    ExcessAtMost(f64),
    /// Likewise, after something that the subject does and the yardstick does not has been taken off as well.
    ExcessBeside(f64, Aside),
    /// Every sample is at most this, in the metric's unit.
    AtMost(f64),
    /// The median sample is at most this, in the metric's unit.
    MedianAtMost(f64),
    /// The median sample is at least this, in the metric's unit.
    MedianAtLeast(f64),
}

/// Work of a subject that the yardstick has no counterpart of, as it was measured in the same pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Aside {
    /// What it is, in words for the table.
    pub(crate) what: &'static str,
    /// Who was measured doing just that.
    pub(crate) subject: &'static str,
    /// By which metric; its unit is the bar's.
    pub(crate) metric: Metric,
}

/// A demand on one subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    pub(crate) subject: &'static str,
    pub(crate) metric: Metric,
    pub(crate) rule: Rule,
}

/// What became of a bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Judged {
    /// What the rule looks at; `None` where nothing was measured.
    pub(crate) value: Option<f64>,
    /// The least and the most of what it is the middle of: how noisy the run was.
    pub(crate) range: Option<(f64, f64)>,
    /// Comparisons that went into it.
    pub(crate) pairs: usize,
    pub(crate) holds: bool,
}

/// Whether a bench's bars hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every bar holds.
    Held,
    /// At least one is missed; the process should exit non-zero.
    Missed,
}

/// Samples by subject and metric, in the order of the passes.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    samples: BTreeMap<(&'static str, Metric), Vec<f64>>,
}

impl Sheet {
    /// Adds the next pass's sample.
    pub(crate) fn push(&mut self, subject: &'static str, metric: Metric, sample: f64) {
        self.samples.entry((subject, metric)).or_default().push(sample);
    }

    /// All samples of a subject, in the order of the passes.
    pub(crate) fn samples(&self, subject: &'static str, metric: Metric) -> &[f64] {
        self.samples.get(&(subject, metric)).map_or(&[], Vec::as_slice)
    }

    /// The median sample.
    pub(crate) fn median(&self, subject: &'static str, metric: Metric) -> Option<f64> {
        median(self.samples(subject, metric).iter().copied())
    }

    /// Holds a bar against the samples; one that nothing was measured for does not hold.
    pub(crate) fn judge(&self, bar: Bar, yardstick: &'static str) -> Judged {
        let own = self.samples(bar.subject, bar.metric);
        let others = self.samples(yardstick, bar.metric);
        let compared: Vec<f64> = match bar.rule {
            Rule::RatioAtLeast(_) | Rule::RatioAtMost(_) => pairs(own, others).map(|(a, b)| a / b).collect(),
            Rule::ExcessAtMost(_) => pairs(own, others).map(|(a, b)| a - b).collect(),
            Rule::ExcessBeside(_, aside) => {
                let asides = self.samples(aside.subject, aside.metric);
                pairs(own, others).zip(asides).map(|((a, b), aside)| a - b - aside).collect()
            }
            Rule::AtMost(_) | Rule::MedianAtMost(_) | Rule::MedianAtLeast(_) => own.to_vec(),
        };
        let least = compared.iter().copied().reduce(f64::min);
        let most = compared.iter().copied().reduce(f64::max);
        let value = if matches!(bar.rule, Rule::AtMost(_)) { most } else { median(compared.iter().copied()) };
        let holds = value.is_some_and(|value| match bar.rule {
            Rule::RatioAtLeast(limit) | Rule::MedianAtLeast(limit) => value >= limit,
            Rule::RatioAtMost(limit)
            | Rule::ExcessAtMost(limit)
            | Rule::ExcessBeside(limit, _)
            | Rule::AtMost(limit)
            | Rule::MedianAtMost(limit) => value <= limit,
        });
        Judged { value, range: least.zip(most), pairs: compared.len(), holds }
    }
}

/// Samples of the same pass.
fn pairs(own: &[f64], others: &[f64]) -> impl Iterator<Item = (f64, f64)> {
    own.iter().copied().zip(others.iter().copied())
}

/// The middle value; the mean of the two middle ones of an even count.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// The value below which `share` (0 to 1) of the values lie; sorts them.
pub(crate) fn percentile(values: &mut [u64], share: f64) -> Option<u64> {
    values.sort_unstable();
    // Shares of at most a few million values are exact in an f64.
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied()
}

#[cfg(test)]
mod tests;
