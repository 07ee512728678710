//! Tokens to a query, by recursive descent.
//!
//! Errors are worded as Tempo's: the position of the first token that cannot be, and what could have been where that is
//! short to say.

mod expr;
mod metrics;
mod scalar;

use super::ast::{Field, Intrinsic, Query, Relation, Scope, SpansetExpr, SpansetOp, Stage};
use super::error::ParseError;
use super::lexer::{Placed, Token, tokens};

/// Deepest nesting of parentheses and operators, so that no query can exhaust the stack.
const MAX_DEPTH: usize = 64;

/// Longest query, in bytes.
const MAX_BYTES: usize = 128 << 10;

/// Reads a query; whether it means anything is another question.
pub(super) fn parse(text: &str) -> Result<Query, ParseError> {
    if text.len() > MAX_BYTES {
        return Err(ParseError::whole(format!("query is longer than {MAX_BYTES} bytes")));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, names: Vec::new(), depth: 0 };
    let pipeline = parser.pipeline()?;
    let metrics = parser.metrics()?;
    let mut hints = Vec::new();
    while parser.skip("with") {
        hints.extend(parser.hints()?);
    }
    match parser.peek() {
        Token::End => Ok(Query { pipeline, metrics, names: parser.names, hints }),
        _ => Err(parser.unexpected(&[])),
    }
}

struct Parser {
    tokens: Vec<Placed>,
    at: usize,
    names: Vec<String>,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> &Token {
        self.tokens.get(self.at + ahead).map_or(&Token::End, |placed| &placed.token)
    }

