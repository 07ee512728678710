//! Pipelines, run on one trace: spansets in, spansets out.

use std::collections::HashMap;

use super::ast::{Aggregate, Expr, Op, Relation, Scalar, ScalarFilter, SpansetExpr, SpansetOp, Stage};
use super::eval::Context;
use super::tree::Tree;
use super::value::{Literal, Value};

/// Some spans of a trace, by index in ascending order, and what was computed of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Spanset {
    pub(super) spans: Vec<usize>,
    /// For instance `count()` and its value.
    pub(super) attrs: Vec<(String, Literal)>,
}

/// Runs a pipeline on a whole trace.
pub(super) fn run<'a>(stages: &'a [Stage], tree: &'a Tree<'a>) -> Vec<Spanset> {
    let whole = Spanset { spans: (0..tree.spans.len()).collect(), attrs: Vec::new() };
    run_on(stages, tree, vec![whole])
}

fn run_on<'a>(stages: &'a [Stage], tree: &'a Tree<'a>, mut sets: Vec<Spanset>) -> Vec<Spanset> {
    for stage in stages {
        sets = match stage {
            Stage::Spans(expr) => sets.into_iter().filter_map(|set| kept(expr, tree, set)).collect(),
            Stage::By(by) => sets.iter().flat_map(|set| groups(by, tree, set)).collect(),
            Stage::Coalesce => coalesced(&sets).into_iter().collect(),
            Stage::Select(_) => sets,
            Stage::Scalar(filter) => sets.into_iter().filter_map(|set| compared(filter, tree, set)).collect(),
        };
        if sets.is_empty() {
            break;
        }
    }
    sets
}

fn context<'a>(tree: &'a Tree<'a>, place: usize) -> Context<'a> {
    Context { at: tree.spans[place], tree: Some((tree, place)) }
}

/// The spanset with only those spans that the expression selects; `None` where none are.
fn kept<'a>(expr: &'a SpansetExpr, tree: &'a Tree<'a>, set: Spanset) -> Option<Spanset> {
    let spans = select(expr, tree, &set.spans);
    (!spans.is_empty()).then_some(Spanset { spans, attrs: set.attrs })
}

/// Which of `spans` an expression selects.
fn select<'a>(expr: &'a SpansetExpr, tree: &'a Tree<'a>, spans: &[usize]) -> Vec<usize> {
    match expr {
        SpansetExpr::Filter(filter) => {
            spans.iter().copied().filter(|&place| context(tree, place).holds(filter)).collect()
        }
        SpansetExpr::Pipeline(stages) => {
            let whole = Spanset { spans: spans.to_vec(), attrs: Vec::new() };
            let left = run_on(stages, tree, vec![whole]);
            union(left.iter().flat_map(|set| set.spans.iter().copied()))
        }
        SpansetExpr::Operation(left, op, right) => {
            let (left, right) = (select(left, tree, spans), select(right, tree, spans));
            match op {
                SpansetOp::And if left.is_empty() || right.is_empty() => Vec::new(),
                SpansetOp::And | SpansetOp::Or => union(left.into_iter().chain(right)),
                SpansetOp::Structural { relation, negated, union } => {
                    related(tree, &left, *relation, &right, *negated, *union)
                }
            }
        }
    }
}

fn union(spans: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut spans: Vec<usize> = spans.collect();
    spans.sort_unstable();
    spans.dedup();
    spans
}

/// The spans of the right side that stand in the relation to one of the left, or that do not; in a union, also those of the
/// left that one of the right stands so to.
fn related(
    tree: &Tree<'_>,
    left: &[usize],
    relation: Relation,
    right: &[usize],
    negated: bool,
    both: bool,
) -> Vec<usize> {
    let (is_left, is_right) = (marks(tree, left), marks(tree, right));
    let found = standing(tree, left, &is_left, relation, right);
    if negated {
        let found = marks(tree, &found);
        return right.iter().copied().filter(|&place| !found[place]).collect();
    }
    if !both {
        return found;
    }
    let inverse = match relation {
        Relation::Child => Relation::Parent,
        Relation::Parent => Relation::Child,
        Relation::Descendant => Relation::Ancestor,
        Relation::Ancestor => Relation::Descendant,
        Relation::Sibling => Relation::Sibling,
    };
    let others = standing(tree, right, &is_right, inverse, left);
    union(found.into_iter().chain(others))
}

fn marks(tree: &Tree<'_>, spans: &[usize]) -> Vec<bool> {
    let mut marks = vec![false; tree.spans.len()];
    for &place in spans {
        marks[place] = true;
    }
    marks
}

