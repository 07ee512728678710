//! Functions over time, what is done to their series, and hints.

use super::Parser;
use super::expr::{comparison, literal};
use super::scalar::number;
use crate::traceql::ast::{Field, Function, Metrics, SecondStage, SpansetExpr};
use crate::traceql::error::ParseError;
use crate::traceql::lexer::Token;
use crate::traceql::value::Literal;

/// Whether a function over time begins here.
pub(super) fn is_function(token: &Token) -> bool {
    matches!(token, Token::Fixed(word) if matches!(
        *word,
        "rate" | "count_over_time" | "min_over_time" | "max_over_time" | "avg_over_time" | "sum_over_time"
            | "quantile_over_time" | "histogram_over_time" | "compare"
    ))
}

impl Parser {
    /// The function over time, where there is one.
    pub(super) fn metrics(&mut self) -> Result<Option<Metrics>, ParseError> {
        if !self.skip("|") {
            return Ok(None);
        }
        let function = self.function()?;
        let mut by = Vec::new();
        if !matches!(function, Function::Compare { .. }) && self.skip("by") {
            self.expect("(")?;
            by = self.fields()?;
        }
        let mut then = Vec::new();
        while let Some(stage) = self.second_stage()? {
            then.push(stage);
        }
        Ok(Some(Metrics { function, by, then }))
    }

    fn function(&mut self) -> Result<Function, ParseError> {
        let Token::Fixed(word) = self.next() else {
            self.at -= 1;
            return Err(self.unexpected(&[]));
        };
        self.expect("(")?;
        let function = match word {
            "rate" => Function::Rate,
            "count_over_time" => Function::Count,
            "compare" => return self.compare(),
            _ => {
                let field = self.field()?;
                self.function_of(word, field)?
            }
        };
        self.expect(")")?;
        Ok(function)
    }

    fn function_of(&mut self, word: &str, field: Field) -> Result<Function, ParseError> {
        Ok(match word {
            "min_over_time" => Function::Min(field),
            "max_over_time" => Function::Max(field),
            "avg_over_time" => Function::Avg(field),
            "sum_over_time" => Function::Sum(field),
            "histogram_over_time" => Function::Histogram(field),
            _ => {
                self.expect(",")?;
                let mut quantiles = vec![self.quantile()?];
                while self.skip(",") {
                    quantiles.push(self.quantile()?);
                }
                Function::Quantile(field, quantiles)
            }
        })
    }

    fn quantile(&mut self) -> Result<f64, ParseError> {
        let quantile = match self.peek() {
            Token::Int(number) => *number as f64,
            Token::Float(number) => *number,
            _ => return Err(self.unexpected(&["FLOAT", "INTEGER"])),
        };
        if !(0.0..=1.0).contains(&quantile) {
            return Err(ParseError::whole(format!("quantile must be between 0 and 1: {quantile}")));
        }
        self.next();
        Ok(quantile)
    }

    /// `compare({…}, n, from, to)`, behind its opening parenthesis.
    fn compare(&mut self) -> Result<Function, ParseError> {
        let SpansetExpr::Filter(selection) = self.spanset_operand()? else {
            return Err(ParseError::whole("compare() needs one selection in braces"));
        };
        let mut numbers = Vec::new();
        while self.skip(",") {
            let Token::Int(number) = self.peek() else { return Err(self.unexpected(&["INTEGER"])) };
            numbers.push(*number);
            self.next();
        }
        self.expect(")")?;
        let positive = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
        let wrong =
            || ParseError::whole("compare() takes a positive number of values, then a start and an end in nanoseconds");
        let (top, window) = match numbers[..] {
            [] => (Some(10), None),
            [top] => (positive(top), None),
            [top, from, to] => {
                (positive(top), Some((positive(from).ok_or_else(wrong)?, positive(to).ok_or_else(wrong)?)))
            }
            _ => return Err(wrong()),
        };
        let top = top.and_then(|top| usize::try_from(top).ok()).ok_or_else(wrong)?;
        Ok(Function::Compare { selection: Box::new(selection), top, window })
    }

    fn second_stage(&mut self) -> Result<Option<SecondStage>, ParseError> {
        if self.skip("|") {
            let top = match self.peek() {
                Token::Fixed("topk") => true,
                Token::Fixed("bottomk") => false,
                _ => return Err(self.unexpected(&["topk", "bottomk"])),
            };
            self.next();
            self.expect("(")?;
            let count = match self.peek() {
                Token::Int(count) => usize::try_from(*count).ok().filter(|count| *count > 0),
                _ => return Err(self.unexpected(&["INTEGER"])),
            };
            let count = count.ok_or_else(|| ParseError::whole("topk() and bottomk() need a number greater than 0"))?;
            self.next();
            self.expect(")")?;
            return Ok(Some(if top { SecondStage::Top(count) } else { SecondStage::Bottom(count) }));
        }
        let op = match self.peek() {
            Token::Fixed(symbol) => comparison(symbol),
            _ => None,
        };
        let Some(op) = op else { return Ok(None) };
        self.next();
        let negative = self.skip("-");
        let bound = number(self.peek()).and_then(|number| number.value().sample());
        let Some(bound) = bound else { return Err(self.unexpected(&["INTEGER", "FLOAT", "DURATION"])) };
        self.next();
        Ok(Some(SecondStage::Filter(op, if negative { -bound } else { bound })))
    }

    /// `(name=value, …)`, behind `with`.
    pub(super) fn hints(&mut self) -> Result<Vec<(String, Literal)>, ParseError> {
        self.expect("(")?;
        let mut hints = Vec::new();
        loop {
            let Token::Word(name) = self.peek().clone() else { return Err(self.unexpected(&["IDENTIFIER"])) };
            self.next();
            self.expect("=")?;
            let Some(value) = literal(self.peek()) else { return Err(self.unexpected(&[])) };
            self.next();
            hints.push((name, value));
            if self.skip(")") {
                return Ok(hints);
            }
            if !self.skip(",") {
                return Err(self.unexpected(&[")", ","]));
            }
        }
    }
}
