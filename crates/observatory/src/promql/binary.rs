//! Operators.

use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_DIV, T_EQLC, T_GTE, T_GTR, T_LAND, T_LOR, T_LSS, T_LTE, T_LUNLESS, T_MOD, T_MUL, T_NEQ, T_POW,
    T_SUB,
};
use promql_parser::parser::{BinModifier, BinaryExpr};

use super::QueryError;
use super::columns::{ABSENT, Column, Columns, Grid, is_present};
use super::eval::{Evaluator, Result, Value};

/// An operator between two values.
#[derive(Clone, Copy)]
pub(super) enum Operator {
    /// Computes a value, which is not that metric any more.
    Arithmetic(fn(f64, f64) -> f64),
    /// `atan2`, which in Prometheus leaves the metric its name.
    Angle,
    /// Keeps or drops the left value; with `bool`, says which as 1 or 0.
    Comparison(fn(&f64, &f64) -> bool),
}

/// An operator between two sets of series.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SetOperator {
    And,
    Or,
    Unless,
}

impl Operator {
    fn of(binary: &BinaryExpr) -> Option<Self> {
        Some(match binary.op.id() {
            T_ADD => Self::Arithmetic(|a, b| a + b),
            T_SUB => Self::Arithmetic(|a, b| a - b),
            T_MUL => Self::Arithmetic(|a, b| a * b),
            T_DIV => Self::Arithmetic(|a, b| a / b),
            T_MOD => Self::Arithmetic(|a, b| a % b),
            T_POW => Self::Arithmetic(f64::powf),
            T_ATAN2 => Self::Angle,
            T_EQLC => Self::Comparison(f64::eq),
            T_NEQ => Self::Comparison(f64::ne),
            T_GTR => Self::Comparison(f64::gt),
            T_GTE => Self::Comparison(f64::ge),
            T_LSS => Self::Comparison(f64::lt),
            T_LTE => Self::Comparison(f64::le),
            _ => return None,
        })
    }

    /// Whether the result is not that metric any more.
    pub(super) fn drops_name(self, bool: bool) -> bool {
        bool || matches!(self, Self::Arithmetic(_))
    }

    /// The result, or [`ABSENT`]. What a comparison keeps is `kept`.
    pub(super) fn apply(self, left: f64, right: f64, bool: bool, kept: f64) -> f64 {
        match self {
            Self::Arithmetic(compute) => compute(left, right),
            Self::Angle => left.atan2(right),
            Self::Comparison(compare) if bool => f64::from(u8::from(compare(&left, &right))),
            Self::Comparison(compare) if compare(&left, &right) => kept,
            Self::Comparison(_) => ABSENT,
        }
    }
}

impl Evaluator<'_> {
    pub(super) fn binary(&self, binary: &BinaryExpr, grid: Grid) -> Result<Value> {
        let modifier = binary.modifier.clone().unwrap_or_default();
        if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
            return Err(QueryError::Unsupported("the modifier `fill`".to_owned()));
        }
        let (left, right) = (self.eval(&binary.lhs, grid)?, self.eval(&binary.rhs, grid)?);
        let set = match binary.op.id() {
            T_LAND => Some(SetOperator::And),
            T_LOR => Some(SetOperator::Or),
            T_LUNLESS => Some(SetOperator::Unless),
            _ => None,
        };
        if let Some(operator) = set {
            return match (left, right) {
                (Value::Vector(left), Value::Vector(right)) => {
                    super::matching::combine(operator, &modifier, left, right, grid).map(Value::Vector)
                }
                _ => Err(QueryError::Parse("set operators are between instant vectors".to_owned())),
            };
        }
        let unknown = || QueryError::Unsupported(format!("the operator `{}`", binary.op));
        let operator = Operator::of(binary).ok_or_else(unknown)?;
        self.hold(0)?;
        match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => Ok(Value::Scalar(between_scalars(operator, &left, &right))),
            (Value::Vector(left), Value::Scalar(right)) => {
                let apply = |value: f64, scalar: f64| operator.apply(value, scalar, modifier.return_bool, value);
                with_scalar(operator, &modifier, left, &right, apply).map(Value::Vector)
            }
            (Value::Scalar(left), Value::Vector(right)) => {
                let apply = |value: f64, scalar: f64| operator.apply(scalar, value, modifier.return_bool, value);
                with_scalar(operator, &modifier, right, &left, apply).map(Value::Vector)
            }
            (Value::Vector(left), Value::Vector(right)) => {
                super::matching::join(operator, &modifier, &left, &right, grid).map(Value::Vector)
            }
            _ => Err(QueryError::Parse("operators are not for strings".to_owned())),
        }
    }
}

fn between_scalars(operator: Operator, left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter().zip(right).map(|(left, right)| operator.apply(*left, *right, true, 1.0)).collect()
}

fn with_scalar(
    operator: Operator,
    modifier: &BinModifier,
    columns: Vec<Column>,
    scalars: &[f64],
    apply: impl Fn(f64, f64) -> f64,
) -> Result<Vec<Column>> {
    let mut result = Columns::new(scalars.len());
    let drops_name = operator.drops_name(modifier.return_bool);
    for mut column in columns {
        for (value, scalar) in column.values.iter_mut().zip(scalars) {
            if is_present(*value) {
                *value = apply(*value, *scalar);
            }
        }
        let labels = if drops_name { column.labels.without_name() } else { column.labels };
        result.add(Column { labels, values: column.values })?;
    }
    Ok(result.finish())
}
