//! What is wrong with a query.

use std::fmt;

/// A query that cannot be understood, and where. Lines and columns count characters, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    line: usize,
    column: usize,
    what: String,
}

impl ParseError {
    pub(super) fn new(line: usize, column: usize, what: impl Into<String>) -> Self {
        Self { line, column, what: what.into() }
    }

    /// A query that reads well and means nothing; line 0 stands for the whole of it.
    pub(super) fn whole(what: impl Into<String>) -> Self {
        Self::new(0, 0, what)
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "parse error at line {line}, col {}: {}", self.column, self.what),
        }
    }
}

impl std::error::Error for ParseError {}
