//! Spans to series.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::series::{Answer, Exemplar, MAX_SERIES, Series, Window};
use crate::traceql::ast::{Field, Function, Metrics};
use crate::traceql::eval::Context;
use crate::traceql::narrow::Shown;
use crate::traceql::value::{Literal, Value};

/// Counts spans, series by series.
pub(super) struct Accumulator<'q> {
    metrics: &'q Metrics,
    window: Window,
    fields: &'q [Shown<'q>],
    groups: Vec<Group>,
    by_value: HashMap<Vec<Literal>, usize>,
    /// The same, by the addresses of texts rather than the texts: what nearly every span is found by.
    by_address: HashMap<SmallVec<[Address; 3]>, usize>,
    exemplars: Exemplars,
    inspected: u64,
    full: bool,
    /// A floating-point value was met where Tempo takes whole numbers and durations only.
    refused_float: bool,
}

/// A value as cheaply told apart as possible. A text is in memory once per block, and nothing moves while a query runs.
type Address = (u8, u64, u64);

/// What is known of one combination of the `by` values.
struct Group {
    values: Vec<Literal>,
    cells: Vec<Cell>,
    exemplars: Vec<Exemplar>,
}

/// One sample in the making.
#[derive(Clone, Default)]
struct Cell {
    count: u64,
    /// Sum, least or greatest.
    folded: f64,
    /// What came off a sum by rounding.
    lost: f64,
    /// The values themselves, where a quantile of them is wanted.
    values: Vec<f64>,
    /// How many lie up to each power of two, by exponent.
    buckets: Vec<(u32, u64)>,
}

/// How many series of so many samples there may be: an answer's memory is bounded, whatever is asked.
fn most_series(samples: usize) -> usize {
    const MAX_CELLS: usize = 2_000_000;
    MAX_SERIES.min(MAX_CELLS / samples.max(1)).max(1)
}

/// How many exemplars there may be.
struct Exemplars {
    left: usize,
    /// Most of one series in one interval.
    per_sample: usize,
}

