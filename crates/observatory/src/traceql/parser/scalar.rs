//! Comparisons of aggregates.

use super::Parser;
use super::expr::comparison;
use crate::traceql::ast::{Aggregate, Op, Scalar, ScalarFilter};
use crate::traceql::error::ParseError;
use crate::traceql::lexer::Token;
use crate::traceql::value::Literal;

impl Parser {
    pub(super) fn scalar_filter(&mut self) -> Result<ScalarFilter, ParseError> {
        let left = self.scalar(0)?;
        let op = match self.peek() {
            Token::Fixed(symbol) => comparison(symbol),
            _ => None,
        };
        let Some(op) = op else { return Err(self.unexpected(&[])) };
        self.next();
        let right = self.scalar(0)?;
        if has_aggregate(&left) || has_aggregate(&right) {
            return Ok(ScalarFilter { left, op, right });
        }
        Err(ParseError::whole("a comparison of scalars needs an aggregate such as count()"))
    }

    fn scalar(&mut self, least: usize) -> Result<Scalar, ParseError> {
        self.nested(|parser| {
            let mut left = parser.scalar_operand()?;
            while let Some((op, binding)) = arithmetic(parser.peek()) {
                if binding < least {
                    break;
                }
                parser.next();
                let right = parser.scalar(if op == Op::Power { binding } else { binding + 1 })?;
                left = Scalar::Arithmetic(Box::new(left), op, Box::new(right));
            }
            Ok(left)
        })
    }

    fn scalar_operand(&mut self) -> Result<Scalar, ParseError> {
        if self.skip("(") {
            let inner = self.scalar(0)?;
            self.expect(")")?;
            return Ok(inner);
        }
        let negative = self.skip("-");
        if let Some(number) = number(self.peek()) {
            self.next();
            let number = if negative { number.value().negative().to_literal() } else { number };
            return Ok(Scalar::Literal(number));
        }
        match self.aggregate() {
            Some(aggregate) if !negative => self.aggregated(aggregate),
            _ => Err(self.unexpected(&[])),
        }
    }

    fn aggregate(&self) -> Option<Aggregate> {
        let Token::Fixed(word) = self.peek() else { return None };
        Some(match *word {
            "count" => Aggregate::Count,
            "avg" => Aggregate::Avg,
            "min" => Aggregate::Min,
            "max" => Aggregate::Max,
            "sum" => Aggregate::Sum,
            _ => return None,
        })
    }

    fn aggregated(&mut self, aggregate: Aggregate) -> Result<Scalar, ParseError> {
        self.next();
        self.expect("(")?;
        let of = if aggregate == Aggregate::Count { None } else { Some(self.expr()?) };
        self.expect(")")?;
        Ok(Scalar::Aggregate(aggregate, of))
    }
}

/// A number or a duration.
pub(super) fn number(token: &Token) -> Option<Literal> {
    match token {
        Token::Int(number) => Some(Literal::Int(*number)),
        Token::Float(number) => Some(Literal::Float(*number)),
        Token::Duration(nanos) => Some(Literal::Duration(*nanos)),
        _ => None,
    }
}

fn arithmetic(token: &Token) -> Option<(Op, usize)> {
    let Token::Fixed(symbol) = token else { return None };
    Some(match *symbol {
        "+" => (Op::Add, 1),
        "-" => (Op::Subtract, 1),
        "*" => (Op::Multiply, 2),
        "/" => (Op::Divide, 2),
        "%" => (Op::Modulo, 2),
        "^" => (Op::Power, 3),
        _ => return None,
    })
}

fn has_aggregate(scalar: &Scalar) -> bool {
    match scalar {
        Scalar::Literal(_) => false,
        Scalar::Aggregate(..) => true,
        Scalar::Arithmetic(left, _, right) => has_aggregate(left) || has_aggregate(right),
    }
}