/// Those of `candidates` that stand in the relation to one of `others`.
fn standing(
    tree: &Tree<'_>,
    others: &[usize],
    is_other: &[bool],
    relation: Relation,
    candidates: &[usize],
) -> Vec<usize> {
    let mut marked = vec![false; tree.spans.len()];
    match relation {
        Relation::Child => {
            return filtered(candidates, |place| tree.parent(place).is_some_and(|parent| is_other[parent]));
        }
        Relation::Descendant => {
            return filtered(candidates, |place| tree.ancestors(place).any(|above| is_other[above]));
        }
        Relation::Sibling => {
            let mut below = vec![0_usize; tree.spans.len()];
            others.iter().filter_map(|&place| tree.parent(place)).for_each(|parent| below[parent] += 1);
            return filtered(candidates, |place| {
                tree.parent(place).is_some_and(|parent| below[parent] > usize::from(is_other[place]))
            });
        }
        Relation::Parent => {
            others.iter().filter_map(|&place| tree.parent(place)).for_each(|parent| marked[parent] = true);
        }
        Relation::Ancestor => {
            for &place in others {
                // Above a marked span all are marked.
                for above in tree.ancestors(place).take_while(|&above| !marked[above]).collect::<Vec<_>>() {
                    marked[above] = true;
                }
            }
        }
    }
    filtered(candidates, |place| marked[place])
}

fn filtered(spans: &[usize], keeps: impl Fn(usize) -> bool) -> Vec<usize> {
    spans.iter().copied().filter(|&place| keeps(place)).collect()
}

/// One spanset per value of the expression.
fn groups<'a>(by: &'a Expr, tree: &'a Tree<'a>, set: &Spanset) -> Vec<Spanset> {
    let mut groups: Vec<(Literal, Vec<usize>)> = Vec::new();
    let mut known = HashMap::new();
    for &place in &set.spans {
        let value = context(tree, place).value(by).to_literal();
        let group = *known.entry(value.clone()).or_insert_with(|| {
            groups.push((value, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(place);
    }
    let made = groups.into_iter().map(|(value, spans)| {
        let mut attrs = set.attrs.clone();
        attrs.push((format!("by({by})"), value));
        Spanset { spans, attrs }
    });
    made.collect()
}

fn coalesced(sets: &[Spanset]) -> Option<Spanset> {
    let spans = union(sets.iter().flat_map(|set| set.spans.iter().copied()));
    (!spans.is_empty()).then(|| Spanset { spans, attrs: Vec::new() })
}

/// The spanset, with the values of its aggregates, where the comparison holds.
fn compared<'a>(filter: &'a ScalarFilter, tree: &'a Tree<'a>, mut set: Spanset) -> Option<Spanset> {
    let left = scalar(&filter.left, tree, &mut set)?;
    let right = scalar(&filter.right, tree, &mut set)?;
    left.compare(filter.op, right).then_some(set)
}

fn scalar<'a>(of: &'a Scalar, tree: &'a Tree<'a>, set: &mut Spanset) -> Option<Value<'a>> {
    match of {
        Scalar::Literal(literal) => Some(literal.value()),
        Scalar::Arithmetic(left, op, right) => {
            let (left, right) = (scalar(left, tree, set)?, scalar(right, tree, set)?);
            Some(left.arithmetic(*op, right))
        }
        Scalar::Aggregate(aggregate, expr) => {
            let value = match expr {
                None => Value::Int(i64::try_from(set.spans.len()).unwrap_or(i64::MAX)),
                Some(expr) => {
                    let values = set.spans.iter().map(|&place| context(tree, place).value(expr));
                    aggregated(*aggregate, values.filter(|value| value.number().is_some()))?
                }
            };
            set.attrs.push((of.to_string(), value.to_literal()));
            Some(value)
        }
    }
}

/// `None` where there is no value.
fn aggregated<'a>(aggregate: Aggregate, values: impl Iterator<Item = Value<'a>>) -> Option<Value<'a>> {
    let mut count = 0_i64;
    let folded = values.inspect(|_| count += 1).reduce(|held, next| match aggregate {
        Aggregate::Min if next.compare(Op::Less, held) => next,
        Aggregate::Max if next.compare(Op::Greater, held) => next,
        Aggregate::Min | Aggregate::Max | Aggregate::Count => held,
        Aggregate::Sum | Aggregate::Avg => held.arithmetic(Op::Add, next),
    })?;
    match (aggregate, folded) {
        (Aggregate::Avg, Value::Duration(_)) => Some(folded.arithmetic(Op::Divide, Value::Int(count))),
        (Aggregate::Avg, sum) => sum.number().map(|sum| Value::Float(sum / count as f64)),
        (_, folded) => Some(folded),
    }
}
