//! What depends on the order of values: `topk`, `bottomk`, and the order of an instant result.

use std::cmp::Ordering;
use std::collections::HashMap;

use promql_parser::parser::token::{T_BOTTOMK, T_TOPK};
use promql_parser::parser::{Expr, LabelModifier};

use super::columns::{ABSENT, Column, is_present};
use super::error::QueryError;
use super::eval::{Result, bare};
use super::grouping::{group, groups};
use crate::metrics::Labels;

/// Keeps the `k` largest (or smallest) values of each group at each step.
pub(super) fn select(
    columns: &[Column],
    modifier: Option<&LabelModifier>,
    k: &[f64],
    largest: bool,
) -> Result<Vec<Column>> {
    let sizes = k.iter().map(|k| size(*k)).collect::<Result<Vec<usize>>>()?;
    let mut selected = Vec::new();
    for (_, columns) in groups(columns, modifier) {
        let mut kept: Vec<Column> = columns
            .iter()
            .map(|column| Column { labels: column.labels.clone(), values: vec![ABSENT; sizes.len()] })
            .collect();
        for (step, size) in sizes.iter().enumerate() {
            let values = columns.iter().enumerate().map(|(at, column)| (at, column.values[step]));
            for (at, value) in best(values.filter(|(_, value)| is_present(*value)), *size, largest) {
                kept[at].values[step] = value;
            }
        }
        selected.extend(kept);
    }
    Ok(selected)
}

fn size(k: f64) -> Result<usize> {
    if k.is_nan() || k.abs() >= 9.223_372_036_854_775e18 {
        return Err(QueryError::Execution(format!("Scalar value {k} overflows int64")));
    }
    Ok(if k < 1.0 { 0 } else { k as usize })
}

/// The best values: of equal ones those that come first, and NaN only where there is nothing else.
fn best(values: impl Iterator<Item = (usize, f64)>, size: usize, largest: bool) -> Vec<(usize, f64)> {
    let mut values: Vec<(usize, f64)> = values.collect();
    let order = |a: f64, b: f64| if largest { b.partial_cmp(&a) } else { a.partial_cmp(&b) };
    values.sort_by(|(_, a), (_, b)| a.is_nan().cmp(&b.is_nan()).then(order(*a, *b).unwrap_or(Ordering::Equal)));
    values.truncate(size);
    values
}

/// Puts an instant result in the order that its expression asks for; by labels where it asks for none.
pub(super) fn arrange(expr: &Expr, vector: &mut [(Labels, f64)]) {
    vector.sort_by(|a, b| a.0.cmp(&b.0));
    let by_value = |descending: bool| {
        move |a: &(Labels, f64), b: &(Labels, f64)| {
            let order = a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal);
            let order = if descending { order.reverse() } else { order };
            a.1.is_nan().cmp(&b.1.is_nan()).then(order)
        }
    };
    match bare(expr) {
        Expr::Call(call) if call.func.name == "sort" => vector.sort_by(by_value(false)),
        Expr::Call(call) if call.func.name == "sort_desc" => vector.sort_by(by_value(true)),
        Expr::Aggregate(ranked) if matches!(ranked.op.id(), T_TOPK | T_BOTTOMK) => {
            vector.sort_by(by_value(ranked.op.id() == T_TOPK));
            // Within its group each is in order; the groups stay together.
            let mut places: HashMap<Labels, usize> = HashMap::new();
            for (labels, _) in vector.iter() {
                let next = places.len();
                places.entry(group(labels, ranked.modifier.as_ref())).or_insert(next);
            }
            vector.sort_by_key(|(labels, _)| places.get(&group(labels, ranked.modifier.as_ref())).copied());
        }
        _ => {}
    }
}
