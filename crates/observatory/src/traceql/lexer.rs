//! Text to tokens.
//!
//! Words mean different things in different places: `rate` is a function and, behind `span.`, part of a name. So a scope
//! takes everything up to the end of the attribute's name with it, and becomes one token.

use std::fmt;

use super::ast::Scope;
use super::error::ParseError;

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A keyword, an operator or a bracket.
    Fixed(&'static str),
    /// A word that is no keyword.
    Word(String),
    /// A text between quotes, escapes resolved.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A duration, in nanoseconds.
    Duration(i64),
    /// A scope and the attribute's name behind it.
    Attribute {
        /// Where to look.
        scope: Scope,
        /// Whether the attribute is the parent span's.
        parent: bool,
        /// The name.
        name: String,
    },
    /// A scoped intrinsic, such as `span:id`.
    Scoped(&'static str, String),
    /// The end of the query.
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(text) => f.write_str(text),
            Self::Word(_) => f.write_str("IDENTIFIER"),
            Self::Text(_) => f.write_str("STRING"),
            Self::Int(_) => f.write_str("INTEGER"),
            Self::Float(_) => f.write_str("FLOAT"),
            Self::Duration(_) => f.write_str("DURATION"),
            Self::Attribute { scope, parent, .. } => {
                f.write_str(if *parent { "parent." } else { "" })?;
                f.write_str(scope.prefix())
            }
            Self::Scoped(scope, _) => f.write_str(scope),
            Self::End => f.write_str("$end"),
        }
    }
}

/// A token, and where it begins: characters from the start of the query, from 1.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Operators and brackets; of those that begin alike the longest comes first.
const SYMBOLS: &[&str] = &[
    "!>>", "!<<", "&>>", "&<<", "!=", "!~", "!>", "!<", "=~", ">=", "<=", ">>", "<<", "&&", "||", "&~", "&>", "&<",
    "{", "}", "(", ")", ",", "=", ">", "<", "+", "-", "/", "%", "*", "^", "!", "|", "~",
];

/// Words with a meaning of their own.
const KEYWORDS: &[&str] = &[
    "true",
    "false",
    "nil",
    "ok",
    "error",
    "unset",
    "unspecified",
    "internal",
    "server",
    "client",
    "producer",
    "consumer",
    "duration",
    "childCount",
    "name",
    "status",
    "statusMessage",
    "kind",
    "rootName",
    "rootServiceName",
    "rootService",
    "traceDuration",
    "nestedSetLeft",
    "nestedSetRight",
    "nestedSetParent",
    "parent",
    "count",
    "avg",
    "max",
    "min",
    "sum",
    "by",
    "coalesce",
    "select",
    "rate",
    "count_over_time",
    "min_over_time",
    "max_over_time",
    "avg_over_time",
    "sum_over_time",
    "quantile_over_time",
    "histogram_over_time",
    "compare",
    "topk",
    "bottomk",
    "with",
];

/// Scopes that are followed by an attribute's name.
const SCOPES: &[(&str, Scope, bool)] = &[
    ("parent.span.", Scope::Span, true),
    ("parent.resource.", Scope::Resource, true),
    ("parent.", Scope::Any, true),
    ("resource.", Scope::Resource, false),
    ("span.", Scope::Span, false),
    ("event.", Scope::Event, false),
    ("link.", Scope::Link, false),
    ("instrumentation.", Scope::Instrumentation, false),
];

/// Scopes that are followed by an intrinsic.
const COLONS: &[&str] = &["trace:", "span:", "event:", "link:", "instrumentation:"];

