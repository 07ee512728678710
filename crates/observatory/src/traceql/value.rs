//! Values as queries compute with them, their comparison, and their arithmetic.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::op::Op;
use crate::traces::block::Strings;
use crate::traces::model::{Kind, Rare, SpanId, Status, Stored, TraceId};

/// A value read from a span. It borrows from the store; copying it copies a few words.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    Text(&'a str),
    Status(Status),
    Kind(Kind),
    TraceId(TraceId),
    SpanId(SpanId),
    Array(&'a [Stored], &'a Strings),
}

/// A value that stands by itself: a query's constant, or what a series or a group is told apart by. Equality is by type and
/// bits.
#[derive(Clone, Debug)]
pub enum Literal {
    /// No value.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A duration, in nanoseconds.
    Duration(i64),
    /// A text.
    Text(String),
    /// How a span ended.
    Status(Status),
    /// Which side of a call a span stands on.
    Kind(Kind),
    /// A list.
    Array(Vec<Self>),
}

impl<'a> Value<'a> {
    /// A stored value. Maps and bytes are no values that a query could use.
    pub(crate) fn of(stored: &'a Stored, strings: &'a Strings) -> Self {
        match stored {
            Stored::Text(sym) => Self::Text(strings.get(*sym)),
            Stored::Int(number) => Self::Int(*number),
            Stored::Float(number) => Self::Float(*number),
            Stored::Bool(truth) => Self::Bool(*truth),
            Stored::Other(rare) => match rare.as_ref() {
                Rare::Array(items) => Self::Array(items, strings),
                Rare::Empty | Rare::Map(_) | Rare::Bytes(_) => Self::Nil,
            },
        }
    }

    pub(crate) fn is_nil(self) -> bool {
        matches!(self, Self::Nil)
    }

    /// As a number; a duration in nanoseconds.
    pub(crate) fn number(self) -> Option<f64> {
        match self {
            Self::Int(number) | Self::Duration(number) => Some(number as f64),
            Self::Float(number) => Some(number),
            _ => None,
        }
    }

    /// As a number of a metrics query; a duration in seconds.
    pub(crate) fn sample(self) -> Option<f64> {
        match self {
            Self::Duration(nanos) => Some(nanos as f64 / 1e9),
            other => other.number(),
        }
    }

    pub(crate) fn to_literal(self) -> Literal {
        match self {
            Self::Nil => Literal::Nil,
            Self::Bool(truth) => Literal::Bool(truth),
            Self::Int(number) => Literal::Int(number),
            Self::Float(number) => Literal::Float(number),
            Self::Duration(nanos) => Literal::Duration(nanos),
            Self::Text(text) => Literal::Text(text.to_owned()),
            Self::Status(status) => Literal::Status(status),
            Self::Kind(kind) => Literal::Kind(kind),
            Self::TraceId(id) => Literal::Text(id.to_string()),
            Self::SpanId(id) => Literal::Text(id.to_string()),
            Self::Array(items, strings) => {
                Literal::Array(items.iter().map(|item| Value::of(item, strings).to_literal()).collect())
            }
        }
    }

    /// Whether the comparison holds. Values of different kinds are neither equal nor unequal; of a list one item must do,
    /// and for `!=` every item.
    pub(crate) fn compare(self, op: Op, other: Self) -> bool {
        if let Self::Array(items, strings) = self {
            let mut holds = items.iter().map(|item| Value::of(item, strings).compare(op, other));
            return if op == Op::NotEqual { holds.all(|held| held) } else { holds.any(|held| held) };
        }
        if matches!(other, Self::Array(..)) {
            return other.compare(op.flipped(), self);
        }
        self.order(other).is_some_and(|order| match op {
            Op::Equal => order == Ordering::Equal,
            Op::NotEqual => order != Ordering::Equal,
            Op::Less => order == Ordering::Less,
            Op::LessEqual => order != Ordering::Greater,
            Op::Greater => order == Ordering::Greater,
            Op::GreaterEqual => order != Ordering::Less,
            _ => false,
        })
    }

