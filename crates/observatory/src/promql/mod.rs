//! PromQL: parsed by `promql-parser`, evaluated here as Prometheus does.
//!
//! An expression is evaluated for all steps of a query at once. Where Prometheus has a vector per step, there is one
//! [`Column`] per series here, with a value or its absence per step; so labels are looked at once per series and not once
//! per step. What is not supported is an error that names it, never a number.
//!
//! | what | module |
//! |---|---|
//! | dispatch over the syntax tree | `eval` |
//! | samples for a step, for a window; subqueries | `select` |
//! | functions of a window (`rate`, `…_over_time`) | `window` |
//! | functions of a vector | `functions`, `names`, `calendar`, `histogram` |
//! | operators between vectors | `binary`, `operator`, `matching` |
//! | aggregations | `aggregate`, `grouping`, `ranked` |

mod aggregate;
mod binary;
mod calendar;
mod columns;
mod error;
mod eval;
mod functions;
mod grouping;
mod histogram;
mod matching;
mod names;
pub(crate) mod number;
mod operator;
mod ranked;
mod select;
mod window;

use std::convert::Infallible;

use promql_parser::label::Matcher;
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use telemetry::clock::{self, Moment};

pub use columns::{Column, Grid, is_present};
pub use error::{Limits, QueryError};

use crate::metrics::Labels;
use crate::metrics::store::{Sample, Store};
use eval::{Evaluator, Value};
pub(crate) use select::matchers;

/// The result of a query at one time.
#[derive(Clone, Debug, PartialEq)]
pub enum Instant {
    /// A number.
    Scalar(f64),
    /// A text.
    Text(String),
    /// One value per series, in the order of the result.
    Vector(Vec<(Labels, f64)>),
    /// Raw samples per series.
    Matrix(Vec<(Labels, Vec<Sample>)>),
}

/// An expression that makes sense.
#[derive(Clone, Debug)]
pub struct Query {
    expr: Expr,
}

impl Query {
    /// Parses an expression.
    ///
    /// # Errors
    /// When it is none, or has no type.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.trim().is_empty() {
            return Err(QueryError::Parse("unknown position: parse error: no expression found in input".to_owned()));
        }
        let expr = parser::parse(text).map_err(|error| QueryError::Parse(format!("parse error: {error}")))?;
        Ok(Self { expr })
    }

    /// The expression, laid out over lines where it is long.
    #[must_use]
    pub fn pretty(&self) -> String {
        self.expr.prettify()
    }

    /// The matchers of every selector of the expression.
    ///
    /// # Errors
    /// When a selector uses what is not supported.
    pub fn selectors(&self) -> Result<Vec<Vec<Matcher>>, QueryError> {
        let mut selectors = Selectors::default();
        // The visitor stops for no selector.
        let _ = walk_expr(&mut selectors, &self.expr);
        selectors.0.iter().map(matchers).collect()
    }

    /// Evaluates at one time, Unix milliseconds.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn instant(&self, store: &Store, at: i64, limits: Limits) -> Result<Instant, QueryError> {
        let grid = Grid::new(at, at, 1);
        let evaluator = Evaluator::new(store, grid, limits, deadline(limits));
        if self.expr.value_type() == ValueType::Matrix {
            return evaluator.raw(&self.expr, grid).map(Instant::Matrix);
        }
        Ok(match evaluator.eval(&self.expr, grid)? {
            Value::Scalar(values) => Instant::Scalar(values[0]),
            Value::Text(text) => Instant::Text(text),
            Value::Vector(columns) => {
                let present = columns.into_iter().filter(|column| is_present(column.values[0]));
                let mut vector: Vec<_> = present.map(|column| (column.labels, column.values[0])).collect();
                ranked::arrange(&self.expr, &mut vector);
                Instant::Vector(vector)
            }
        })
    }

    /// Evaluates at every step of a grid; the columns are in order of their labels.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn range(&self, store: &Store, grid: Grid, limits: Limits) -> Result<Vec<Column>, QueryError> {
        let kind = self.expr.value_type();
        if !matches!(kind, ValueType::Vector | ValueType::Scalar) {
            let kind = if kind == ValueType::Matrix { "range vector" } else { "string" };
            return Err(QueryError::Parse(format!(
                "invalid expression type {kind:?} for range query, must be Scalar or instant Vector"
            )));
        }
        let evaluator = Evaluator::new(store, grid, limits, deadline(limits));
        Ok(match evaluator.eval(&self.expr, grid)? {
            Value::Scalar(values) => vec![Column { labels: Labels::empty(), values }],
            Value::Text(_) => Vec::new(),
            Value::Vector(mut columns) => {
                columns.retain(|column| column.values.iter().any(|value| is_present(*value)));
                columns.sort_by(|a, b| a.labels.cmp(&b.labels));
                columns
            }
        })
    }
}

/// Gathers the selectors of an expression.
#[derive(Default)]
struct Selectors(Vec<VectorSelector>);

impl ExprVisitor for Selectors {
    type Error = Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
        match expr {
            Expr::VectorSelector(selector) => self.0.push(selector.clone()),
            Expr::MatrixSelector(selector) => self.0.push(selector.vs.clone()),
            _ => {}
        }
        Ok(true)
    }
}

fn deadline(limits: Limits) -> Moment {
    clock::now() + limits.timeout
}

#[cfg(test)]
mod tests;