impl<'q> Accumulator<'q> {
    pub(super) fn new(metrics: &'q Metrics, window: Window, exemplars: usize, fields: &'q [Shown<'q>]) -> Self {
        let per_sample = exemplars.div_ceil(window.samples.max(1)).min(exemplars);
        let mut new = Self {
            metrics,
            window,
            fields,
            groups: Vec::new(),
            by_value: HashMap::new(),
            by_address: HashMap::new(),
            exemplars: Exemplars { left: exemplars, per_sample },
            inspected: 0,
            full: false,
            refused_float: false,
        };
        if metrics.by.is_empty() && matches!(metrics.function, Function::Rate | Function::Count) {
            // No span at all is a number too.
            new.group(Vec::new());
        }
        new
    }

    /// Counts a span.
    pub(super) fn add(&mut self, context: &Context<'_>) {
        let Some(sample) = self.window.sample_of(context.at.span.start) else { return };
        self.inspected += 1;
        let measured = match self.metrics.function.field() {
            None => None,
            Some(field) => match self.measure(context, field) {
                None => return,
                measured => measured,
            },
        };
        let Some(group) = self.group_of(context) else { return };
        let function = &self.metrics.function;
        let group = &mut self.groups[group];
        group.cells[sample].add(function, measured);
        let here = group.exemplars.iter().rev().take_while(|exemplar| exemplar.sample == sample).count();
        if self.exemplars.left > 0 && here < self.exemplars.per_sample {
            self.exemplars.left -= 1;
            group.exemplars.push(Exemplar {
                labels: exemplar_labels(context, self.fields),
                value: measured.map(|(value, _)| value),
                millis: context.at.span.start / 1_000_000,
                sample,
            });
        }
    }

    /// The measured number, and what it is per unit of a histogram's buckets. `None` where the span has none.
    fn measure(&mut self, context: &Context<'_>, field: &Field) -> Option<(f64, Option<u64>)> {
        let value = context.field(field);
        let whole = match value {
            Value::Int(whole) | Value::Duration(whole) => Some(u64::try_from(whole).unwrap_or(0)),
            _ => None,
        };
        let bucketed = matches!(self.metrics.function, Function::Quantile(..) | Function::Histogram(_));
        if bucketed && whole.is_none() {
            self.refused_float |= matches!(value, Value::Float(_));
            return None;
        }
        value.sample().map(|sample| (sample, whole))
    }

    fn group_of(&mut self, context: &Context<'_>) -> Option<usize> {
        let by = &self.metrics.by;
        let values: SmallVec<[Value<'_>; 3]> = by.iter().map(|field| context.field(field)).collect();
        let addresses: SmallVec<[Address; 3]> = values.iter().map(|value| address(*value)).collect();
        if let Some(&known) = self.by_address.get(&addresses) {
            return Some(known);
        }
        let values: Vec<Literal> = values.iter().map(|value| value.to_literal()).collect();
        let group = match self.by_value.get(&values) {
            Some(&known) => known,
            None if self.groups.len() >= most_series(self.window.samples) => {
                self.full = true;
                return None;
            }
            None => self.group(values),
        };
        self.by_address.insert(addresses, group);
        Some(group)
    }

    fn group(&mut self, values: Vec<Literal>) -> usize {
        self.by_value.insert(values.clone(), self.groups.len());
        self.groups.push(Group { values, cells: vec![Cell::default(); self.window.samples], exemplars: Vec::new() });
        self.groups.len() - 1
    }

    /// The series, in the order of their labels.
    pub(super) fn finish(self) -> Answer {
        let message = if self.full {
            Some(format!("more than {} series: the others are left out", most_series(self.window.samples)))
        } else if self.refused_float {
            let function = function_name(&self.metrics.function);
            Some(format!(
                "{function} counts whole numbers and durations only, as Tempo does: floating-point values are left out"
            ))
        } else {
            None
        };
        let Self { metrics, window, mut groups, .. } = self;
        groups.sort_by(|a, b| order(&a.values, &b.values));
        let series = groups.into_iter().flat_map(|group| group.series(metrics, &window)).collect();
        Answer { series, message, inspected: self.inspected }
    }
}

impl Cell {
    fn add(&mut self, function: &Function, measured: Option<(f64, Option<u64>)>) {
        self.count += 1;
        let Some((value, whole)) = measured else { return };
        let first = self.count == 1;
        match function {
            Function::Min(_) => self.folded = if first { value } else { self.folded.min(value) },
            Function::Max(_) => self.folded = if first { value } else { self.folded.max(value) },
            Function::Sum(_) | Function::Avg(_) => self.sum(value),
            Function::Quantile(..) => self.values.push(value),
            Function::Histogram(_) => self.bucket(whole.unwrap_or(0)),
            Function::Rate | Function::Count | Function::Compare { .. } => {}
        }
    }

    /// Adds with Neumaier's compensation, so that the order of the spans does not show.
    fn sum(&mut self, value: f64) {
        let sum = self.folded + value;
        let (large, small) = if self.folded.abs() >= value.abs() { (self.folded, value) } else { (value, self.folded) };
        self.lost += (large - sum) + small;
        self.folded = sum;
    }

    /// Counts a number in the bucket of the next power of two. Tempo leaves out what is below 2.
    fn bucket(&mut self, whole: u64) {
        if whole < 2 {
            return;
        }
        let exponent = u64::BITS - (whole - 1).leading_zeros();
        match self.buckets.binary_search_by_key(&exponent, |(exponent, _)| *exponent) {
            Ok(place) => self.buckets[place].1 += 1,
            Err(place) => self.buckets.insert(place, (exponent, 1)),
        }
    }

    /// The sample, for the functions that make one series per group.
    fn value(&self, function: &Function, seconds: f64) -> Option<f64> {
        let count = self.count as f64;
        match function {
            Function::Rate => Some(count / seconds),
            Function::Count => Some(count),
            _ if self.count == 0 => None,
            Function::Sum(_) => Some(self.folded + self.lost),
            Function::Avg(_) => Some((self.folded + self.lost) / count),
            _ => Some(self.folded),
        }
    }

    fn in_bucket(&self, exponent: u32) -> u64 {
        self.buckets.iter().find(|(known, _)| *known == exponent).map_or(0, |(_, count)| *count)
    }
}

impl Group {
    fn series(mut self, metrics: &Metrics, window: &Window) -> Vec<Series> {
        let mut labels: Vec<(String, Literal)> = metrics.by.iter().map(ToString::to_string).zip(self.values).collect();
        labels.retain(|(_, value)| *value != Literal::Nil);
        let bare = labels.is_empty();
        if let (true, Some(first)) = (bare, metrics.by.first()) {
            labels.push((first.to_string(), Literal::Nil));
        }
        let mut exemplars = self.exemplars;
        match &metrics.function {
            Function::Quantile(_, quantiles) => {
                self.cells.iter_mut().for_each(|cell| cell.values.sort_by(f64::total_cmp));
                let of = |&quantile: &f64| {
                    let values = self.cells.iter().map(|cell| Some(quantile_of(&cell.values, quantile))).collect();
                    // Of several series, each shows those spans that lie nearest to it.
                    let near = nearest(quantiles, quantile, &self.cells, &mut exemplars);
                    Series { labels: with(&labels, "p", Literal::Float(quantile)), values, exemplars: near }
                };
                quantiles.iter().map(of).collect()
            }
            Function::Histogram(field) => {
                let mut exponents: Vec<u32> =
                    self.cells.iter().flat_map(|cell| cell.buckets.iter().map(|(exponent, _)| *exponent)).collect();
                exponents.sort_unstable();
                exponents.dedup();
                let scale = if is_duration(field) { 1e9 } else { 1.0 };
                let of = |exponent: u32| {
                    let upper = 2_f64.powi(exponent.cast_signed()) / scale;
                    let values = self.cells.iter().map(|cell| Some(cell.in_bucket(exponent) as f64)).collect();
                    let inside =
                        |exemplar: &Exemplar| exemplar.value.is_some_and(|value| value <= upper && value > upper / 2.0);
                    let exemplars = exemplars.iter().filter(|exemplar| inside(exemplar)).cloned().collect();
                    Series { labels: with(&labels, "__bucket", Literal::Float(upper)), values, exemplars }
                };
                exponents.into_iter().map(of).collect()
            }
            function => {
                if metrics.by.is_empty() {
                    labels.push(("__name__".to_owned(), Literal::Text(function_name(function).to_owned())));
                }
                let values: Vec<Option<f64>> =
                    self.cells.iter().map(|cell| cell.value(function, window.seconds())).collect();
                for exemplar in exemplars.iter_mut().filter(|exemplar| exemplar.value.is_none()) {
                    exemplar.value = values.get(exemplar.sample).copied().flatten();
                }
                vec![Series { labels, values, exemplars }]
            }
        }
    }
}

fn with(labels: &[(String, Literal)], name: &str, value: Literal) -> Vec<(String, Literal)> {
    let mut labels: Vec<_> = labels.iter().filter(|(_, value)| *value != Literal::Nil).cloned().collect();
    labels.push((name.to_owned(), value));
    labels
}

/// Takes those exemplars out that lie nearer to this quantile of their interval than to any other asked for.
fn nearest(quantiles: &[f64], quantile: f64, cells: &[Cell], exemplars: &mut Vec<Exemplar>) -> Vec<Exemplar> {
    let is_near = |exemplar: &mut Exemplar| {
        let values = cells.get(exemplar.sample).map_or(&[][..], |cell| &cell.values);
        let distance =
            |quantile: f64| exemplar.value.map_or(f64::MAX, |value| (quantile_of(values, quantile) - value).abs());
        let here = distance(quantile);
        quantiles.iter().all(|&other| here <= distance(other))
    };
    exemplars.extract_if(.., is_near).collect()
}

/// The quantile of sorted values, interpolated between the two nearest; 0 of none.
fn quantile_of(sorted: &[f64], quantile: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let rank = quantile * last as f64;
    let below = rank.floor();
    let (lower, upper) = (sorted[below as usize], sorted[(below as usize + 1).min(last)]);
    lower + (upper - lower) * (rank - below)
}

fn is_duration(field: &Field) -> bool {
    use crate::traceql::ast::Intrinsic::{Duration, EventTime, TraceDuration};
    matches!(field, Field::Intrinsic(Duration | EventTime | TraceDuration))
}

fn function_name(function: &Function) -> &'static str {
    match function {
        Function::Rate => "rate",
        Function::Count => "count_over_time",
        Function::Min(_) => "min_over_time",
        Function::Max(_) => "max_over_time",
        Function::Avg(_) => "avg_over_time",
        Function::Sum(_) => "sum_over_time",
        Function::Quantile(..) => "quantile_over_time",
        Function::Histogram(_) => "histogram_over_time",
        Function::Compare { .. } => "compare",
    }
}

fn exemplar_labels<'a>(context: &Context<'a>, fields: &[Shown<'a>]) -> Vec<(String, Literal)> {
    let mut labels = vec![("trace:id".to_owned(), Literal::Text(context.at.span.trace.to_string()))];
    for shown in fields.iter().filter(|shown| shown.applies(context)) {
        let value = context.field(shown.field);
        let key = shown.field.to_string();
        if !value.is_nil() && labels[0].0 != key {
            labels.push((key, value.to_literal()));
        }
    }
    labels
}

/// By labels: texts as texts, numbers as numbers.
fn order(a: &[Literal], b: &[Literal]) -> std::cmp::Ordering {
    let ordered = a.iter().zip(b).map(|(a, b)| match a.value().order(b.value()) {
        Some(order) => order,
        None => a.to_string().cmp(&b.to_string()),
    });
    ordered.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
}

fn address(value: Value<'_>) -> Address {
    match value {
        Value::Nil => (0, 0, 0),
        Value::Bool(truth) => (1, truth.into(), 0),
        Value::Int(number) => (2, number.cast_unsigned(), 0),
        Value::Float(number) => (3, number.to_bits(), 0),
        Value::Duration(nanos) => (4, nanos.cast_unsigned(), 0),
        Value::Text(text) => (5, text.as_ptr().addr() as u64, text.len() as u64),
        Value::Status(status) => (6, status as u64, 0),
        Value::Kind(kind) => (7, kind as u64, 0),
        Value::TraceId(id) => (8, (id.0 >> 64) as u64, id.0 as u64),
        Value::SpanId(id) => (9, id.0, 0),
        Value::Array(items, _) => (10, items.as_ptr().addr() as u64, items.len() as u64),
    }
}