    /// `None` where the two cannot be compared.
    pub(crate) fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a) | Self::Duration(a), Self::Int(b) | Self::Duration(b)) => Some(a.cmp(&b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(&b)),
            (Self::Status(a), Self::Status(b)) => Some(a.cmp(&b)),
            (Self::Kind(a), Self::Kind(b)) => Some(a.cmp(&b)),
            (Self::TraceId(a), Self::Text(b)) => TraceId::parse(b).map(|b| a.cmp(&b)),
            (Self::SpanId(a), Self::Text(b)) => SpanId::parse(b).map(|b| a.cmp(&b)),
            (Self::Text(_), Self::TraceId(_) | Self::SpanId(_)) => other.order(self).map(Ordering::reverse),
            (Self::TraceId(a), Self::TraceId(b)) => Some(a.cmp(&b)),
            (Self::SpanId(a), Self::SpanId(b)) => Some(a.cmp(&b)),
            _ => self.number()?.partial_cmp(&other.number()?),
        }
    }

    /// Whether an attribute's value may be compared with a constant at all: Tempo looks an attribute up in the column of
    /// the constant's type, so that 57 is not 57.0.
    pub(crate) fn is_typed_like(self, literal: &Literal) -> bool {
        match (self, literal) {
            (Self::Array(items, strings), _) => {
                items.iter().any(|item| Value::of(item, strings).is_typed_like(literal))
            }
            (Self::Int(_), Literal::Int(_)) | (Self::Float(_), Literal::Float(_)) => true,
            (Self::Text(_), Literal::Text(_)) | (Self::Bool(_), Literal::Bool(_)) => true,
            _ => false,
        }
    }

    /// Applies an arithmetic operator. Whole numbers stay whole and truncate; with a duration the result is one; what
    /// cannot be computed is nil.
    pub(crate) fn arithmetic(self, op: Op, other: Self) -> Value<'static> {
        if let (Self::Int(a), Self::Int(b)) = (self, other) {
            return whole(op, a, b).map_or(Value::Nil, Value::Int);
        }
        let durations = [self, other].map(|value| matches!(value, Self::Duration(_)));
        let (Some(a), Some(b)) = (self.number(), other.number()) else { return Value::Nil };
        let result = match op {
            Op::Add => a + b,
            Op::Subtract => a - b,
            Op::Multiply => a * b,
            Op::Divide => a / b,
            Op::Modulo => a % b,
            Op::Power => a.powf(b),
            _ => return Value::Nil,
        };
        match durations {
            [false, false] => Value::Float(result),
            // How many times the one fits into the other.
            [true, true] if op == Op::Divide => Value::Float(result),
            _ if result.is_finite() => Value::Duration(result as i64),
            _ => Value::Nil,
        }
    }

    /// The negative of a number.
    pub(crate) fn negative(self) -> Value<'static> {
        match self {
            Self::Int(number) => Value::Int(number.wrapping_neg()),
            Self::Float(number) => Value::Float(-number),
            Self::Duration(nanos) => Value::Duration(nanos.wrapping_neg()),
            _ => Value::Nil,
        }
    }
}

fn whole(op: Op, a: i64, b: i64) -> Option<i64> {
    match op {
        Op::Add => a.checked_add(b),
        Op::Subtract => a.checked_sub(b),
        Op::Multiply => a.checked_mul(b),
        Op::Divide => a.checked_div(b),
        Op::Modulo => a.checked_rem(b),
        Op::Power => a.checked_pow(u32::try_from(b).ok()?),
        _ => None,
    }
}

impl Literal {
    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Self::Nil | Self::Array(_) => Value::Nil,
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Int(number) => Value::Int(*number),
            Self::Float(number) => Value::Float(*number),
            Self::Duration(nanos) => Value::Duration(*nanos),
            Self::Text(text) => Value::Text(text),
            Self::Status(status) => Value::Status(*status),
            Self::Kind(kind) => Value::Kind(*kind),
        }
    }
}

impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) | (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Status(a), Self::Status(b)) => a == b,
            (Self::Kind(a), Self::Kind(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Literal {}

impl Hash for Literal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Nil => {}
            Self::Bool(truth) => truth.hash(state),
            Self::Int(number) | Self::Duration(number) => number.hash(state),
            Self::Float(number) => number.to_bits().hash(state),
            Self::Text(text) => text.hash(state),
            Self::Status(status) => status.hash(state),
            Self::Kind(kind) => kind.hash(state),
            Self::Array(items) => items.hash(state),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Duration(nanos) => f.write_str(&duration_text(*nanos)),
            Self::Text(text) => write!(f, "`{text}`"),
            Self::Status(status) => f.write_str(status.as_str()),
            Self::Kind(kind) => f.write_str(kind.as_str()),
            Self::Array(items) => {
                let items: Vec<String> = items.iter().map(Self::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}

/// A duration as Go prints it, which is how Tempo does: `1h2m3.5s`, `559.0056ms`, `2µs`.
pub(crate) fn duration_text(nanos: i64) -> String {
    const MINUTE: u64 = 60_000_000_000;
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    let text = match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{size}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(size, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(size, 1_000_000)),
        _ => {
            let seconds = format!("{}s", decimal(size % MINUTE, 1_000_000_000));
            match (size / MINUTE / 60, size / MINUTE % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
}

/// `size / per`, for a power of ten, without zeros at the end.
fn decimal(size: u64, per: u64) -> String {
    let fraction = format!("{:0width$}", size % per, width = per.ilog10() as usize);
    let text = format!("{}.{fraction}", size / per);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
