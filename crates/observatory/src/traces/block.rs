//! A run of spans in the order of their arrival, with everything that they refer to: texts, resources, scopes and indexes.
//!
//! A block knows nothing of other blocks. It can so be dropped whole, with every text that only its spans used: no text
//! outlives the last span that carries it, whatever values clients think of, and no reference count says so.

use std::collections::HashMap;
use std::mem::size_of;
use std::sync::Arc;

use super::model::{Attr, Extra, Rare, Resource, Scope, Span, Stored, Sym};

/// Spans a block holds at most. Small enough that dropping the oldest one forgets little, large enough that its own copy of
/// the common texts costs little.
pub const BLOCK_SPANS: usize = 1024;

/// Texts that stay in memory once per block.
#[derive(Debug, Default)]
pub struct Strings {
    texts: Vec<Arc<str>>,
    known: HashMap<Arc<str>, Sym>,
    bytes: usize,
}

impl Strings {
    /// The symbol of `text`, which is added where it is new.
    pub fn intern(&mut self, text: &str) -> Sym {
        if let Some(&known) = self.known.get(text) {
            return known;
        }
        let sym = Sym(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        let shared: Arc<str> = Arc::from(text);
        // The text with its two counts, two pointers to it, its symbol, and the table's slack.
        self.bytes += text.len() + 2 * size_of::<usize>() + 3 * size_of::<Arc<str>>() + size_of::<u64>();
        self.texts.push(Arc::clone(&shared));
        self.known.insert(shared, sym);
        sym
    }

    /// The symbol of `text`, where some span uses it.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<Sym> {
        self.known.get(text).copied()
    }

    /// The text of a symbol.
    #[must_use]
    pub fn get(&self, sym: Sym) -> &str {
        self.texts.get(sym.0 as usize).map_or("", |text| text)
    }
}

/// A run of spans and what they refer to.
#[derive(Debug, Default)]
pub struct Block {
    strings: Strings,
    resources: Vec<Resource>,
    scopes: Vec<Scope>,
    spans: Vec<Span>,
    by_name: HashMap<Sym, Vec<u16>>,
    by_service: HashMap<Sym, Vec<u16>>,
    first_start: u64,
    last_start: u64,
    last_end: u64,
    bytes: usize,
}

impl Block {
    /// Its texts.
    #[must_use]
    pub fn strings(&self) -> &Strings {
        &self.strings
    }

    /// Its texts, to be added to.
    pub fn strings_mut(&mut self) -> &mut Strings {
        &mut self.strings
    }

    /// The text of a symbol.
    #[must_use]
    pub fn text(&self, sym: Sym) -> &str {
        self.strings.get(sym)
    }

    /// Its spans, in the order of their arrival.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Everyone who sent a span of it.
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// Every instrumentation that made a span of it.
    #[must_use]
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// Who sent a span.
    #[must_use]
    pub fn resource(&self, span: &Span) -> Option<&Resource> {
        self.resources.get(span.resource as usize)
    }

    /// The instrumentation that made a span.
    #[must_use]
    pub fn scope(&self, span: &Span) -> Option<&Scope> {
        self.scopes.get(span.scope as usize)
    }

    /// The service of a span; empty where its resource names none.
    #[must_use]
    pub fn service(&self, span: &Span) -> &str {
        self.resource(span).and_then(|resource| resource.service).map_or("", |service| self.text(service))
    }

