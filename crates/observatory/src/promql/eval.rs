//! Dispatch over the syntax tree.

use std::cell::Cell;

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Call, Expr, UnaryExpr};
use telemetry::clock::{self, Moment};

use super::columns::{self, Column, Grid};
use super::error::{Limits, QueryError};
use crate::metrics::store::Store;

/// What an expression is, over all steps.
#[derive(Debug)]
pub(super) enum Value {
    /// A number per step.
    Scalar(Vec<f64>),
    /// Series.
    Vector(Vec<Column>),
    /// A text.
    Text(String),
}

/// One query being evaluated.
pub(super) struct Evaluator<'a> {
    pub(super) store: &'a Store,
    /// The steps of the query itself, which `@ start()` and `@ end()` are about.
    pub(super) query: Grid,
    limits: Limits,
    deadline: Moment,
    loaded: Cell<usize>,
}

pub(super) type Result<T> = std::result::Result<T, QueryError>;

impl<'a> Evaluator<'a> {
    pub(super) fn new(store: &'a Store, query: Grid, limits: Limits, deadline: Moment) -> Self {
        Self { store, query, limits, deadline, loaded: Cell::new(0) }
    }

    /// Counts samples that the query now holds, and looks at the clock.
    pub(super) fn hold(&self, samples: usize) -> Result<()> {
        self.loaded.set(self.loaded.get().saturating_add(samples));
        if self.loaded.get() > self.limits.max_samples {
            return Err(QueryError::TooManySamples);
        }
        if clock::now() > self.deadline {
            return Err(QueryError::TimedOut);
        }
        Ok(())
    }

    /// Samples that the query may still load.
    pub(super) fn left(&self) -> usize {
        self.limits.max_samples.saturating_sub(self.loaded.get())
    }

    /// Evaluates an expression that is no range vector.
    pub(super) fn eval(&self, expr: &Expr, grid: Grid) -> Result<Value> {
        self.hold(0)?;
        Ok(match expr {
            Expr::NumberLiteral(number) => Value::Scalar(vec![number.val; grid.count]),
            Expr::StringLiteral(text) => Value::Text(text.val.clone()),
            Expr::Paren(paren) => self.eval(&paren.expr, grid)?,
            Expr::Unary(unary) => self.negate(unary, grid)?,
            Expr::Binary(binary) => self.binary(binary, grid)?,
            Expr::Aggregate(aggregate) => Value::Vector(self.aggregate(aggregate, grid)?),
            Expr::VectorSelector(selector) => Value::Vector(self.select(selector, grid)?),
            Expr::Call(call) => self.call(call, grid)?,
            Expr::MatrixSelector(_) | Expr::Subquery(_) => {
                return Err(QueryError::Parse("a range vector where none can be".to_owned()));
            }
            Expr::Extension(_) => return Err(QueryError::Unsupported("an extension of the syntax".to_owned())),
        })
    }

    /// Evaluates an expression that must be an instant vector.
    pub(super) fn vector(&self, expr: &Expr, grid: Grid) -> Result<Vec<Column>> {
        match self.eval(expr, grid)? {
            Value::Vector(columns) => Ok(columns),
            Value::Scalar(_) => Err(wrong(ValueType::Vector, "a scalar")),
            Value::Text(_) => Err(wrong(ValueType::Vector, "a string")),
        }
    }

    /// Evaluates an expression that must be a scalar.
    pub(super) fn scalar(&self, expr: &Expr, grid: Grid) -> Result<Vec<f64>> {
        match self.eval(expr, grid)? {
            Value::Scalar(values) => Ok(values),
            Value::Vector(_) => Err(wrong(ValueType::Scalar, "an instant vector")),
            Value::Text(_) => Err(wrong(ValueType::Scalar, "a string")),
        }
    }

    fn negate(&self, unary: &UnaryExpr, grid: Grid) -> Result<Value> {
        Ok(match self.eval(&unary.expr, grid)? {
            Value::Scalar(values) => Value::Scalar(values.into_iter().map(|value| -value).collect()),
            Value::Vector(vector) => Value::Vector(columns::map(vector, |value| -value)?),
            Value::Text(_) => return Err(wrong(ValueType::Scalar, "a string")),
        })
    }
}

fn wrong(wanted: ValueType, got: &str) -> QueryError {
    QueryError::Parse(format!("expected {wanted}, got {got}"))
}

/// The expression inside of any parentheses.
pub(super) fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Paren(paren) = expr {
        expr = &paren.expr;
    }
    expr
}

/// A literal text.
pub(super) fn text(expr: &Expr) -> Result<&str> {
    match bare(expr) {
        Expr::StringLiteral(text) => Ok(&text.val),
        _ => Err(wrong(ValueType::String, "another type")),
    }
}

/// An argument of a call; the parser has counted them.
pub(super) fn argument(call: &Call, position: usize) -> Result<&Expr> {
    let missing = || QueryError::Parse(format!("{} lacks an argument", call.func.name));
    call.args.args.get(position).map(|arg| &**arg).ok_or_else(missing)
}
