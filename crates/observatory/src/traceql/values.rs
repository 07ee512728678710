//! Which values a field has.

use std::collections::HashSet;

use super::ast::{Expr, Field, Intrinsic, Query, SpansetExpr, Stage};
use super::bind::Bound;
use super::error::ParseError;
use super::eval::Context;
use super::narrow::{is_of_trace, narrow, needs_trace};
use super::tree::Tree;
use super::value::Literal;
use super::{parser, query};
use crate::traces::Stored;
use crate::traces::model::TraceId;

/// The values that a field has on the spans a filter holds for.
#[derive(Debug)]
pub struct FieldValues {
    query: Query,
}

impl FieldValues {
    /// Of the field with this name, on the spans that `filter` selects. A filter may be unfinished, as it is while somebody
    /// types: of its conditions those are taken that can be read.
    ///
    /// # Errors
    /// Where the name is none of a field.
    pub fn new(field: &str, filter: &str) -> Result<Self, ParseError> {
        let with = |filter: &str| query::parse(&format!("{filter} | select({field})"));
        let query = if filter.trim().is_empty() { None } else { with(filter).ok() };
        let query = match query {
            Some(query) if query.pipeline.len() == 2 => query,
            _ => with(&readable(filter))?,
        };
        Ok(Self { query })
    }

    fn field(&self) -> Option<&Field> {
        match self.query.pipeline.last() {
            Some(Stage::Select(fields)) => fields.first(),
            _ => None,
        }
    }

    fn filter(&self) -> Option<&Expr> {
        match self.query.pipeline.first() {
            Some(Stage::Spans(SpansetExpr::Filter(filter))) => Some(filter),
            _ => None,
        }
    }

    /// Whether the values are words of the language rather than what spans say.
    #[must_use]
    pub fn keywords(&self) -> Option<&'static [&'static str]> {
        match self.field()? {
            Field::Intrinsic(Intrinsic::Status) => Some(&["ok", "error", "unset"]),
            Field::Intrinsic(Intrinsic::Kind) => {
                Some(&["unspecified", "internal", "server", "client", "producer", "consumer"])
            }
            _ => None,
        }
    }

    /// Up to `most` different values on the spans of blocks that overlap the time given.
    #[must_use]
    pub fn find(&self, stored: &Stored, (from, to): (u64, u64), most: usize) -> Vec<Literal> {
        let (Some(field), Some(filter)) = (self.field(), self.filter()) else { return Vec::new() };
        let bound = Bound::new(stored, &self.query);
        let mut values = Values { seen: HashSet::new(), most };
        if is_of_trace(field) || needs_trace(filter) {
            let ids: HashSet<TraceId> = bound
                .blocks()
                .iter()
                .filter(|block| block.block.overlaps(from, to))
                .flat_map(|block| block.block.spans().iter().map(|span| span.trace))
                .collect();
            for id in ids {
                let tree = Tree::new(&bound, id);
                for (place, &at) in tree.spans.iter().enumerate() {
                    values.add(&Context { at, tree: Some((&tree, place)) }, filter, field);
                }
            }
        } else {
            for block in bound.blocks().iter().filter(|block| block.block.overlaps(from, to)) {
                for place in narrow(filter, block.block).places(block.block.spans().len()) {
                    if let Some(at) = block.at(place) {
                        values.add(&Context::span(at), filter, field);
                    }
                }
            }
        }
        values.seen.into_iter().collect()
    }
}

struct Values {
    seen: HashSet<Literal>,
    most: usize,
}

impl Values {
    fn add<'a>(&mut self, context: &Context<'a>, filter: &'a Expr, field: &'a Field) {
        if self.seen.len() >= self.most || !context.holds(filter) {
            return;
        }
        context.any_of(field, &mut |value| {
            match value.to_literal() {
                Literal::Nil => {}
                Literal::Array(items) => self.seen.extend(items),
                literal if !self.seen.contains(&literal) => drop(self.seen.insert(literal)),
                _ => {}
            }
            false
        });
    }
}

/// A filter of those conditions, between `&&`, that can be read by themselves.
fn readable(filter: &str) -> String {
    let inner = filter.trim().trim_start_matches('{').trim_end_matches('}');
    let whole = |condition: &&str| {
        let text = format!("{{{condition}}}");
        !condition.trim().is_empty() && parser::parse(&text).is_ok() && query::parse(&text).is_ok()
    };
    let conditions: Vec<&str> = inner.split("&&").filter(whole).collect();
    format!("{{{}}}", conditions.join("&&"))
}
