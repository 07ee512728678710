//! Exemplars: the last ones of all series, in a ring.

use std::collections::{BTreeMap, VecDeque};

use promql_parser::label::Matcher;

use super::types::matches;
use crate::metrics::Labels;

/// Exemplars kept at most, over all series.
const MOST: usize = 50_000;
/// What an exemplar costs, texts of the usual length included.
const EACH: usize = 200;

/// One observation that stands for others: usually with the trace it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Its own labels (`trace_id`).
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// Unix milliseconds.
    pub at: i64,
}

/// The exemplars of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct ExemplarSeries {
    /// The series.
    pub labels: Labels,
    /// Its exemplars in order of time.
    pub exemplars: Vec<Exemplar>,
}

/// The ring.
#[derive(Default)]
pub(super) struct Exemplars {
    ring: VecDeque<(Labels, Exemplar)>,
    /// The last exemplar of each series, which every scrape repeats.
    last: BTreeMap<Labels, (i64, u64)>,
}

impl Exemplars {
    /// Keeps an exemplar, unless it is the last of its series once more; gives back what is kept.
    pub(super) fn push(&mut self, series: Labels, exemplar: Exemplar) -> Option<&Exemplar> {
        let identity = (exemplar.at, exemplar.value.to_bits());
        if self.last.insert(series.clone(), identity) == Some(identity) {
            return None;
        }
        if self.ring.len() >= MOST {
            self.ring.pop_front();
        }
        self.ring.push_back((series, exemplar));
        self.ring.back().map(|(_, kept)| kept)
    }

    pub(super) fn bytes(&self) -> usize {
        (self.ring.len() + self.last.len()) * EACH
    }

    pub(super) fn drop_before(&mut self, cutoff: i64) {
        self.ring.retain(|(_, exemplar)| exemplar.at >= cutoff);
        self.last.retain(|_, (at, _)| *at >= cutoff);
    }

    pub(super) fn select(&self, matchers: &[Matcher], from: i64, to: i64) -> Vec<ExemplarSeries> {
        let mut found: BTreeMap<&Labels, Vec<Exemplar>> = BTreeMap::new();
        for (series, exemplar) in &self.ring {
            if (from..=to).contains(&exemplar.at) && matches(series, matchers) {
                found.entry(series).or_default().push(exemplar.clone());
            }
        }
        let in_order = |(labels, mut exemplars): (&Labels, Vec<Exemplar>)| {
            exemplars.sort_by_key(|exemplar| exemplar.at);
            ExemplarSeries { labels: labels.clone(), exemplars }
        };
        found.into_iter().map(in_order).collect()
    }
}
