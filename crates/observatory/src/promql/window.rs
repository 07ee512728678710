//! Functions of a window of samples.

use promql_parser::parser::Call;

use super::columns::{ABSENT, Column, Columns, Grid, is_present};
use super::eval::{Evaluator, Result, argument};
use super::names::labels_of_absent;
use super::number::{Kahan, quantile};
use crate::metrics::store::Sample;

/// What a function of a window needs beside its samples.
#[derive(Clone, Copy)]
struct Window {
    /// Where the window begins and ends, in milliseconds.
    start: i64,
    end: i64,
    /// The step itself.
    at: i64,
    /// The scalar argument, where there is one.
    argument: f64,
}

type Function = fn(&[Sample], Window) -> Option<f64>;

/// The functions, and which of its arguments is the window.
fn function(name: &str) -> Option<(Function, usize)> {
    let plain: Function = match name {
        "rate" => |samples, window| extrapolated(samples, window, Kind::Rate),
        "increase" => |samples, window| extrapolated(samples, window, Kind::Increase),
        "delta" => |samples, window| extrapolated(samples, window, Kind::Delta),
        "irate" => |samples, _| instant(samples, true),
        "idelta" => |samples, _| instant(samples, false),
        "deriv" => |samples, _| Some(regression(samples, samples[0].at)?.0),
        "avg_over_time" => |samples, _| Some(average(samples)),
        "sum_over_time" => |samples, _| Some(values(samples).collect::<Kahan>().sum()),
        "min_over_time" => |samples, _| values(samples).reduce(|a, b| if b < a || a.is_nan() { b } else { a }),
        "max_over_time" => |samples, _| values(samples).reduce(|a, b| if b > a || a.is_nan() { b } else { a }),
        "count_over_time" => |samples, _| Some(samples.len() as f64),
        "last_over_time" => |samples, _| values(samples).last(),
        "present_over_time" => |_, _| Some(1.0),
        "stddev_over_time" => |samples, _| Some(variance(samples).sqrt()),
        "stdvar_over_time" => |samples, _| Some(variance(samples)),
        "changes" => {
            |samples, _| Some(pairs(samples).filter(|(a, b)| a != b && !(a.is_nan() && b.is_nan())).count() as f64)
        }
        "resets" => |samples, _| Some(pairs(samples).filter(|(a, b)| b < a).count() as f64),
        "predict_linear" => |samples, window| {
            let (slope, intercept) = regression(samples, window.at)?;
            Some(slope * window.argument + intercept)
        },
        "quantile_over_time" => {
            let of_window: Function =
                |samples, window| Some(quantile(window.argument, &mut values(samples).collect::<Vec<_>>()));
            return Some((of_window, 1));
        }
        _ => return None,
    };
    Some((plain, 0))
}

impl Evaluator<'_> {
    /// Calls a function of a range vector, if it is one.
    pub(super) fn window_call(&self, call: &Call, grid: Grid) -> Result<Option<Vec<Column>>> {
        let name = call.func.name;
        if name == "absent_over_time" {
            return self.absent_over_time(call, grid).map(Some);
        }
        let Some((function, position)) = function(name) else {
            return Ok(None);
        };
        let args = &call.args.args;
        let scalar = args.iter().enumerate().find(|(at, _)| *at != position);
        let arguments = scalar.map(|(_, arg)| self.scalar(arg, grid)).transpose()?;
        let matrix = self.matrix(argument(call, position)?, grid)?;
        self.hold(matrix.series.len() * grid.count)?;
        let mut columns = Columns::new(grid.count);
        for series in &matrix.series {
            let values = matrix.per_window(&series.samples, |step, samples| {
                let end = matrix.ends[step];
                let argument = arguments.as_ref().map_or(0.0, |arguments| arguments[step]);
                function(samples, Window { start: end - matrix.range, end, at: grid.at(step), argument })
            });
            if !values.iter().any(|value| is_present(*value)) {
                continue;
            }
            // This one only looks back, so what it finds is still the metric.
            let labels = if name == "last_over_time" { series.labels.clone() } else { series.labels.without_name() };
            columns.add_new(Column { labels, values })?;
        }
        Ok(Some(columns.finish()))
    }

    fn absent_over_time(&self, call: &Call, grid: Grid) -> Result<Vec<Column>> {
        let expr = argument(call, 0)?;
        let matrix = self.matrix(expr, grid)?;
        let mut values = vec![1.0; grid.count];
        for series in &matrix.series {
            matrix.per_window(&series.samples, |step, _| {
                values[step] = ABSENT;
                None
            });
        }
        Ok(vec![Column { labels: labels_of_absent(expr)?, values }])
    }
}

