//! Expressions, evaluated on one span.

use super::ast::{Expr, Field, Intrinsic, Op, Scope};
use super::bind::At;
use super::tree::Tree;
use super::value::{Literal, Value};
use crate::traces::model::{Attr, SpanId};

/// A span and, where the query asks for more than the span itself, its trace and its place therein.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) at: At<'a>,
    pub(super) tree: Option<(&'a Tree<'a>, usize)>,
}

/// What a value is tested for.
type Test<'t, 'a> = &'t mut dyn FnMut(Value<'a>) -> bool;

impl<'a> Context<'a> {
    /// A span by itself.
    pub(super) fn span(at: At<'a>) -> Self {
        Self { at, tree: None }
    }

    /// Whether the expression holds.
    pub(super) fn holds(&self, expr: &'a Expr) -> bool {
        match expr {
            Expr::Binary(left, Op::And, right) => self.holds(left) && self.holds(right),
            Expr::Binary(left, Op::Or, right) => self.holds(left) || self.holds(right),
            Expr::Binary(left, op, right) if op.is_comparison() => self.compare(left, *op, right),
            Expr::Not(inner) => !self.holds(inner),
            Expr::Exists(inner, exists) => self.any(inner, &mut |value| !value.is_nil()) == *exists,
            Expr::Match { subject, pattern, negated } => self
                .any(subject, &mut |value| matches(value, &pattern.regex).is_some_and(|matched| matched != *negated)),
            Expr::Literal(Literal::Bool(truth)) => *truth,
            Expr::Field(field) => self.any_of(field, &mut |value| matches!(value, Value::Bool(true))),
            Expr::Literal(_) | Expr::Binary(..) | Expr::Negative(_) => false,
        }
    }

    /// The value of the expression.
    pub(super) fn value(&self, expr: &'a Expr) -> Value<'a> {
        match expr {
            Expr::Literal(literal) => literal.value(),
            Expr::Field(field) => self.field(field),
            Expr::Negative(inner) => self.value(inner).negative(),
            Expr::Binary(left, op, right) if !op.is_comparison() && !matches!(op, Op::And | Op::Or) => {
                self.value(left).arithmetic(*op, self.value(right))
            }
            _ => Value::Bool(self.holds(expr)),
        }
    }

    /// The first value of a field.
    pub(super) fn field(&self, field: &Field) -> Value<'a> {
        let mut found = Value::Nil;
        self.any_of(field, &mut |value| {
            found = value;
            !value.is_nil()
        });
        found
    }

    fn compare(&self, left: &'a Expr, op: Op, right: &'a Expr) -> bool {
        match (left, right) {
            (Expr::Field(field), Expr::Literal(literal)) => self.compare_field(field, op, literal),
            (Expr::Literal(literal), Expr::Field(field)) => self.compare_field(field, op.flipped(), literal),
            _ => self.value(left).compare(op, self.value(right)),
        }
    }

    /// Whether a field compares so with a constant. Of what a span may have several times, one must do.
    pub(super) fn compare_field(&self, field: &Field, op: Op, literal: &'a Literal) -> bool {
        let constant = literal.value();
        let typed = matches!(field, Field::Attribute { .. });
        self.any_of(field, &mut |value| (!typed || value.is_typed_like(literal)) && value.compare(op, constant))
    }

    /// Whether `test` holds for a value of the expression.
    pub(super) fn any(&self, expr: &'a Expr, test: Test<'_, 'a>) -> bool {
        match expr {
            Expr::Field(field) => self.any_of(field, test),
            _ => test(self.value(expr)),
        }
    }

    /// Whether `test` holds for a value of the field. A field that the span lacks has no value to be tested.
    pub(super) fn any_of(&self, field: &Field, test: Test<'_, 'a>) -> bool {
        match field {
            Field::Attribute { scope, slot, .. } => self.any_attribute(*scope, *slot, test),
            Field::Intrinsic(intrinsic) => self.any_intrinsic(*intrinsic, test),
        }
    }

