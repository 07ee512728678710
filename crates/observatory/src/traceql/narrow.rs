//! Which spans of a block a filter can hold for at all, so that most are never looked at; and which fields a query mentions.

use super::ast::{Expr, Field, Function, Intrinsic, Op, Query, Scalar, Scope, SpansetExpr, Stage};
use super::bind::BoundBlock;
use super::eval::Context;
use super::value::Literal;
use crate::traces::Block;

/// The spans of a block that are worth a look.
pub(super) enum Narrowed<'a> {
    /// Every one.
    All,
    /// These, by their places in the block.
    Only(&'a [u16]),
}

impl<'a> Narrowed<'a> {
    fn count(&self) -> usize {
        match self {
            Self::All => usize::MAX,
            Self::Only(places) => places.len(),
        }
    }

    /// Their places in a block of `len` spans.
    pub(super) fn places(self, len: usize) -> impl Iterator<Item = usize> + use<'a> {
        let (all, only) = match self {
            Self::All => (0..len, &[][..]),
            Self::Only(places) => (0..0, places),
        };
        all.chain(only.iter().map(|&place| usize::from(place)))
    }
}

/// Narrows a block down by what must be true of every span that the filter holds for.
pub(super) fn narrow<'a>(filter: &Expr, block: &'a Block) -> Narrowed<'a> {
    match filter {
        Expr::Binary(left, Op::And, right) => {
            let (left, right) = (narrow(left, block), narrow(right, block));
            if right.count() < left.count() { right } else { left }
        }
        Expr::Binary(left, Op::Equal, right) => match (left.as_ref(), right.as_ref()) {
            (Expr::Field(field), Expr::Literal(Literal::Text(text)))
            | (Expr::Literal(Literal::Text(text)), Expr::Field(field)) => equal(field, text, block),
            _ => Narrowed::All,
        },
        Expr::Literal(Literal::Bool(false)) => Narrowed::Only(&[]),
        _ => Narrowed::All,
    }
}

fn equal<'a>(field: &Field, text: &str, block: &'a Block) -> Narrowed<'a> {
    match field {
        Field::Intrinsic(Intrinsic::Name) => Narrowed::Only(block.named(text)),
        Field::Attribute { scope: Scope::Resource, name, .. } if name == "service.name" => {
            Narrowed::Only(block.of_service(text))
        }
        // A text that no span of the block has anywhere.
        Field::Attribute { .. } if block.strings().find(text).is_none() => Narrowed::Only(&[]),
        _ => Narrowed::All,
    }
}

/// The filters of which one must hold for at least one span of every trace that the pipeline leaves anything of; `None`
/// where there is no such condition.
pub(super) fn entrances(stages: &[Stage]) -> Option<Vec<&Expr>> {
    match stages.first()? {
        Stage::Spans(expr) => {
            let mut filters = Vec::new();
            leaves(expr, &mut filters).then_some(filters)
        }
        // These let every span pass.
        Stage::Select(_) | Stage::By(_) | Stage::Coalesce => entrances(&stages[1..]),
        Stage::Scalar(_) => None,
    }
}

fn leaves<'a>(expr: &'a SpansetExpr, filters: &mut Vec<&'a Expr>) -> bool {
    match expr {
        SpansetExpr::Filter(filter) => {
            filters.push(filter);
            true
        }
        SpansetExpr::Operation(left, _, right) => leaves(left, filters) && leaves(right, filters),
        SpansetExpr::Pipeline(stages) => entrances(stages).map(|found| filters.extend(found)).is_some(),
    }
}

/// Whether the filter may hold for a span of which nothing but itself is known.
pub(super) fn may_hold<'a>(context: &Context<'a>, filter: &'a Expr) -> bool {
    match filter {
        Expr::Binary(left, Op::And, right) => may_hold(context, left) && may_hold(context, right),
        Expr::Binary(left, Op::Or, right) => may_hold(context, left) || may_hold(context, right),
        other => needs_trace(other) || context.holds(other),
    }
}

/// Whether the expression asks for what only the whole trace tells.
pub(super) fn needs_trace(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(_) => false,
        Expr::Field(field) => is_of_trace(field),
        Expr::Binary(left, _, right) => needs_trace(left) || needs_trace(right),
        Expr::Match { subject: inner, .. } | Expr::Not(inner) | Expr::Negative(inner) | Expr::Exists(inner, _) => {
            needs_trace(inner)
        }
    }
}

pub(super) fn is_of_trace(field: &Field) -> bool {
    matches!(field, Field::Intrinsic(intrinsic) if intrinsic.is_of_trace())
}

/// The filters that a span must pass one by one, where the pipeline is no more than that: then no trace need be put
/// together.
pub(super) fn plain_filters(query: &Query) -> Option<Vec<&Expr>> {
    let metrics = query.metrics.as_ref();
    let mut fields = metrics.into_iter().flat_map(|metrics| metrics.by.iter().chain(metrics.function.field()));
    if fields.any(is_of_trace) {
        return None;
    }
    if let Some(Function::Compare { selection, .. }) = metrics.map(|metrics| &metrics.function)
        && needs_trace(selection)
    {
        return None;
    }
    let mut filters = Vec::new();
    for stage in &query.pipeline {
        match stage {
            Stage::Spans(SpansetExpr::Filter(filter)) if !needs_trace(filter) => filters.push(filter),
            Stage::By(_) | Stage::Coalesce | Stage::Select(_) => {}
            Stage::Spans(_) | Stage::Scalar(_) => return None,
        }
    }
    Some(filters)
}

