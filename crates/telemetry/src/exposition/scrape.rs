//! A scrape, and questions to it.

use std::collections::BTreeMap;

use crate::trace::TraceId;

/// One line of an exposition.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The sample's name, suffixes (`_bucket`, `_total`) included.
    pub name: String,
    /// Labels in the order of the text.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
    /// The line's own time, if it has one: milliseconds in the text format, seconds in OpenMetrics.
    pub timestamp: Option<f64>,
    /// The line's exemplar, if it has one.
    pub exemplar: Option<Exemplar>,
}

/// An observation that stands for others.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Its labels in the order of the text.
    pub labels: Vec<(String, String)>,
    /// What was observed.
    pub value: f64,
    /// When, in Unix seconds, if it says so.
    pub timestamp: Option<f64>,
}

/// What an exposition says of a family beside its type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// `# HELP`, unescaped.
    pub help: String,
    /// `# UNIT`.
    pub unit: String,
}

/// Everything one scrape said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrape {
    /// Family name to type, as `# TYPE` lines say.
    pub types: BTreeMap<String, String>,
    /// Family name to help and unit, where it has any.
    pub about: BTreeMap<String, About>,
    /// Whether it ended with `# EOF`, as OpenMetrics does.
    pub ended: bool,
    /// All samples in order.
    pub samples: Vec<Sample>,
}

/// A histogram of a scrape, summed over all series that matched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramSample {
    /// Observations.
    pub count: f64,
    /// Sum of the observations, in the metric's unit.
    pub sum: f64,
    /// Upper bound to cumulative count, ascending; the last bound is infinite.
    pub buckets: Vec<(f64, f64)>,
}

impl Sample {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.label(name) == Some(*value))
    }
}

impl Exemplar {
    /// The trace it belongs to, if it names one.
    pub fn trace(&self) -> Option<TraceId> {
        let hex = self.labels.iter().find(|(name, _)| name == "trace_id").map(|(_, value)| value)?;
        TraceId::from_bytes(u128::from_str_radix(hex, 16).ok()?.to_be_bytes())
    }
}

impl Scrape {
    /// The samples called `name` that have at least `labels`.
    pub fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> + 'a {
        self.samples.iter().filter(move |sample| sample.name == name && sample.has(labels))
    }

    /// The value of the one sample called `name` that has at least `labels`; `None` where there is none or more than one.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut matching = self.matching(name, labels);
        let sample = matching.next()?;
        matching.next().is_none().then_some(sample.value)
    }

    /// The sum over all samples called `name` that have at least `labels`; `None` where there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut matching = self.matching(name, labels).peekable();
        matching.peek()?;
        Some(matching.map(|sample| sample.value).sum())
    }

    /// The histogram `name`, summed over all series that have at least `labels`.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Option<HistogramSample> {
        let count = self.sum(&format!("{name}_count"), labels)?;
        let sum = self.sum(&format!("{name}_sum"), labels)?;
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for sample in self.matching(&format!("{name}_bucket"), labels) {
            let bound = sample.label("le")?.parse().ok()?;
            match buckets.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, cumulative)) => *cumulative += sample.value,
                None => buckets.push((bound, sample.value)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        Some(HistogramSample { count, sum, buckets })
    }

    /// Whether any sample of the family `name` is there.
    pub fn contains(&self, name: &str) -> bool {
        self.samples
            .iter()
            .any(|sample| sample.name.strip_prefix(name).is_some_and(|rest| matches!(rest, "" | "_count" | "_total")))
    }
}

impl HistogramSample {
    /// The mean; `None` of no observations.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }

    /// The `q`-quantile (0 to 1), interpolated within its bucket as `histogram_quantile` does; `None` of no observations.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = q.clamp(0.0, 1.0) * self.count;
        if self.count <= 0.0 {
            return None;
        }
        let at = self.buckets.iter().position(|&(_, cumulative)| cumulative >= rank)?;
        let (lower, below) = at.checked_sub(1).map_or((0.0, 0.0), |before| self.buckets[before]);
        let (upper, cumulative) = self.buckets[at];
        if upper.is_infinite() || cumulative <= below {
            return Some(if upper.is_infinite() { lower } else { upper });
        }
        Some(lower + (upper - lower) * (rank - below) / (cumulative - below))
    }
}