/// Splits a query into tokens, the end included.
pub(super) fn tokens(query: &str) -> Result<Vec<Placed>, ParseError> {
    let mut lexer = Lexer { rest: query, line: 1, column: 1 };
    let mut found = Vec::new();
    loop {
        lexer.skip_blank();
        let (line, column) = (lexer.line, lexer.column);
        let token = lexer.token()?;
        let done = token == Token::End;
        found.push(Placed { token, line, column });
        if done {
            return Ok(found);
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    column: usize,
}

impl<'a> Lexer<'a> {
    fn token(&mut self) -> Result<Token, ParseError> {
        let Some(first) = self.rest.chars().next() else { return Ok(Token::End) };
        if first == '"' || first == '`' {
            return self.quoted().map(Token::Text);
        }
        if starts_number(self.rest) {
            return self.number();
        }
        if first == '.' {
            self.take(1);
            let name = self.attribute_name()?;
            return Ok(Token::Attribute { scope: Scope::Any, parent: false, name });
        }
        if let Some(&symbol) = SYMBOLS.iter().find(|symbol| self.rest.starts_with(**symbol)) {
            self.take(symbol.len());
            return Ok(Token::Fixed(symbol));
        }
        if let Some(&(prefix, scope, parent)) = SCOPES.iter().find(|(prefix, ..)| self.rest.starts_with(prefix)) {
            self.take(prefix.len());
            let name = self.attribute_name()?;
            return Ok(Token::Attribute { scope, parent, name });
        }
        if let Some(&scope) = COLONS.iter().find(|scope| self.rest.starts_with(**scope)) {
            self.take(scope.len());
            return Ok(Token::Scoped(scope, self.word().to_owned()));
        }
        let word = self.word();
        if word.is_empty() {
            return Err(self.fault(format!("syntax error: unexpected character '{first}'")));
        }
        let keyword = KEYWORDS.iter().find(|keyword| **keyword == word);
        Ok(keyword.map_or_else(|| Token::Word(word.to_owned()), |keyword| Token::Fixed(keyword)))
    }

    /// Letters, digits and underscores.
    fn word(&mut self) -> &'a str {
        let length = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        self.take(length)
    }

    /// The name of an attribute: runs of what is no operator, and quoted parts.
    fn attribute_name(&mut self) -> Result<String, ParseError> {
        let mut name = String::new();
        loop {
            if self.rest.starts_with('"') {
                name.push_str(&self.quoted()?);
                continue;
            }
            let length = self.rest.find(|c| !is_attribute_char(c)).unwrap_or(self.rest.len());
            if length == 0 {
                break;
            }
            name.push_str(self.take(length));
        }
        if name.is_empty() {
            let found = self.rest.chars().next().map_or_else(|| "$end".to_owned(), String::from);
            return Err(self.fault(format!("syntax error: unexpected {found}, expecting an attribute's name")));
        }
        Ok(name)
    }

    fn quoted(&mut self) -> Result<String, ParseError> {
        let (line, column) = (self.line, self.column);
        let raw = self.rest.starts_with('`');
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        let quote = chars.next().map_or('"', |(_, quote)| quote);
        while let Some((at, found)) = chars.next() {
            if found == quote {
                self.take(at + quote.len_utf8());
                return Ok(text);
            }
            if found != '\\' || raw {
                text.push(found);
                continue;
            }
            match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, 'r')) => text.push('\r'),
                Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                // A regular expression's own escapes stay as they are.
                Some((_, other)) => text.extend(['\\', other]),
                None => break,
            }
        }
        Err(ParseError::new(line, column, "literal not terminated"))
    }

    fn number(&mut self) -> Result<Token, ParseError> {
        let (line, column) = (self.line, self.column);
        let length = number_length(self.rest);
        let text = self.take(length);
        let wrong = || ParseError::new(line, column, format!("not a number: {text}"));
        if text.bytes().any(|byte| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E')) || text.contains('µ') {
            return duration(text).map(Token::Duration).ok_or_else(wrong);
        }
        if text.contains(['.', 'e', 'E']) {
            return text.parse().map(Token::Float).map_err(|_| wrong());
        }
        text.parse().map(Token::Int).map_err(|_| wrong())
    }

    fn skip_blank(&mut self) {
        loop {
            let blank = self.rest.find(|c: char| !c.is_whitespace()).unwrap_or(self.rest.len());
            self.take(blank);
            if !self.rest.starts_with("//") {
                return;
            }
            let comment = self.rest.find('\n').unwrap_or(self.rest.len());
            self.take(comment);
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        for c in taken.chars() {
            (self.line, self.column) = if c == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
        }
        self.rest = rest;
        taken
    }

    fn fault(&self, what: String) -> ParseError {
        ParseError::new(self.line, self.column, what)
    }
}

fn is_attribute_char(c: char) -> bool {
    !c.is_whitespace()
        && !matches!(c, '{' | '}' | '(' | ')' | '=' | '~' | '!' | '<' | '>' | '&' | '|' | '^' | ',' | '"')
}

fn starts_number(text: &str) -> bool {
    let mut bytes = text.bytes();
    match bytes.next() {
        Some(b'.') => bytes.next().is_some_and(|next| next.is_ascii_digit()),
        Some(first) => first.is_ascii_digit(),
        None => false,
    }
}

/// How far a number or a duration goes: digits, points, units, and an exponent.
fn number_length(text: &str) -> usize {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let exponent_sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
        if !(c.is_ascii_alphanumeric() || matches!(c, '.' | 'µ') || exponent_sign) {
            return at;
        }
        before = c;
    }
    text.len()
}

/// Reads a duration such as `1h30m`, `1.5ms` or `2d`, in nanoseconds.
pub(crate) fn duration(text: &str) -> Option<i64> {
    /// The longer of two that begin alike first.
    const UNITS: &[(&str, f64)] = &[
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 60e9),
        ("h", 3600e9),
        ("d", 86_400e9),
        ("w", 604_800e9),
        ("y", 31_536_000e9),
    ];
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let count: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, nanos) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        total += count * nanos;
    }
    (!text.is_empty() && total < i64::MAX as f64).then(|| total.round() as i64)
}
