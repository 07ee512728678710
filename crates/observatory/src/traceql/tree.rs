//! A trace's spans and how they hang together.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::bind::{At, Bound};
use crate::traces::model::{SpanId, TraceId};

/// What Tempo calls a root that has not come (yet).
const NO_ROOT: &str = "<root span not yet received>";

/// All spans of one trace.
pub(super) struct Tree<'a> {
    pub(super) id: TraceId,
    pub(super) spans: Vec<At<'a>>,
    links: OnceCell<Links>,
}

/// Who is above whom, by index.
struct Links {
    parents: Vec<Option<usize>>,
    children: Vec<u32>,
    nested: Vec<Nested>,
}

/// A span's place when the tree is walked: a descendant's numbers lie between its ancestor's.
#[derive(Clone, Copy, Default)]
pub(super) struct Nested {
    pub(super) left: i64,
    pub(super) right: i64,
    /// The parent's left number; -1 for a root.
    pub(super) parent: i64,
}

impl<'a> Tree<'a> {
    pub(super) fn new(bound: &'a Bound<'a>, id: TraceId) -> Self {
        let spans = bound.stored().trace(id).iter().filter_map(|&number| bound.at(number)).collect();
        Self { id, spans, links: OnceCell::new() }
    }

    /// The earliest start of its spans.
    pub(super) fn start(&self) -> u64 {
        self.spans.iter().map(|at| at.span.start).min().unwrap_or(0)
    }

    /// The latest end of its spans.
    pub(super) fn end(&self) -> u64 {
        self.spans.iter().map(|at| at.span.end()).max().unwrap_or(0)
    }

    /// From the first start to the last end, in nanoseconds.
    pub(super) fn duration(&self) -> u64 {
        self.end().saturating_sub(self.start())
    }

    fn root(&self) -> Option<&At<'a>> {
        self.spans.iter().find(|at| at.span.parent == SpanId::default())
    }

    pub(super) fn root_name(&self) -> &'a str {
        self.root().map_or(NO_ROOT, |at| at.block.text(at.span.name))
    }

    pub(super) fn root_service(&self) -> &'a str {
        self.root().map_or(NO_ROOT, |at| at.block.service(at.span))
    }

    /// The span above, where it is here.
    pub(super) fn parent(&self, place: usize) -> Option<usize> {
        self.links().parents.get(place).copied().flatten()
    }

    /// How many spans are directly below.
    pub(super) fn child_count(&self, place: usize) -> u32 {
        self.links().children.get(place).copied().unwrap_or(0)
    }

    pub(super) fn nested(&self, place: usize) -> Nested {
        self.links().nested.get(place).copied().unwrap_or_default()
    }

    /// The spans above, nearest first.
    pub(super) fn ancestors(&self, place: usize) -> impl Iterator<Item = usize> {
        let up = std::iter::successors(self.parent(place), |&above| self.parent(above));
        // Spans that claim to be above each other must not be walked for ever.
        up.take(self.spans.len())
    }

    fn links(&self) -> &Links {
        self.links.get_or_init(|| Links::of(&self.spans))
    }
}

impl Links {
    fn of(spans: &[At<'_>]) -> Self {
        let places: HashMap<SpanId, usize> =
            spans.iter().enumerate().rev().map(|(place, at)| (at.span.id, place)).collect();
        let parents: Vec<Option<usize>> = spans
            .iter()
            .enumerate()
            .map(|(place, at)| places.get(&at.span.parent).copied().filter(|&parent| parent != place))
            .collect();
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
        for (place, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                below[*parent].push(place);
            }
        }
        let children = below.iter().map(|below| u32::try_from(below.len()).unwrap_or(u32::MAX)).collect();
        let roots = (0..spans.len()).filter(|&place| spans[place].span.parent == SpanId::default());
        let nested = number(&below, roots);
        Self { parents, children, nested }
    }
}

/// Numbers every span that hangs below a root; the others keep zeros, as in Tempo.
fn number(below: &[Vec<usize>], roots: impl Iterator<Item = usize>) -> Vec<Nested> {
    let mut nested = vec![Nested::default(); below.len()];
    let mut next = 1;
    for root in roots {
        nested[root].parent = -1;
        // What is still to be entered (`true`) or left.
        let mut stack = vec![(root, true)];
        while let Some((place, enters)) = stack.pop() {
            if !enters {
                nested[place].right = next;
                next += 1;
                continue;
            }
            nested[place].left = next;
            next += 1;
            stack.push((place, false));
            for &child in below[place].iter().rev() {
                if nested[child].left == 0 {
                    nested[child].parent = nested[place].left;
                    stack.push((child, true));
                }
            }
        }
    }
    nested
}