fn values(samples: &[Sample]) -> impl Iterator<Item = f64> {
    samples.iter().map(|sample| sample.value)
}

fn pairs(samples: &[Sample]) -> impl Iterator<Item = (f64, f64)> {
    samples.windows(2).map(|pair| (pair[0].value, pair[1].value))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rate,
    Increase,
    Delta,
}

/// The change over the window: that between the first and the last sample, carried on to where the window begins and ends,
/// but not by more than about the distance of two samples, nor to below zero for a counter.
fn extrapolated(samples: &[Sample], window: Window, kind: Kind) -> Option<f64> {
    let [first, .., last] = samples else {
        return None;
    };
    let counter = kind != Kind::Delta;
    let mut change = last.value - first.value;
    if counter {
        change += pairs(samples).filter(|(before, after)| after < before).map(|(before, _)| before).sum::<f64>();
    }
    let seconds = |millis: i64| millis as f64 / 1000.0;
    let mut to_start = seconds(first.at - window.start);
    let to_end = seconds(window.end - last.at);
    let sampled = seconds(last.at - first.at);
    let between = sampled / (samples.len() - 1) as f64;
    if counter && change > 0.0 && first.value >= 0.0 {
        to_start = to_start.min(sampled * (first.value / change));
    }
    let threshold = between * 1.1;
    let carried = |distance: f64| if distance < threshold { distance } else { between / 2.0 };
    let factor = (sampled + carried(to_start) + carried(to_end)) / sampled;
    let factor = if kind == Kind::Rate { factor / seconds(window.end - window.start) } else { factor };
    Some(change * factor)
}

/// The change between the last two samples.
fn instant(samples: &[Sample], rate: bool) -> Option<f64> {
    let [.., before, last] = samples else {
        return None;
    };
    let reset = rate && last.value < before.value;
    let change = if reset { last.value } else { last.value - before.value };
    let millis = last.at - before.at;
    (millis != 0).then(|| if rate { change / (millis as f64 / 1000.0) } else { change })
}

/// Slope and value at `origin` of the line of least squares.
fn regression(samples: &[Sample], origin: i64) -> Option<(f64, f64)> {
    if samples.len() < 2 {
        return None;
    }
    let first = samples[0].value;
    if samples.iter().all(|sample| sample.value == first) {
        return Some(if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) });
    }
    let points = || samples.iter().map(|sample| ((sample.at - origin) as f64 / 1000.0, sample.value));
    let sum = |term: fn((f64, f64)) -> f64| points().map(term).collect::<Kahan>().sum_plain();
    let n = samples.len() as f64;
    let (x, y, xy, xx) = (sum(|p| p.0), sum(|p| p.1), sum(|p| p.0 * p.1), sum(|p| p.0 * p.0));
    let slope = (xy - x * y / n) / (xx - x * x / n);
    Some((slope, y / n - slope * x / n))
}

/// The mean, without the sum overflowing.
fn average(samples: &[Sample]) -> f64 {
    let mut mean = Kahan::default();
    for (count, value) in (1u32..).zip(values(samples)) {
        let so_far = mean.high();
        let opposite = value.is_infinite() && (value > 0.0) != (so_far > 0.0);
        if so_far.is_infinite() && !opposite && !value.is_nan() {
            continue;
        }
        let count = f64::from(count);
        mean.add(value / count - so_far / count);
    }
    mean.sum()
}

fn variance(samples: &[Sample]) -> f64 {
    let (mut mean, mut squares) = (Kahan::default(), Kahan::default());
    for (count, value) in (1u32..).zip(values(samples)) {
        let delta = value - mean.sum_plain();
        mean.add(delta / f64::from(count));
        squares.add(delta * (value - mean.sum_plain()));
    }
    squares.sum_plain() / samples.len() as f64
}
