//! What operators do.

use promql_parser::parser::BinaryExpr;
use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_DIV, T_EQLC, T_GTE, T_GTR, T_LSS, T_LTE, T_MOD, T_MUL, T_NEQ, T_POW, T_SUB,
};

use super::columns::ABSENT;

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
    pub(super) fn of(binary: &BinaryExpr) -> Option<Self> {
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
