//! Whether a query that reads well means something.

use super::ast::{Aggregate, Expr, Field, Function, Intrinsic, Op, Query, Scalar, Scope, SpansetExpr, Stage};
use super::error::ParseError;
use super::value::Literal;

/// What an expression yields, as far as that is known before it meets a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    /// An attribute may be anything.
    Any,
    Bool,
    Number,
    Text,
    Status,
    Kind,
}

impl Type {
    fn fits(self, other: Self) -> bool {
        self == Self::Any || other == Self::Any || self == other
    }
}

/// Checks a whole query.
pub(super) fn check(query: &Query) -> Result<(), ParseError> {
    stages(&query.pipeline)?;
    match query.metrics.as_ref().map(|metrics| &metrics.function) {
        Some(Function::Compare { selection, .. }) => filter(selection),
        _ => Ok(()),
    }
}

fn stages(pipeline: &[Stage]) -> Result<(), ParseError> {
    for stage in pipeline {
        match stage {
            Stage::Spans(spans) => spanset(spans)?,
            Stage::By(by) => {
                type_of(by)?;
                if !has_field(by) {
                    return Err(fault("grouping field expressions must reference the span", format_args!("by({by})")));
                }
            }
            Stage::Coalesce | Stage::Select(_) => {}
            Stage::Scalar(comparison) => {
                scalar(&comparison.left)?;
                scalar(&comparison.right)?;
            }
        }
    }
    Ok(())
}

fn spanset(spans: &SpansetExpr) -> Result<(), ParseError> {
    match spans {
        SpansetExpr::Filter(expr) => filter(expr),
        SpansetExpr::Operation(left, _, right) => spanset(left).and_then(|()| spanset(right)),
        SpansetExpr::Pipeline(pipeline) => stages(pipeline),
    }
}

fn filter(expr: &Expr) -> Result<(), ParseError> {
    match type_of(expr)? {
        Type::Bool | Type::Any => Ok(()),
        _ => Err(fault("span filter field expressions must resolve to a boolean", format_args!("{{ {expr} }}"))),
    }
}

fn scalar(of: &Scalar) -> Result<(), ParseError> {
    match of {
        Scalar::Literal(_) | Scalar::Aggregate(Aggregate::Count, _) | Scalar::Aggregate(_, None) => Ok(()),
        Scalar::Aggregate(_, Some(expr)) => {
            if !type_of(expr)?.fits(Type::Number) {
                return Err(fault("aggregate field expressions must resolve to a number type", of));
            }
            if has_field(expr) {
                return Ok(());
            }
            Err(fault("aggregate field expressions must reference the span", of))
        }
        Scalar::Arithmetic(left, _, right) => scalar(left).and_then(|()| scalar(right)),
    }
}

fn type_of(expr: &Expr) -> Result<Type, ParseError> {
    match expr {
        Expr::Literal(literal) => Ok(type_of_literal(literal)),
        Expr::Field(Field::Attribute { .. }) => Ok(Type::Any),
        Expr::Field(Field::Intrinsic(intrinsic)) => Ok(type_of_intrinsic(*intrinsic)),
        Expr::Binary(left, op, right) => binary(expr, left, *op, right),
        Expr::Match { subject, .. } => match type_of(subject)? {
            Type::Any | Type::Text => Ok(Type::Bool),
            _ => Err(fault("illegal operation for the given types", expr)),
        },
        Expr::Not(inner) => expect(inner, Type::Bool, expr),
        Expr::Negative(inner) => expect(inner, Type::Number, expr),
        Expr::Exists(inner, _) => {
            type_of(inner)?;
            never_nil(inner).map_or(Ok(Type::Bool), Err)
        }
    }
}

fn expect(inner: &Expr, wanted: Type, whole: &Expr) -> Result<Type, ParseError> {
    if type_of(inner)?.fits(wanted) { Ok(wanted) } else { Err(fault("illegal operation for the given type", whole)) }
}

fn binary(whole: &Expr, left: &Expr, op: Op, right: &Expr) -> Result<Type, ParseError> {
    let (left, right) = (type_of(left)?, type_of(right)?);
    if !left.fits(right) {
        return Err(fault("binary operations must operate on the same type", whole));
    }
    let legal = |wanted: Type| left.fits(wanted) && right.fits(wanted);
    let (legal, result) = match op {
        Op::And | Op::Or => (legal(Type::Bool), Type::Bool),
        Op::Equal | Op::NotEqual => (true, Type::Bool),
        _ if op.is_comparison() => (legal(Type::Number) || legal(Type::Text), Type::Bool),
        _ => (legal(Type::Number), Type::Number),
    };
    if legal { Ok(result) } else { Err(fault("illegal operation for the given types", whole)) }
}

fn type_of_literal(literal: &Literal) -> Type {
    match literal {
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) | Literal::Float(_) | Literal::Duration(_) => Type::Number,
        Literal::Text(_) => Type::Text,
        Literal::Status(_) => Type::Status,
        Literal::Kind(_) => Type::Kind,
        Literal::Nil | Literal::Array(_) => Type::Any,
    }
}

fn type_of_intrinsic(intrinsic: Intrinsic) -> Type {
    match intrinsic {
        Intrinsic::Duration
        | Intrinsic::ChildCount
        | Intrinsic::TraceDuration
        | Intrinsic::NestedSetLeft
        | Intrinsic::NestedSetRight
        | Intrinsic::NestedSetParent
        | Intrinsic::EventTime => Type::Number,
        Intrinsic::Status => Type::Status,
        Intrinsic::Kind => Type::Kind,
        _ => Type::Text,
    }
}

/// The fault of asking for the absence of what is always there.
fn never_nil(expr: &Expr) -> Option<ParseError> {
    let what = match expr {
        Expr::Field(Field::Intrinsic(intrinsic)) if !is_optional(*intrinsic) => "intrinsics",
        Expr::Field(Field::Attribute { scope: Scope::Resource, name, .. }) if name == "service.name" => {
            "resource.service.name"
        }
        _ => return None,
    };
    Some(ParseError::whole(format!("{expr}=nil is not valid because {what} cannot be nil")))
}

/// What a span has only with an event or a link.
fn is_optional(intrinsic: Intrinsic) -> bool {
    use Intrinsic::{EventName, EventTime, LinkSpanId, LinkTraceId, ScopeName, ScopeVersion};
    matches!(intrinsic, EventName | EventTime | LinkSpanId | LinkTraceId | ScopeName | ScopeVersion)
}

fn has_field(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(_) => false,
        Expr::Field(_) => true,
        Expr::Binary(left, _, right) => has_field(left) || has_field(right),
        Expr::Match { subject: inner, .. } | Expr::Not(inner) | Expr::Negative(inner) | Expr::Exists(inner, _) => {
            has_field(inner)
        }
    }
}

fn fault(what: &str, shown: impl std::fmt::Display) -> ParseError {
    ParseError::whole(format!("{what}: {shown}"))
}
