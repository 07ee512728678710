//! Operators, by what stands at their sides.

use promql_parser::parser::token::{T_LAND, T_LOR, T_LUNLESS};
use promql_parser::parser::{BinModifier, BinaryExpr};

use super::columns::{Column, Columns, Grid, is_present};
use super::error::QueryError;
use super::eval::{Evaluator, Result, Value};
use super::operator::{Operator, SetOperator};

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
