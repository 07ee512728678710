//! `compare()`: what distinguishes some spans from the others, attribute by attribute.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use super::series::{Answer, MAX_SERIES, Series, Window};
use super::spans::each_span;
use crate::traceql::ast::{Expr, Query};
use crate::traceql::bind::{At, Bound};
use crate::traceql::value::{Literal, Value};
use crate::traces::model::Attr;

/// What Tempo calls the two sides.
const SIDES: [&str; 2] = ["baseline", "selection"];

/// Most different values counted of one attribute.
const MAX_VALUES: usize = 1000;

/// The values of one attribute on one side, and how often each was seen per sample.
#[derive(Default)]
struct Values {
    counts: HashMap<Literal, Counts>,
    total: Counts,
    overflowed: bool,
}

/// How often, by sample.
type Counts = BTreeMap<usize, u64>;

/// Counts the values of all attributes, of the selected spans and of the others, and keeps the `top` most frequent of each.
pub(super) fn run(
    bound: &Bound<'_>,
    query: &Query,
    window: &Window,
    selection: &Expr,
    top: usize,
    chosen: Option<(u64, u64)>,
) -> Answer {
    let mut sides: [BTreeMap<String, Values>; 2] = Default::default();
    let mut inspected = 0;
    each_span(bound, query, window, |context| {
        let start = context.at.span.start;
        let Some(sample) = window.sample_of(start) else { return };
        inspected += 1;
        let in_time = chosen.is_none_or(|(from, to)| (from..to).contains(&start));
        let side = &mut sides[usize::from(in_time && context.holds(selection))];
        each_value(&context.at, |key, value| {
            side.entry(key).or_default().add(value, sample);
        });
    });
    let mut series = Vec::new();
    for (side, name) in sides.into_iter().zip(SIDES) {
        for (key, values) in side {
            values.series(&mut series, name, &key, top, window.samples);
        }
    }
    let message =
        (series.len() > MAX_SERIES).then(|| format!("more than {MAX_SERIES} series: the others are left out"));
    series.truncate(MAX_SERIES);
    Answer { series, message, inspected }
}

/// Calls `found` with every attribute of the span and of its resource, and with its name, status and kind.
fn each_value(at: &At<'_>, mut found: impl FnMut(String, Literal)) {
    let (block, span) = (at.block, at.span);
    found("name".to_owned(), Literal::Text(block.text(span.name).to_owned()));
    found("status".to_owned(), Literal::Status(span.status));
    found("kind".to_owned(), Literal::Kind(span.kind));
    let mut attrs = |prefix: &str, attrs: &[Attr]| {
        for attr in attrs {
            let value = Value::of(&attr.value, block.strings());
            if !value.is_nil() {
                found(format!("{prefix}{}", block.text(attr.key)), value.to_literal());
            }
        }
    };
    attrs("resource.", block.resource(span).map_or(&[], |resource| &resource.attrs));
    attrs("span.", &span.attrs);
}

impl Values {
    fn add(&mut self, value: Literal, sample: usize) {
        *self.total.entry(sample).or_default() += 1;
        if self.counts.len() >= MAX_VALUES && !self.counts.contains_key(&value) {
            self.overflowed = true;
            return;
        }
        *self.counts.entry(value).or_default().entry(sample).or_default() += 1;
    }

    fn series(mut self, series: &mut Vec<Series>, side: &str, key: &str, top: usize, samples: usize) {
        let label = |name: &str, text: String| (name.to_owned(), Literal::Text(text));
        let mut counts: Vec<(Literal, Counts)> = self.counts.drain().collect();
        counts.sort_by_cached_key(|(value, counts)| (Reverse(counts.values().sum::<u64>()), value.to_string()));
        self.overflowed |= counts.len() > top;
        for (value, counts) in counts.into_iter().take(top) {
            let labels = vec![label("__meta_type", side.to_owned()), (key.to_owned(), value)];
            series.push(Series { labels, values: values(&counts, samples), exemplars: Vec::new() });
        }
        let mut labels = vec![label("__meta_type", format!("{side}_total")), (key.to_owned(), Literal::Nil)];
        series.push(Series { labels: labels.clone(), values: values(&self.total, samples), exemplars: Vec::new() });
        if self.overflowed {
            labels[0] = label("__meta_error", "__too_many_values__".to_owned());
            series.push(Series { labels, values: vec![None; samples], exemplars: Vec::new() });
        }
    }
}

fn values(counts: &Counts, samples: usize) -> Vec<Option<f64>> {
    (0..samples).map(|sample| Some(counts.get(&sample).copied().unwrap_or(0) as f64)).collect()
}
