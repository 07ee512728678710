//! Aggregations: one series per group.

use std::sync::Arc;

use promql_parser::parser::token::{
    T_AVG, T_BOTTOMK, T_COUNT, T_COUNT_VALUES, T_GROUP, T_MAX, T_MIN, T_QUANTILE, T_STDDEV, T_STDVAR, T_SUM, T_TOPK,
};
use promql_parser::parser::{AggregateExpr, Expr, LabelModifier};

use super::columns::{ABSENT, Column, Columns, Grid, is_present};
use super::error::QueryError;
use super::eval::{Evaluator, Result, text};
use super::grouping::groups;
use super::number::{plain, quantile};
use crate::metrics::Labels;

/// A running aggregate of one group at one step.
#[derive(Clone, Copy)]
struct Running {
    count: f64,
    value: f64,
    mean: f64,
}

/// How a value enters an aggregate, and what comes of it.
struct Aggregation {
    first: fn(f64) -> Running,
    add: fn(&mut Running, f64),
    finish: fn(Running) -> f64,
}

fn running(value: f64) -> Running {
    Running { count: 1.0, value, mean: value }
}

fn add_to_mean(running: &mut Running, value: f64) {
    running.count += 1.0;
    let opposite = value.is_infinite() && (value > 0.0) != (running.mean > 0.0);
    if running.mean.is_infinite() && !opposite && !value.is_nan() {
        return;
    }
    running.mean += value / running.count - running.mean / running.count;
}

fn add_to_variance(running: &mut Running, value: f64) {
    running.count += 1.0;
    let delta = value - running.mean;
    running.mean += delta / running.count;
    running.value += delta * (value - running.mean);
}

impl Aggregation {
    const SUM: Self = Self { first: running, add: |sum, value| sum.value += value, finish: |sum| sum.value };
    const AVG: Self = Self { first: running, add: add_to_mean, finish: |average| average.mean };
    const MIN: Self = Self {
        first: running,
        add: |min, value| min.value = if min.value > value || min.value.is_nan() { value } else { min.value },
        finish: |min| min.value,
    };
    const MAX: Self = Self {
        first: running,
        add: |max, value| max.value = if max.value < value || max.value.is_nan() { value } else { max.value },
        finish: |max| max.value,
    };
    const COUNT: Self = Self { first: running, add: |count, _| count.count += 1.0, finish: |count| count.count };
    const GROUP: Self = Self { first: running, add: |_, _| {}, finish: |_| 1.0 };
    const STDVAR: Self = Self {
        first: |value| Running { count: 1.0, value: 0.0, mean: value },
        add: add_to_variance,
        finish: |squares| squares.value / squares.count,
    };
    const STDDEV: Self = Self { finish: |squares| (squares.value / squares.count).sqrt(), ..Self::STDVAR };
}

impl Evaluator<'_> {
    pub(super) fn aggregate(&self, aggregate: &AggregateExpr, grid: Grid) -> Result<Vec<Column>> {
        let columns = self.vector(&aggregate.expr, grid)?;
        let modifier = aggregate.modifier.as_ref();
        self.hold(0)?;
        let simple = match aggregate.op.id() {
            T_SUM => Aggregation::SUM,
            T_AVG => Aggregation::AVG,
            T_MIN => Aggregation::MIN,
            T_MAX => Aggregation::MAX,
            T_COUNT => Aggregation::COUNT,
            T_GROUP => Aggregation::GROUP,
            T_STDDEV => Aggregation::STDDEV,
            T_STDVAR => Aggregation::STDVAR,
            T_QUANTILE => {
                let phi = self.scalar(parameter(aggregate)?, grid)?;
                return Ok(quantiles(&columns, modifier, &phi));
            }
            T_TOPK | T_BOTTOMK => {
                let k = self.scalar(parameter(aggregate)?, grid)?;
                return super::ranked::select(&columns, modifier, &k, aggregate.op.id() == T_TOPK);
            }
            T_COUNT_VALUES => return count_values(&columns, modifier, text(parameter(aggregate)?)?, grid),
            _ => return Err(QueryError::Unsupported(format!("the aggregation `{}`", aggregate.op))),
        };
        let of_group = |(labels, columns): (Labels, Vec<&Column>)| {
            let mut state: Vec<Option<Running>> = vec![None; grid.count];
            for column in columns {
                for (state, value) in state.iter_mut().zip(&column.values).filter(|(_, value)| is_present(**value)) {
                    match state {
                        Some(running) => (simple.add)(running, *value),
                        None => *state = Some((simple.first)(*value)),
                    }
                }
            }
            Column { labels, values: state.into_iter().map(|state| state.map_or(ABSENT, simple.finish)).collect() }
        };
        Ok(groups(&columns, modifier).into_iter().map(of_group).collect())
    }
}

fn parameter(aggregate: &AggregateExpr) -> Result<&Expr> {
    let missing = || QueryError::Parse(format!("{} lacks its parameter", aggregate.op));
    aggregate.param.as_deref().ok_or_else(missing)
}

fn quantiles(columns: &[Column], modifier: Option<&LabelModifier>, phi: &[f64]) -> Vec<Column> {
    let mut values = Vec::new();
    let mut at_step = |columns: &[&Column], step: usize, phi: f64| {
        values.clear();
        values.extend(columns.iter().map(|column| column.values[step]).filter(|value| is_present(*value)));
        if values.is_empty() { ABSENT } else { quantile(phi, &mut values) }
    };
    let of_group = |(labels, columns): (Labels, Vec<&Column>)| Column {
        values: phi.iter().enumerate().map(|(step, phi)| at_step(&columns, step, *phi)).collect(),
        labels,
    };
    groups(columns, modifier).into_iter().map(of_group).collect()
}

fn count_values(columns: &[Column], modifier: Option<&LabelModifier>, label: &str, grid: Grid) -> Result<Vec<Column>> {
    if !super::names::is_label_name(label) {
        return Err(QueryError::Execution(format!("invalid label name {label:?}")));
    }
    let name: Arc<str> = Arc::from(label);
    let mut result = Columns::new(grid.count);
    for (labels, columns) in groups(columns, modifier) {
        // A label that is grouped away cannot come back as the value's, so the value's is set last.
        for step in 0..grid.count {
            for value in columns.iter().map(|column| column.values[step]).filter(|value| is_present(*value)) {
                let mut builder = labels.edit();
                builder.set(Arc::clone(&name), Arc::from(plain(value)));
                let place = result.place(builder.finish());
                let count = result.value(place, step);
                *count = if is_present(*count) { *count + 1.0 } else { 1.0 };
            }
        }
    }
    Ok(result.finish())
}
