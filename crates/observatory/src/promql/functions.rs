//! Functions of an instant vector or of nothing.

use promql_parser::parser::{Call, Expr};

use super::calendar;
use super::columns::{ABSENT, Column, Columns, Grid, any_present, is_present, map};
use super::error::QueryError;
use super::eval::{Evaluator, Result, Value, argument, bare};
use super::names::labels_of_absent;
use crate::metrics::Labels;

/// A function of each value alone.
fn of_value(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sqrt" => f64::sqrt,
        "sgn" => |value| if value == 0.0 || value.is_nan() { value } else { value.signum() },
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "asinh" => f64::asinh,
        "acosh" => f64::acosh,
        "atanh" => f64::atanh,
        "deg" => f64::to_degrees,
        "rad" => f64::to_radians,
        _ => return None,
    })
}

impl Evaluator<'_> {
    pub(super) fn call(&self, call: &Call, grid: Grid) -> Result<Value> {
        if let Some(columns) = self.window_call(call, grid)? {
            return Ok(Value::Vector(columns));
        }
        let name = call.func.name;
        if let Some(function) = of_value(name) {
            return map(self.vector(argument(call, 0)?, grid)?, function).map(Value::Vector);
        }
        if let Some(function) = calendar::function(name) {
            return self.calendar(call, function, grid).map(Value::Vector);
        }
        Ok(match name {
            "time" => Value::Scalar(seconds(grid)),
            "pi" => Value::Scalar(vec![std::f64::consts::PI; grid.count]),
            "scalar" => Value::Scalar(only(&self.vector(argument(call, 0)?, grid)?, grid)),
            "vector" => {
                let values = self.scalar(argument(call, 0)?, grid)?;
                Value::Vector(vec![Column { labels: Labels::empty(), values }])
            }
            // The order is a matter of the whole result: see `ranked::arrange`.
            "sort" | "sort_desc" => Value::Vector(self.vector(argument(call, 0)?, grid)?),
            "round" => Value::Vector(self.round(call, grid)?),
            "clamp" | "clamp_min" | "clamp_max" => Value::Vector(self.clamp(call, grid)?),
            "timestamp" => Value::Vector(self.timestamp(argument(call, 0)?, grid)?),
            "absent" => Value::Vector(self.absent(argument(call, 0)?, grid)?),
            "label_replace" => Value::Vector(self.label_replace(call, grid)?),
            "label_join" => Value::Vector(self.label_join(call, grid)?),
            "histogram_quantile" => {
                let phi = self.scalar(argument(call, 0)?, grid)?;
                let columns = self.vector(argument(call, 1)?, grid)?;
                Value::Vector(super::histogram::quantiles(&columns, &phi, grid))
            }
            _ => return Err(QueryError::Unsupported(format!("the function `{name}`"))),
        })
    }

    /// A function of the time that each value is; of the step's where there is no argument.
    fn calendar(&self, call: &Call, function: fn(f64) -> f64, grid: Grid) -> Result<Vec<Column>> {
        match call.args.args.first() {
            Some(arg) => map(self.vector(arg, grid)?, function),
            None => {
                let values = seconds(grid).into_iter().map(function).collect();
                Ok(vec![Column { labels: Labels::empty(), values }])
            }
        }
    }

    fn round(&self, call: &Call, grid: Grid) -> Result<Vec<Column>> {
        let columns = self.vector(argument(call, 0)?, grid)?;
        let to = match call.args.args.get(1) {
            Some(to) => self.scalar(to, grid)?,
            None => vec![1.0; grid.count],
        };
        // By the inverse, so that halves of the tenths that are no binary fractions are rounded as Prometheus does.
        by_step(columns, |value, step| {
            let inverse = 1.0 / to[step];
            (value * inverse + 0.5).floor() / inverse
        })
    }

    fn clamp(&self, call: &Call, grid: Grid) -> Result<Vec<Column>> {
        let columns = self.vector(argument(call, 0)?, grid)?;
        let bound = |at| argument(call, at).and_then(|arg| self.scalar(arg, grid));
        let none = |value| Ok(vec![value; grid.count]);
        let (low, high) = match call.func.name {
            "clamp_min" => (bound(1)?, none(f64::INFINITY)?),
            "clamp_max" => (none(f64::NEG_INFINITY)?, bound(1)?),
            _ => (bound(1)?, bound(2)?),
        };
        // No value lies within bounds that are crossed.
        by_step(columns, |value, step| match (low[step], high[step]) {
            (low, high) if low > high => ABSENT,
            (low, high) => largest(low, smallest(high, value)),
        })
    }

    /// The times of the samples where there are samples, else the time of the step.
    fn timestamp(&self, arg: &Expr, grid: Grid) -> Result<Vec<Column>> {
        if let Expr::VectorSelector(selector) = bare(arg) {
            return map(self.select_times(selector, grid)?, |time| time);
        }
        by_step(self.vector(arg, grid)?, |_, step| grid.at(step) as f64 / 1000.0)
    }

    fn absent(&self, arg: &Expr, grid: Grid) -> Result<Vec<Column>> {
        let columns = self.vector(arg, grid)?;
        let there = any_present(columns.iter(), grid.count);
        let values = there.into_iter().map(|there| if there { ABSENT } else { 1.0 }).collect();
        Ok(vec![Column { labels: labels_of_absent(arg)?, values }])
    }
}

/// The smaller one, as Go has it: NaN if either is, unless the other is the smallest there can be.
fn smallest(a: f64, b: f64) -> f64 {
    let least = a == f64::NEG_INFINITY || b == f64::NEG_INFINITY;
    if !least && (a.is_nan() || b.is_nan()) { f64::NAN } else { a.min(b) }
}

/// The larger one, likewise.
fn largest(a: f64, b: f64) -> f64 {
    -smallest(-a, -b)
}

/// Maps every value knowing its step; drops the metric's name.
fn by_step(columns: Vec<Column>, change: impl Fn(f64, usize) -> f64) -> Result<Vec<Column>> {
    let mut changed = Columns::new(columns.first().map_or(0, |column| column.values.len()));
    for mut column in columns {
        for (step, value) in column.values.iter_mut().enumerate().filter(|(_, value)| is_present(**value)) {
            *value = change(*value, step);
        }
        changed.add(Column { labels: column.labels.without_name(), values: column.values })?;
    }
    Ok(changed.finish())
}

fn seconds(grid: Grid) -> Vec<f64> {
    grid.times().map(|at| at as f64 / 1000.0).collect()
}

/// The value of the only series of each step; NaN where there is none or more than one.
fn only(columns: &[Column], grid: Grid) -> Vec<f64> {
    let at = |step: usize| {
        let mut there = columns.iter().map(|column| column.values[step]).filter(|value| is_present(*value));
        match (there.next(), there.next()) {
            (Some(value), None) => value,
            _ => f64::NAN,
        }
    };
    (0..grid.count).map(at).collect()
}
