//! From a text to a query that means something.

use super::ast::Query;
use super::error::ParseError;
use super::{check, fetch, parser};

/// Reads a query and checks that it means something.
///
/// # Errors
/// Where it does not, with the position of the first token that cannot be.
pub fn parse(text: &str) -> Result<Query, ParseError> {
    let mut query = parser::parse(text)?;
    check::check(&query)?;
    fetch::keep_trap(&mut query);
    Ok(query)
}
