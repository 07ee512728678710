//! Quantiles of classic histograms.

use std::collections::HashMap;

use super::columns::{ABSENT, Column, Grid, is_present};
use crate::metrics::{Labels, METRIC_NAME};

/// The label that holds a bucket's upper bound.
const BOUND: &str = "le";

/// A bucket: its upper bound, and how many observations are not above it.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    bound: f64,
    count: f64,
}

/// `histogram_quantile`: one series per histogram.
pub(super) fn quantiles(columns: &[Column], phi: &[f64], grid: Grid) -> Vec<Column> {
    let mut histograms: Vec<(Labels, Vec<(f64, &Column)>)> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for column in columns {
        // What is no bucket is left out, as Prometheus does.
        let Some(bound) = bound(column.labels.get(BOUND)) else { continue };
        let labels = column.labels.filtered(|name| name != BOUND && name != METRIC_NAME);
        let place = *places.entry(labels.clone()).or_insert(histograms.len());
        if place == histograms.len() {
            histograms.push((labels, Vec::new()));
        }
        histograms[place].1.push((bound, column));
    }
    let mut buckets = Vec::new();
    let mut at_step = |columns: &[(f64, &Column)], step: usize| {
        buckets.clear();
        let there = columns.iter().map(|(bound, column)| Bucket { bound: *bound, count: column.values[step] });
        buckets.extend(there.filter(|bucket| is_present(bucket.count)));
        if buckets.is_empty() { ABSENT } else { quantile(phi[step], &mut buckets) }
    };
    let of_histogram = |(labels, mut columns): (Labels, Vec<(f64, &Column)>)| {
        columns.sort_by(|a, b| a.0.total_cmp(&b.0));
        Column { labels, values: (0..grid.count).map(|step| at_step(&columns, step)).collect() }
    };
    histograms.into_iter().map(of_histogram).collect()
}

fn bound(text: &str) -> Option<f64> {
    text.parse().ok().filter(|bound: &f64| !bound.is_nan())
}

/// The φ-quantile of buckets in order of their bounds: within its bucket the observations are taken as evenly spread.
fn quantile(phi: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if phi.is_nan() {
        return f64::NAN;
    }
    if phi < 0.0 {
        return f64::NEG_INFINITY;
    }
    if phi > 1.0 {
        return f64::INFINITY;
    }
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return f64::NAN;
    }
    tidy(buckets);
    let [.., before_last, last] = buckets.as_slice() else {
        return f64::NAN;
    };
    if last.count == 0.0 || last.count.is_nan() {
        return f64::NAN;
    }
    let rank = phi * last.count;
    let at = buckets[..buckets.len() - 1].partition_point(|bucket| bucket.count < rank);
    if at == buckets.len() - 1 {
        return before_last.bound;
    }
    let bucket = buckets[at];
    if at == 0 && bucket.bound <= 0.0 {
        return bucket.bound;
    }
    let below = at.checked_sub(1).map_or(Bucket { bound: 0.0, count: 0.0 }, |below| buckets[below]);
    below.bound + (bucket.bound - below.bound) * ((rank - below.count) / (bucket.count - below.count))
}

/// Adds up buckets of one bound, and lets no count be lower than the one before: buckets that were scraped, or whose rates
/// were taken, one after the other need not agree.
fn tidy(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|next, kept| {
        let same = next.bound == kept.bound;
        if same {
            kept.count += next.count;
        }
        same
    });
    let mut most = f64::NEG_INFINITY;
    for bucket in buckets {
        if bucket.count > most {
            most = bucket.count;
        } else if bucket.count < most {
            bucket.count = most;
        }
    }
}
