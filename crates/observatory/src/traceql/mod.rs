//! TraceQL: the query language of Grafana Tempo, read and evaluated here.
//!
//! A query goes through the modules in this order: `lexer` and `parser` make an `ast` of it, `check` says whether it means
//! something, `bind` looks its names up in the store, `eval` reads and compares fields of one span, `pipeline` runs on one
//! trace. On top are the two things that can be asked: [`search`] for traces, and [`metrics`] for numbers over time.
//!
//! Semantics are Tempo's as measured, its traps included: an attribute is compared with a constant of its own type only (57
//! is not 57.0), a regular expression must match the whole text, `&&` and `||` bind alike, a comparison under `!` finds
//! nothing, and `by(…)` before a function over time does not split its series. In one thing we do better: quantiles are those of the values themselves, not
//! estimates from power-of-two buckets.

mod ast;
mod bind;
mod check;
mod error;
mod eval;
mod fetch;
mod lexer;
pub mod metrics;
mod narrow;
mod op;
mod parser;
mod pipeline;
mod query;
pub mod search;
mod tree;
pub(crate) mod value;
mod values;

pub use ast::{Query, Scope};
pub use error::ParseError;
pub(crate) use lexer::duration;
pub use query::parse;
pub use value::Literal;
pub use values::FieldValues;

#[cfg(test)]
mod tests;