impl Function {
    /// What is measured.
    pub(super) fn field(&self) -> Option<&Field> {
        match self {
            Self::Rate | Self::Count | Self::Compare { .. } => None,
            Self::Min(field)
            | Self::Max(field)
            | Self::Avg(field)
            | Self::Sum(field)
            | Self::Quantile(field, _)
            | Self::Histogram(field) => Some(field),
        }
    }
}

/// A field that an answer shows with a span, and when.
pub(super) struct Shown<'a> {
    pub(super) field: &'a Field,
    /// Shown where one of these holds; always where there is none. Tempo reads a column by the query's conditions on it, and
    /// shows what it has read.
    conditions: Vec<&'a Expr>,
    always: bool,
}

impl<'a> Shown<'a> {
    /// Whether the answer shows it with this span.
    pub(super) fn applies(&self, context: &Context<'a>) -> bool {
        self.always || self.conditions.iter().any(|condition| context.holds(condition))
    }
}

/// Every field of the query, in the order of their first mention.
pub(super) fn shown(query: &Query) -> Vec<Shown<'_>> {
    let mut shown = Mentioned(Vec::new());
    shown.stages(&query.pipeline);
    if let Some(metrics) = &query.metrics {
        metrics.function.field().into_iter().chain(&metrics.by).for_each(|field| shown.always(field));
    }
    shown.0
}

struct Mentioned<'a>(Vec<Shown<'a>>);

impl<'a> Mentioned<'a> {
    fn stages(&mut self, stages: &'a [Stage]) {
        for stage in stages {
            match stage {
                Stage::Spans(spans) => self.spanset(spans),
                Stage::By(by) => self.operand(by),
                Stage::Coalesce => {}
                Stage::Select(fields) => fields.iter().for_each(|field| self.always(field)),
                Stage::Scalar(filter) => {
                    self.scalar(&filter.left);
                    self.scalar(&filter.right);
                }
            }
        }
    }

    fn spanset(&mut self, spans: &'a SpansetExpr) {
        match spans {
            SpansetExpr::Filter(filter) => self.condition(filter),
            SpansetExpr::Operation(left, _, right) => {
                self.spanset(left);
                self.spanset(right);
            }
            SpansetExpr::Pipeline(stages) => self.stages(stages),
        }
    }

    fn scalar(&mut self, scalar: &'a Scalar) {
        match scalar {
            Scalar::Literal(_) | Scalar::Aggregate(_, None) => {}
            Scalar::Aggregate(_, Some(of)) => self.operand(of),
            Scalar::Arithmetic(left, _, right) => {
                self.scalar(left);
                self.scalar(right);
            }
        }
    }

    /// An expression of which the truth counts.
    fn condition(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Binary(left, Op::And | Op::Or, right) => {
                self.condition(left);
                self.condition(right);
            }
            Expr::Not(inner) => self.condition(inner),
            Expr::Binary(left, _, right) => match (left.as_ref(), right.as_ref()) {
                (Expr::Field(field), Expr::Literal(_)) | (Expr::Literal(_), Expr::Field(field)) => {
                    self.entry(field).conditions.push(expr);
                }
                (left, right) => {
                    self.operand(left);
                    self.operand(right);
                }
            },
            Expr::Match { subject, .. } => match subject.as_ref() {
                Expr::Field(field) => self.entry(field).conditions.push(expr),
                other => self.operand(other),
            },
            other => self.operand(other),
        }
    }

    /// An expression of which the value counts.
    fn operand(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Literal(_) => {}
            Expr::Field(field) => self.always(field),
            Expr::Binary(left, _, right) => {
                self.operand(left);
                self.operand(right);
            }
            Expr::Match { subject: inner, .. } | Expr::Not(inner) | Expr::Negative(inner) | Expr::Exists(inner, _) => {
                self.operand(inner);
            }
        }
    }

    fn always(&mut self, field: &'a Field) {
        self.entry(field).always = true;
    }

    fn entry(&mut self, field: &'a Field) -> &mut Shown<'a> {
        let place = self.0.iter().position(|shown| shown.field == field).unwrap_or_else(|| {
            self.0.push(Shown { field, conditions: Vec::new(), always: false });
            self.0.len() - 1
        });
        &mut self.0[place]
    }
}

/// Calls `found` with every span of a block that passes all filters, and begins in the time given. Both ends are included.
pub(super) fn each<'a>(
    block: &'a BoundBlock<'a>,
    filters: &[&'a Expr],
    (from, to): (u64, u64),
    mut found: impl FnMut(Context<'a>),
) {
    let narrowed = filters.iter().map(|filter| narrow(filter, block.block)).min_by_key(Narrowed::count);
    for place in narrowed.unwrap_or(Narrowed::All).places(block.block.spans().len()) {
        let Some(at) = block.at(place) else { continue };
        let context = Context::span(at);
        if (from..=to).contains(&at.span.start) && filters.iter().all(|filter| context.holds(filter)) {
            found(context);
        }
    }
}