    fn is(&self, fixed: &str) -> bool {
        matches!(self.peek(), Token::Fixed(found) if *found == fixed)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len());
        token
    }

    /// Takes the token where it is this one.
    fn skip(&mut self, fixed: &str) -> bool {
        let found = self.is(fixed);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, fixed: &'static str) -> Result<(), ParseError> {
        if self.skip(fixed) { Ok(()) } else { Err(self.unexpected(&[fixed])) }
    }

    /// The fault that the current token cannot be here.
    fn unexpected(&self, expected: &[&str]) -> ParseError {
        let (line, column) = self
            .tokens
            .get(self.at)
            .or_else(|| self.tokens.last())
            .map_or((1, 1), |placed| (placed.line, placed.column));
        let expecting =
            if expected.is_empty() { String::new() } else { format!(", expecting {}", expected.join(" or ")) };
        ParseError::new(line, column, format!("syntax error: unexpected {}{expecting}", self.peek()))
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        if self.depth >= MAX_DEPTH {
            return Err(ParseError::whole(format!("query is nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Stages between `|`, up to the end, a closing parenthesis, or a function over time, before which it stops.
    fn pipeline(&mut self) -> Result<Vec<Stage>, ParseError> {
        let mut stages = vec![self.stage()?];
        while self.is("|") && !metrics::is_function(self.peek_at(1)) {
            self.next();
            stages.push(self.stage()?);
        }
        Ok(stages)
    }

    fn stage(&mut self) -> Result<Stage, ParseError> {
        match self.peek() {
            Token::Fixed("by") => {
                self.next();
                self.expect("(")?;
                let by = self.expr()?;
                self.expect(")")?;
                Ok(Stage::By(by))
            }
            Token::Fixed("coalesce") => {
                self.next();
                self.expect("(")?;
                self.expect(")")?;
                Ok(Stage::Coalesce)
            }
            Token::Fixed("select") => {
                self.next();
                self.expect("(")?;
                Ok(Stage::Select(self.fields()?))
            }
            _ if self.opens_scalar() => self.scalar_filter().map(Stage::Scalar),
            _ => self.spanset(0).map(Stage::Spans),
        }
    }

    /// Whether, parentheses aside, a number or an aggregate comes first.
    fn opens_scalar(&self) -> bool {
        let first = (0..).map(|ahead| self.peek_at(ahead)).find(|token| !matches!(token, Token::Fixed("(")));
        first.is_some_and(|token| match token {
            Token::Int(_) | Token::Float(_) | Token::Duration(_) => true,
            Token::Fixed(word) => matches!(*word, "-" | "count" | "avg" | "min" | "max" | "sum"),
            _ => false,
        })
    }

    /// Selections of spans and their relations. `&&` and `||` bind alike and weaker than the others, as in Tempo.
    fn spanset(&mut self, strength: usize) -> Result<SpansetExpr, ParseError> {
        self.nested(|parser| {
            let mut left = parser.spanset_operand()?;
            while let Some((op, binding)) = spanset_op(parser.peek()) {
                if binding < strength {
                    break;
                }
                parser.next();
                let right = parser.spanset(binding + 1)?;
                left = SpansetExpr::Operation(Box::new(left), op, Box::new(right));
            }
            Ok(left)
        })
    }

    fn spanset_operand(&mut self) -> Result<SpansetExpr, ParseError> {
        if self.skip("{") {
            if self.skip("}") {
                return Ok(SpansetExpr::Filter(super::ast::Expr::Literal(super::value::Literal::Bool(true))));
            }
            let filter = self.expr()?;
            return if self.skip("}") { Ok(SpansetExpr::Filter(filter)) } else { Err(self.unexpected(&[])) };
        }
        if !self.skip("(") {
            return Err(self.unexpected(&[]));
        }
        let mut stages = self.pipeline()?;
        self.expect(")")?;
        match (stages.len(), stages.pop()) {
            (1, Some(Stage::Spans(inner))) => Ok(inner),
            (_, last) => {
                stages.extend(last);
                Ok(SpansetExpr::Pipeline(stages))
            }
        }
    }

    /// Fields between commas, and the closing parenthesis.
    fn fields(&mut self) -> Result<Vec<Field>, ParseError> {
        let mut fields = vec![self.field()?];
        loop {
            if self.skip(")") {
                return Ok(fields);
            }
            if !self.skip(",") {
                return Err(self.unexpected(&[")", ","]));
            }
            fields.push(self.field()?);
        }
    }

    /// An attribute or an intrinsic.
    fn field(&mut self) -> Result<Field, ParseError> {
        let field = match self.peek() {
            Token::Attribute { parent: true, .. } | Token::Fixed("parent") => {
                return Err(ParseError::whole("parent is not supported: use the structural operator > instead"));
            }
            Token::Attribute { scope, name, .. } => {
                let (scope, name) = (*scope, name.clone());
                self.attribute(scope, name)
            }
            Token::Scoped(scope, name) => {
                let Some(intrinsic) = Intrinsic::find(&format!("{scope}{name}")) else {
                    return Err(self.unexpected(&[]));
                };
                Field::Intrinsic(intrinsic)
            }
            Token::Fixed(word) => match Intrinsic::find(word) {
                Some(intrinsic) => Field::Intrinsic(intrinsic),
                None => return Err(self.unexpected(&[])),
            },
            _ => return Err(self.unexpected(&[])),
        };
        self.next();
        Ok(field)
    }

    fn attribute(&mut self, scope: Scope, name: String) -> Field {
        let slot = self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.names.push(name.clone());
            self.names.len() - 1
        });
        Field::Attribute { scope, name, slot }
    }
}

fn spanset_op(token: &Token) -> Option<(SpansetOp, usize)> {
    let Token::Fixed(symbol) = token else { return None };
    let structural = |relation, negated, union| Some((SpansetOp::Structural { relation, negated, union }, 2));
    match *symbol {
        "&&" => Some((SpansetOp::And, 1)),
        "||" => Some((SpansetOp::Or, 1)),
        ">" => structural(Relation::Child, false, false),
        "<" => structural(Relation::Parent, false, false),
        ">>" => structural(Relation::Descendant, false, false),
        "<<" => structural(Relation::Ancestor, false, false),
        "~" => structural(Relation::Sibling, false, false),
        "!>" => structural(Relation::Child, true, false),
        "!<" => structural(Relation::Parent, true, false),
        "!>>" => structural(Relation::Descendant, true, false),
        "!<<" => structural(Relation::Ancestor, true, false),
        "!~" => structural(Relation::Sibling, true, false),
        "&>" => structural(Relation::Child, false, true),
        "&<" => structural(Relation::Parent, false, true),
        "&>>" => structural(Relation::Descendant, false, true),
        "&<<" => structural(Relation::Ancestor, false, true),
        "&~" => structural(Relation::Sibling, false, true),
        _ => None,
    }
}
