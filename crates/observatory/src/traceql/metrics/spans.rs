//! The spans that are counted.

use super::series::Window;
use crate::traceql::ast::Query;
use crate::traceql::bind::Bound;
use crate::traceql::eval::Context;
use crate::traceql::narrow::{each, plain_filters};
use crate::traceql::pipeline;
use crate::traceql::search::{Bounds, candidates};
use crate::traceql::tree::Tree;

/// Calls `found` with every span that the pipeline leaves and that begins in the window.
pub(super) fn each_span(bound: &Bound<'_>, query: &Query, window: &Window, mut found: impl FnMut(&Context<'_>)) {
    let (from, to) = window.counted;
    if let Some(filters) = plain_filters(query) {
        for block in bound.blocks().iter().filter(|block| block.block.starts_within(from, to)) {
            each(block, &filters, (from, to), |context| found(&context));
        }
        return;
    }
    let bounds = Bounds { start: from, end: to, traces: usize::MAX, spans: 0, shortest: 0, longest: u64::MAX };
    for (_, id) in candidates(bound, query, &bounds) {
        let tree = Tree::new(bound, id);
        for set in pipeline::run(&query.pipeline, &tree) {
            let places = set.spans.into_iter().filter(|&place| (from..=to).contains(&tree.spans[place].span.start));
            for place in places {
                found(&Context { at: tree.spans[place], tree: Some((&tree, place)) });
            }
        }
    }
}
