//! Operators between vectors: which series belong together.

use std::collections::HashMap;
use std::sync::Arc;

use promql_parser::parser::{BinModifier, LabelModifier, VectorMatchCardinality};

use super::columns::{ABSENT, Column, Columns, Grid, any_present, is_present};
use super::error::QueryError;
use super::eval::Result;
use super::operator::{Operator, SetOperator};
use crate::metrics::{Labels, METRIC_NAME};

/// What two series must have in common.
fn signature(labels: &Labels, matching: Option<&LabelModifier>) -> Labels {
    match matching {
        Some(LabelModifier::Include(on)) => labels.filtered(|name| on.labels.iter().any(|wanted| wanted == name)),
        Some(LabelModifier::Exclude(ignored)) => {
            labels.filtered(|name| name != METRIC_NAME && !ignored.labels.iter().any(|label| label == name))
        }
        None => labels.without_name(),
    }
}

/// The series of each signature.
fn by_signature<'a>(columns: &'a [Column], modifier: &BinModifier) -> HashMap<Labels, Vec<&'a Column>> {
    let mut groups: HashMap<Labels, Vec<&Column>> = HashMap::new();
    for column in columns {
        groups.entry(signature(&column.labels, modifier.matching.as_ref())).or_default().push(column);
    }
    groups
}

/// `and`, `or`, `unless`.
pub(super) fn combine(
    operator: SetOperator,
    modifier: &BinModifier,
    left: Vec<Column>,
    right: Vec<Column>,
    grid: Grid,
) -> Result<Vec<Column>> {
    let mut result = Columns::new(grid.count);
    let (mut kept, judges, keep_where_judged) = match operator {
        SetOperator::And => (left, right, true),
        SetOperator::Unless => (left, right, false),
        SetOperator::Or => {
            // What is on the left stays; what is on the right is judged by it.
            left.iter().try_for_each(|column| result.add(column.clone()))?;
            (right, left, false)
        }
    };
    let judges: HashMap<Labels, Vec<bool>> = by_signature(&judges, modifier)
        .into_iter()
        .map(|(signature, columns)| (signature, any_present(columns.into_iter(), grid.count)))
        .collect();
    let nobody = vec![false; grid.count];
    for column in &mut kept {
        let judged = judges.get(&signature(&column.labels, modifier.matching.as_ref())).unwrap_or(&nobody);
        for (value, judged) in column.values.iter_mut().zip(judged) {
            if *judged != keep_where_judged {
                *value = ABSENT;
            }
        }
    }
    kept.into_iter().try_for_each(|column| result.add(column))?;
    Ok(result.finish())
}

/// An arithmetic or comparison operator between the series of two vectors.
pub(super) fn join(
    operator: Operator,
    modifier: &BinModifier,
    left: &[Column],
    right: &[Column],
    grid: Grid,
) -> Result<Vec<Column>> {
    let swapped = matches!(modifier.card, VectorMatchCardinality::OneToMany(_));
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let groups = Groups::new(one, many, modifier, swapped, grid)?;
    let mut result = Columns::new(grid.count);
    // The signature's series at a step that have a partner already; only one may, unless it is said that many may.
    let mut taken: HashMap<Labels, Vec<bool>> = HashMap::new();
    let single = modifier.card == VectorMatchCardinality::OneToOne;
    for column in many {
        let signature = signature(&column.labels, modifier.matching.as_ref());
        let Some(partners) = groups.one.get(&signature) else { continue };
        let mut taken = single.then(|| taken.entry(signature).or_insert_with(|| vec![false; grid.count]));
        for partner in partners {
            let mut place = None;
            for step in 0..grid.count {
                let (own, other) = (column.values[step], partner.values[step]);
                if !is_present(own) || !is_present(other) {
                    continue;
                }
                if let Some(taken) = &mut taken
                    && std::mem::replace(&mut taken[step], true)
                {
                    return Err(many_to_one());
                }
                let (l, r) = if swapped { (other, own) } else { (own, other) };
                let value = operator.apply(l, r, modifier.return_bool, l);
                if !is_present(value) {
                    continue;
                }
                let place = *place.get_or_insert_with(|| {
                    result.place(labels_of_result(operator, modifier, &column.labels, &partner.labels))
                });
                let into = result.value(place, step);
                if is_present(*into) {
                    return Err(if single { many_to_one() } else { not_unique() });
                }
                *into = value;
            }
        }
    }
    Ok(result.finish())
}

/// The series of the side that has one per signature.
struct Groups<'a> {
    one: HashMap<Labels, Vec<&'a Column>>,
}

impl<'a> Groups<'a> {
    /// Groups a side, and checks that no signature has two series at a step at which the other side has any.
    fn new(one: &'a [Column], many: &[Column], modifier: &BinModifier, swapped: bool, grid: Grid) -> Result<Self> {
        let groups = by_signature(one, modifier);
        let needed = any_present(many.iter(), grid.count);
        for (signature, columns) in groups.iter().filter(|(_, columns)| columns.len() > 1) {
            for (step, _) in needed.iter().enumerate().filter(|(_, needed)| **needed) {
                let mut there = columns.iter().filter(|column| is_present(column.values[step]));
                if let (Some(first), Some(second)) = (there.next(), there.next()) {
                    let side = if swapped { "left" } else { "right" };
                    return Err(QueryError::Execution(format!(
                        "found duplicate series for the match group {signature} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                        second.labels, first.labels
                    )));
                }
            }
        }
        Ok(Self { one: groups })
    }
}

fn many_to_one() -> QueryError {
    QueryError::Execution(
        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)".to_owned(),
    )
}

fn not_unique() -> QueryError {
    QueryError::Execution("multiple matches for labels: grouping labels must ensure unique matches".to_owned())
}

fn labels_of_result(operator: Operator, modifier: &BinModifier, many: &Labels, one: &Labels) -> Labels {
    let labels = if operator.drops_name(modifier.return_bool) { many.without_name() } else { many.clone() };
    let included = match &modifier.card {
        VectorMatchCardinality::ManyToOne(included) | VectorMatchCardinality::OneToMany(included) => included,
        _ => {
            return match &modifier.matching {
                Some(LabelModifier::Include(on)) => {
                    labels.filtered(|name| on.labels.iter().any(|wanted| wanted == name))
                }
                Some(LabelModifier::Exclude(ignored)) => {
                    labels.filtered(|name| !ignored.labels.iter().any(|label| label == name))
                }
                None => labels,
            };
        }
    };
    if included.is_empty() {
        return labels;
    }
    let mut builder = labels.edit();
    for name in &included.labels {
        match one.shared(name) {
            Some(value) => builder.set(Arc::from(name.as_str()), Arc::clone(value)),
            None => builder.remove(name),
        }
    }
    builder.finish()
}
