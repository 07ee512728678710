//! Expressions over the fields of a span.

use super::Parser;
use crate::traceql::ast::{Expr, Op, Pattern};
use crate::traceql::error::ParseError;
use crate::traceql::lexer::Token;
use crate::traceql::value::Literal;
use crate::traces::model::{Kind, Status};

/// What stands between two operands.
#[derive(Clone, Copy)]
enum Infix {
    Op(Op),
    Match { negated: bool },
}

/// How strongly operators bind. `&&` and `||` bind alike, as in Tempo.
mod strength {
    pub(super) const LOGIC: usize = 1;
    pub(super) const COMPARISON: usize = 2;
    pub(super) const SUM: usize = 3;
    pub(super) const NOT: usize = 4;
    pub(super) const PRODUCT: usize = 5;
    pub(super) const POWER: usize = 6;
}

impl Parser {
    pub(super) fn expr(&mut self) -> Result<Expr, ParseError> {
        self.expr_of(0)
    }

    /// An expression of operators that bind at least as strongly as `least`.
    fn expr_of(&mut self, least: usize) -> Result<Expr, ParseError> {
        self.nested(|parser| {
            let mut left = parser.prefix()?;
            while let Some((infix, binding)) = infix(parser.peek()) {
                if binding < least {
                    break;
                }
                parser.next();
                left = parser.infix(left, infix, binding)?;
            }
            Ok(left)
        })
    }

    fn infix(&mut self, left: Expr, infix: Infix, binding: usize) -> Result<Expr, ParseError> {
        let op = match infix {
            Infix::Match { negated } => return self.pattern(left, negated),
            Infix::Op(op) => op,
        };
        if matches!(op, Op::Equal | Op::NotEqual) && self.skip("nil") {
            return Ok(Expr::Exists(Box::new(left), op == Op::NotEqual));
        }
        // A power is of the power to its right; all others go from left to right.
        let right = self.expr_of(if op == Op::Power { binding } else { binding + 1 })?;
        Ok(Expr::Binary(Box::new(left), op, Box::new(right)))
    }

    fn pattern(&mut self, subject: Expr, negated: bool) -> Result<Expr, ParseError> {
        let Token::Text(text) = self.peek() else {
            let sign = if negated { "!~" } else { "=~" };
            return Err(ParseError::whole(format!("invalid type for {sign}: a text is needed, not {}", self.peek())));
        };
        let text = text.clone();
        self.next();
        // The whole text must match, as in Tempo.
        let anchored = format!("^(?:{text})$");
        let regex = regex::RegexBuilder::new(&anchored)
            .size_limit(1 << 20)
            .build()
            .map_err(|error| ParseError::whole(format!("invalid regex: {text}: {}", brief(&error))))?;
        Ok(Expr::Match { subject: Box::new(subject), pattern: Pattern { text, regex }, negated })
    }

    fn prefix(&mut self) -> Result<Expr, ParseError> {
        if self.skip("-") {
            return Ok(negative(self.expr_of(strength::NOT)?));
        }
        if self.skip("!") {
            return Ok(Expr::Not(Box::new(self.expr_of(strength::PRODUCT)?)));
        }
        if self.skip("(") {
            let inner = self.expr()?;
            return if self.skip(")") { Ok(inner) } else { Err(self.unexpected(&[])) };
        }
        if self.skip("nil") {
            return self.after_nil();
        }
        if let Some(literal) = literal(self.peek()) {
            self.next();
            return Ok(Expr::Literal(literal));
        }
        if let Token::Word(word) = self.peek() {
            return Err(self.unexpected_word(&word.clone()));
        }
        self.field().map(Expr::Field)
    }

    /// `nil = x` and `nil != x`.
    fn after_nil(&mut self) -> Result<Expr, ParseError> {
        let exists = match self.peek() {
            Token::Fixed("!=") => true,
            Token::Fixed("=") => false,
            _ => return Err(self.unexpected(&["=", "!="])),
        };
        self.next();
        if self.skip("nil") {
            return Ok(Expr::Literal(Literal::Bool(false)));
        }
        Ok(Expr::Exists(Box::new(self.expr_of(strength::SUM)?), exists))
    }

    fn unexpected_word(&self, word: &str) -> ParseError {
        let (line, column) = self.tokens.get(self.at).map_or((1, 1), |placed| (placed.line, placed.column));
        ParseError::new(line, column, format!("unknown identifier: {word}"))
    }
}

/// A constant.
pub(super) fn literal(token: &Token) -> Option<Literal> {
    Some(match token {
        Token::Text(text) => Literal::Text(text.clone()),
        Token::Int(number) => Literal::Int(*number),
        Token::Float(number) => Literal::Float(*number),
        Token::Duration(nanos) => Literal::Duration(*nanos),
        Token::Fixed(word) => match *word {
            "true" => Literal::Bool(true),
            "false" => Literal::Bool(false),
            "ok" => Literal::Status(Status::Ok),
            "error" => Literal::Status(Status::Error),
            "unset" => Literal::Status(Status::Unset),
            "unspecified" => Literal::Kind(Kind::Unspecified),
            "internal" => Literal::Kind(Kind::Internal),
            "server" => Literal::Kind(Kind::Server),
            "client" => Literal::Kind(Kind::Client),
            "producer" => Literal::Kind(Kind::Producer),
            "consumer" => Literal::Kind(Kind::Consumer),
            _ => return None,
        },
        Token::Word(word) if word == "minInt" => Literal::Int(i64::MIN),
        Token::Word(word) if word == "maxInt" => Literal::Int(i64::MAX),
        _ => return None,
    })
}

/// A negative number is a constant like any other.
fn negative(of: Expr) -> Expr {
    match of {
        Expr::Literal(literal @ (Literal::Int(_) | Literal::Float(_) | Literal::Duration(_))) => {
            Expr::Literal(literal.value().negative().to_literal())
        }
        other => Expr::Negative(Box::new(other)),
    }
}

fn infix(token: &Token) -> Option<(Infix, usize)> {
    let Token::Fixed(symbol) = token else { return None };
    let (op, binding) = match *symbol {
        "=~" => return Some((Infix::Match { negated: false }, strength::COMPARISON)),
        "!~" => return Some((Infix::Match { negated: true }, strength::COMPARISON)),
        "&&" => (Op::And, strength::LOGIC),
        "||" => (Op::Or, strength::LOGIC),
        "+" => (Op::Add, strength::SUM),
        "-" => (Op::Subtract, strength::SUM),
        "*" => (Op::Multiply, strength::PRODUCT),
        "/" => (Op::Divide, strength::PRODUCT),
        "%" => (Op::Modulo, strength::PRODUCT),
        "^" => (Op::Power, strength::POWER),
        other => (comparison(other)?, strength::COMPARISON),
    };
    Some((Infix::Op(op), binding))
}

/// A comparison by its symbol.
pub(super) fn comparison(symbol: &str) -> Option<Op> {
    Some(match symbol {
        "=" => Op::Equal,
        "!=" => Op::NotEqual,
        "<" => Op::Less,
        "<=" => Op::LessEqual,
        ">" => Op::Greater,
        ">=" => Op::GreaterEqual,
        _ => return None,
    })
}

/// The last line of the regex crate's drawing, which says what is wrong.
fn brief(error: &regex::Error) -> String {
    error.to_string().lines().last().unwrap_or_default().trim().to_owned()
}
