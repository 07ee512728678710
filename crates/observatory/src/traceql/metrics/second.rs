//! What is done to series once they are there.

use std::cmp::Ordering;

use super::series::Series;
use crate::traceql::ast::{Op, SecondStage};
use crate::traceql::value::Value;

/// Applies a second stage. Samples that it drops take their exemplars with them, and a series without samples goes.
pub(super) fn apply(stage: &SecondStage, mut series: Vec<Series>, samples: usize) -> Vec<Series> {
    match stage {
        SecondStage::Filter(op, bound) => filter(*op, *bound, &mut series),
        SecondStage::Top(most) => (0..samples).for_each(|sample| keep(&mut series, sample, *most, by_greatest)),
        SecondStage::Bottom(most) => (0..samples).for_each(|sample| keep(&mut series, sample, *most, by_least)),
    }
    for one in &mut series {
        let values = &one.values;
        one.exemplars.retain(|exemplar| values.get(exemplar.sample).is_some_and(Option::is_some));
    }
    series.retain(|one| one.values.iter().any(Option::is_some));
    series
}

fn filter(op: Op, bound: f64, series: &mut [Series]) {
    for one in series {
        for value in &mut one.values {
            *value = value.filter(|value| Value::Float(*value).compare(op, Value::Float(bound)));
        }
        one.exemplars.clear();
    }
}

/// Keeps `most` values of one sample, by an order in which the first are the best.
fn keep(series: &mut [Series], sample: usize, most: usize, order: fn(&Ranked, &Ranked) -> Ordering) {
    // The series are in the order of their labels, which decides between equal values.
    let ranked = series.iter().enumerate().filter_map(|(place, one)| Some((one.values.get(sample).copied()??, place)));
    let mut ranked: Vec<Ranked> = ranked.collect();
    ranked.sort_by(order);
    for &(_, place) in ranked.iter().skip(most) {
        series[place].values[sample] = None;
    }
}

/// A value and its series.
type Ranked = (f64, usize);

fn by_greatest(a: &Ranked, b: &Ranked) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

fn by_least(a: &Ranked, b: &Ranked) -> Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}