    /// The spans with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> &[u16] {
        self.strings.find(name).and_then(|name| self.by_name.get(&name)).map_or(&[], Vec::as_slice)
    }

    /// The spans of this service.
    #[must_use]
    pub fn of_service(&self, service: &str) -> &[u16] {
        self.strings.find(service).and_then(|service| self.by_service.get(&service)).map_or(&[], Vec::as_slice)
    }

    /// Whether a span of it may begin between `from` and `to`, both included.
    #[must_use]
    pub fn starts_within(&self, from: u64, to: u64) -> bool {
        !self.spans.is_empty() && self.first_start <= to && self.last_start >= from
    }

    /// Whether a span of it may overlap the time between `from` and `to`.
    #[must_use]
    pub fn overlaps(&self, from: u64, to: u64) -> bool {
        !self.spans.is_empty() && self.first_start <= to && self.last_end >= from
    }

    /// The latest end of its spans.
    #[must_use]
    pub fn last_end(&self) -> u64 {
        self.last_end
    }

    /// Whether no further span fits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.spans.len() >= BLOCK_SPANS
    }

    /// What it takes up in memory, by the sizes of its parts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.strings.bytes
    }

    /// Adds a resource and returns its index. One that was added lately is not added again: exporters name theirs with
    /// every few spans.
    pub fn add_resource(&mut self, resource: Resource) -> u32 {
        if let Some(known) = recent(&self.resources, &resource) {
            return known;
        }
        self.bytes += size_of::<Resource>() + attrs_bytes(&resource.attrs);
        self.resources.push(resource);
        index(self.resources.len())
    }

    /// Adds a scope, likewise, and returns its index.
    pub fn add_scope(&mut self, scope: Scope) -> u32 {
        if let Some(known) = recent(&self.scopes, &scope) {
            return known;
        }
        self.bytes += size_of::<Scope>() + attrs_bytes(&scope.attrs);
        self.scopes.push(scope);
        index(self.scopes.len())
    }

    /// Adds a span, whose symbols and indexes must be of this block.
    pub fn push(&mut self, span: Span) {
        debug_assert!(!self.is_full(), "a full block takes no span");
        let place = u16::try_from(self.spans.len()).unwrap_or(u16::MAX);
        self.by_name.entry(span.name).or_default().push(place);
        if let Some(service) = self.resource(&span).and_then(|resource| resource.service) {
            self.by_service.entry(service).or_default().push(place);
        }
        self.first_start = if self.spans.is_empty() { span.start } else { self.first_start.min(span.start) };
        self.last_start = self.last_start.max(span.start);
        self.last_end = self.last_end.max(span.end());
        self.bytes += span_bytes(&span);
        self.spans.push(span);
    }
}

/// The index of an equal item among the latest few.
fn recent<T: PartialEq>(items: &[T], wanted: &T) -> Option<u32> {
    const LATEST: usize = 32;
    let from = items.len().saturating_sub(LATEST);
    items[from..].iter().position(|item| item == wanted).map(|place| index(from + place + 1))
}

/// The index of the last of `len` items.
fn index(len: usize) -> u32 {
    u32::try_from(len.saturating_sub(1)).unwrap_or(u32::MAX)
}

/// A span with what hangs from it, and its places in the two indexes.
fn span_bytes(span: &Span) -> usize {
    let extra = span.extra.as_deref().map_or(0, extra_bytes);
    size_of::<Span>() + attrs_bytes(&span.attrs) + extra + 2 * size_of::<u16>()
}

fn extra_bytes(extra: &Extra) -> usize {
    let events: usize = extra.events.iter().map(|event| size_of_val(event) + attrs_bytes(&event.attrs)).sum();
    let links: usize = extra.links.iter().map(|link| size_of_val(link) + attrs_bytes(&link.attrs)).sum();
    size_of::<Extra>() + events + links + extra.trace_state.len()
}

fn attrs_bytes(attrs: &[Attr]) -> usize {
    size_of_val(attrs) + attrs.iter().map(|attr| stored_bytes(&attr.value)).sum::<usize>()
}

fn stored_bytes(value: &Stored) -> usize {
    let Stored::Other(rare) = value else { return 0 };
    let held = match rare.as_ref() {
        Rare::Empty => 0,
        Rare::Array(items) => size_of_val(items.as_slice()) + items.iter().map(stored_bytes).sum::<usize>(),
        Rare::Map(attrs) => attrs_bytes(attrs),
        Rare::Bytes(bytes) => bytes.len(),
    };
    size_of::<Rare>() + held
}