    fn any_attribute(&self, scope: Scope, slot: usize, test: Test<'_, 'a>) -> bool {
        let At { block, span, .. } = self.at;
        match scope {
            Scope::Any => {
                // The nearest has the say.
                let scopes = [Scope::Span, Scope::Resource, Scope::Event, Scope::Link, Scope::Instrumentation];
                let holder = scopes.into_iter().find(|scope| self.any_attribute(*scope, slot, &mut |_| true));
                holder.is_some_and(|scope| self.any_attribute(scope, slot, test))
            }
            Scope::Span => self.test(slot, &span.attrs, test),
            Scope::Resource => block.resource(span).is_some_and(|resource| self.test(slot, &resource.attrs, test)),
            Scope::Instrumentation => block.scope(span).is_some_and(|scope| self.test(slot, &scope.attrs, test)),
            Scope::Event => span.events().iter().any(|event| self.test(slot, &event.attrs, test)),
            Scope::Link => span.links().iter().any(|link| self.test(slot, &link.attrs, test)),
        }
    }

    fn test(&self, slot: usize, attrs: &'a [Attr], test: Test<'_, 'a>) -> bool {
        self.at.find(slot, attrs).is_some_and(|attr| test(Value::of(&attr.value, self.at.block.strings())))
    }

    fn any_intrinsic(&self, intrinsic: Intrinsic, test: Test<'_, 'a>) -> bool {
        let At { block, span, .. } = self.at;
        let scope = || block.scope(span);
        match intrinsic {
            Intrinsic::EventName => span.events().iter().any(|event| test(Value::Text(block.text(event.name)))),
            Intrinsic::EventTime => {
                span.events().iter().any(|event| test(duration(event.at.saturating_sub(span.start))))
            }
            Intrinsic::LinkTraceId => span.links().iter().any(|link| test(Value::TraceId(link.trace))),
            Intrinsic::LinkSpanId => span.links().iter().any(|link| test(Value::SpanId(link.span))),
            Intrinsic::Name => test(Value::Text(block.text(span.name))),
            Intrinsic::Duration => test(duration(span.duration)),
            Intrinsic::Status => test(Value::Status(span.status)),
            Intrinsic::StatusMessage => test(Value::Text(block.text(span.message))),
            Intrinsic::Kind => test(Value::Kind(span.kind)),
            Intrinsic::SpanId => test(Value::SpanId(span.id)),
            Intrinsic::ParentId => span.parent != SpanId::default() && test(Value::SpanId(span.parent)),
            Intrinsic::TraceId => test(Value::TraceId(span.trace)),
            Intrinsic::ScopeName => scope().is_some_and(|scope| test(Value::Text(block.text(scope.name)))),
            Intrinsic::ScopeVersion => scope().is_some_and(|scope| test(Value::Text(block.text(scope.version)))),
            of_trace => self.tree.is_some_and(|(tree, place)| test(of_tree(of_trace, tree, place))),
        }
    }
}

/// What only the whole trace tells.
fn of_tree<'a>(intrinsic: Intrinsic, tree: &'a Tree<'a>, place: usize) -> Value<'a> {
    match intrinsic {
        Intrinsic::ChildCount => Value::Int(tree.child_count(place).into()),
        Intrinsic::TraceDuration => duration(tree.duration()),
        Intrinsic::RootName => Value::Text(tree.root_name()),
        Intrinsic::RootService => Value::Text(tree.root_service()),
        Intrinsic::NestedSetLeft => Value::Int(tree.nested(place).left),
        Intrinsic::NestedSetRight => Value::Int(tree.nested(place).right),
        Intrinsic::NestedSetParent => Value::Int(tree.nested(place).parent),
        _ => Value::Nil,
    }
}

fn duration(nanos: u64) -> Value<'static> {
    Value::Duration(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// Whether a text matches as a whole; of a list one item must. `None` for what is no text.
fn matches(value: Value<'_>, regex: &regex::Regex) -> Option<bool> {
    match value {
        Value::Text(text) => Some(regex.is_match(text)),
        Value::TraceId(id) => Some(regex.is_match(&id.to_string())),
        Value::SpanId(id) => Some(regex.is_match(&id.to_string())),
        Value::Array(items, strings) => {
            Some(items.iter().any(|item| matches(Value::of(item, strings), regex) == Some(true)))
        }
        _ => None,
    }
}
