//! Which traces a query finds.

use std::collections::{BTreeMap, HashSet};

use super::ast::{Field, Intrinsic, Query};
use super::bind::Bound;
use super::eval::Context;
use super::narrow::{Narrowed, Shown, entrances, may_hold, narrow, shown};
use super::pipeline::{self, Spanset};
use super::tree::Tree;
use super::value::Literal;
use crate::traces::Stored;
use crate::traces::model::{SpanId, Status, TraceId};

/// What a search is limited to. Times are nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Traces that end before this are left out.
    pub start: u64,
    /// Traces that begin after this are left out.
    pub end: u64,
    /// Most traces.
    pub traces: usize,
    /// Most spans shown of each spanset.
    pub spans: usize,
    /// Shortest trace, in nanoseconds.
    pub shortest: u64,
    /// Longest trace, in nanoseconds.
    pub longest: u64,
}

/// What a search found, and what it cost.
#[derive(Debug, Default)]
pub struct Found {
    /// Newest first.
    pub traces: Vec<FoundTrace>,
    /// Traces that were looked at.
    pub inspected: usize,
}

/// A trace and those of its spans that were asked for.
#[derive(Debug)]
pub struct FoundTrace {
    /// Which trace.
    pub id: TraceId,
    /// The service of its root.
    pub root_service: String,
    /// The name of its root.
    pub root_name: String,
    /// The earliest start of its spans.
    pub start: u64,
    /// From there to the latest end, in nanoseconds.
    pub duration: u64,
    /// The spans, one set per group.
    pub sets: Vec<FoundSet>,
    /// Spans and failed spans of the whole trace, by service.
    pub services: BTreeMap<String, (u32, u32)>,
}

/// Spans that belong together.
#[derive(Debug)]
pub struct FoundSet {
    /// The first few of them.
    pub spans: Vec<FoundSpan>,
    /// How many there are.
    pub matched: usize,
    /// What was computed of them.
    pub attrs: Vec<(String, Literal)>,
}

/// A span, and what the query mentions of it.
#[derive(Debug)]
pub struct FoundSpan {
    /// Which span.
    pub id: SpanId,
    /// Its name, where the query mentions that.
    pub name: Option<String>,
    /// When it began.
    pub start: u64,
    /// How long it took.
    pub duration: u64,
    /// Its attributes, where the query mentions them.
    pub attrs: Vec<(String, Literal)>,
}

/// Searches; of more traces than asked for, the newest are taken.
#[must_use]
pub fn search(stored: &Stored, query: &Query, bounds: &Bounds) -> Found {
    let bound = Bound::new(stored, query);
    let fields = shown(query);
    let mut found = Found::default();
    for (_, id) in candidates(&bound, query, bounds) {
        if found.traces.len() >= bounds.traces {
            break;
        }
        found.inspected += 1;
        let tree = Tree::new(&bound, id);
        let sets = pipeline::run(&query.pipeline, &tree);
        if !sets.is_empty() {
            found.traces.push(describe(&tree, &sets, &fields, bounds.spans));
        }
    }
    found
}

/// Traces that may have something, newest first, each with its start.
pub(super) fn candidates(bound: &Bound<'_>, query: &Query, bounds: &Bounds) -> Vec<(u64, TraceId)> {
    let mut ids = HashSet::new();
    let filters = entrances(&query.pipeline);
    for block in bound.blocks().iter().filter(|block| block.block.overlaps(bounds.start, bounds.end)) {
        let Some(filters) = &filters else {
            ids.extend(block.block.spans().iter().map(|span| span.trace));
            continue;
        };
        for filter in filters {
            let places: Narrowed<'_> = narrow(filter, block.block);
            for at in places.places(block.block.spans().len()).filter_map(|place| block.at(place)) {
                if !ids.contains(&at.span.trace) && may_hold(&Context::span(at), filter) {
                    ids.insert(at.span.trace);
                }
            }
        }
    }
    let mut traces: Vec<(u64, TraceId)> =
        ids.into_iter().filter_map(|id| Some((start_within(bound.stored(), id, bounds)?, id))).collect();
    traces.sort_unstable_by(|a, b| b.cmp(a));
    traces
}

/// When the trace began; `None` where it lies outside the bounds.
fn start_within(stored: &Stored, id: TraceId, bounds: &Bounds) -> Option<u64> {
    let times = stored.trace(id).iter().filter_map(|&number| stored.span(number));
    let (start, end) = times
        .map(|(_, span)| (span.start, span.end()))
        .reduce(|(start, end), (next_start, next_end)| (start.min(next_start), end.max(next_end)))?;
    let within = start <= bounds.end && end >= bounds.start;
    (within && (bounds.shortest..=bounds.longest).contains(&(end - start))).then_some(start)
}

fn describe<'a>(tree: &'a Tree<'a>, sets: &[Spanset], fields: &[Shown<'a>], most: usize) -> FoundTrace {
    let mut services = BTreeMap::<String, (u32, u32)>::new();
    for at in &tree.spans {
        let counts = services.entry(at.block.service(at.span).to_owned()).or_default();
        counts.0 += 1;
        counts.1 += u32::from(at.span.status == Status::Error);
    }
    let sets = sets.iter().map(|set| FoundSet {
        spans: set.spans.iter().take(most).map(|&place| describe_span(tree, place, fields)).collect(),
        matched: set.spans.len(),
        attrs: set.attrs.clone(),
    });
    FoundTrace {
        id: tree.id,
        root_service: tree.root_service().to_owned(),
        root_name: tree.root_name().to_owned(),
        start: tree.start(),
        duration: tree.duration(),
        sets: sets.collect(),
        services,
    }
}

fn describe_span<'a>(tree: &'a Tree<'a>, place: usize, fields: &[Shown<'a>]) -> FoundSpan {
    let at = tree.spans[place];
    let context = Context { at, tree: Some((tree, place)) };
    let mut name = None;
    let mut attrs = Vec::new();
    for shown in fields.iter().filter(|shown| shown.applies(&context)) {
        let key = match shown.field {
            Field::Intrinsic(Intrinsic::Name) => {
                name = Some(at.block.text(at.span.name).to_owned());
                continue;
            }
            // What every answer shows already.
            Field::Intrinsic(
                Intrinsic::Duration
                | Intrinsic::TraceDuration
                | Intrinsic::RootName
                | Intrinsic::RootService
                | Intrinsic::TraceId
                | Intrinsic::SpanId,
            ) => continue,
            Field::Intrinsic(intrinsic) => intrinsic.as_str(),
            Field::Attribute { name, .. } => name,
        };
        let value = context.field(shown.field);
        if !value.is_nil() && !attrs.iter().any(|(known, _)| known == key) {
            attrs.push((key.to_owned(), value.to_literal()));
        }
    }
    FoundSpan { id: at.span.id, name, start: at.span.start, duration: at.span.duration, attrs }
}
