//! Which attributes there are.

use std::collections::BTreeSet;

use super::model::Attr;
use super::store::Stored;

/// Where an attribute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagScope {
    /// On the sender.
    Resource,
    /// On the span.
    Span,
    /// On an event.
    Event,
    /// On a link.
    Link,
    /// On the instrumentation.
    Instrumentation,
}

impl TagScope {
    /// All of them, in the order in which Tempo lists them.
    pub const ALL: [Self; 5] = [Self::Resource, Self::Span, Self::Event, Self::Link, Self::Instrumentation];

    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Span => "span",
            Self::Event => "event",
            Self::Link => "link",
            Self::Instrumentation => "instrumentation",
        }
    }
}

/// The names of all attributes of a scope, on spans of blocks that overlap the time given.
#[must_use]
pub fn tag_names(stored: &Stored, scope: TagScope, (from, to): (u64, u64)) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, block) in stored.blocks().filter(|(_, block)| block.overlaps(from, to)) {
        let mut keys = BTreeSet::new();
        let mut add = |attrs: &[Attr]| keys.extend(attrs.iter().map(|attr| attr.key));
        match scope {
            TagScope::Resource => block.resources().iter().for_each(|resource| add(&resource.attrs)),
            TagScope::Instrumentation => block.scopes().iter().for_each(|scope| add(&scope.attrs)),
            TagScope::Span => block.spans().iter().for_each(|span| add(&span.attrs)),
            TagScope::Event => {
                block.spans().iter().flat_map(|span| span.events()).for_each(|event| add(&event.attrs));
            }
            TagScope::Link => block.spans().iter().flat_map(|span| span.links()).for_each(|link| add(&link.attrs)),
        }
        names.extend(keys.into_iter().map(|key| block.text(key).to_owned()));
    }
    names
}
