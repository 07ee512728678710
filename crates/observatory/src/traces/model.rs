//! What the store keeps of a span: fixed fields by value, every text as a [`Sym`] of its block.

use std::fmt;

/// A text, by its place in the string table of the block that holds the span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sym(pub(super) u32);

/// One attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct Attr {
    /// Its key.
    pub key: Sym,
    /// Its value.
    pub value: Stored,
}

/// An attribute's value at rest.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// A text.
    Text(Sym),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// What is rarer, behind a pointer.
    Other(Box<Rare>),
}

/// Values that spans seldom carry.
#[derive(Clone, Debug, PartialEq)]
pub enum Rare {
    /// No value at all; the key is there nevertheless.
    Empty,
    /// A list.
    Array(Vec<Stored>),
    /// A map.
    Map(Vec<Attr>),
    /// Raw bytes.
    Bytes(Vec<u8>),
}

/// How a span ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Nobody said.
    #[default]
    Unset,
    /// Said to be well.
    Ok,
    /// Said to have failed.
    Error,
}

impl Status {
    /// By OTLP's number; an unknown one counts as unset.
    #[must_use]
    pub fn from_otlp(code: i32) -> Self {
        match code {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }

    /// As TraceQL spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

/// Which side of a call a span stands on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Nobody said.
    #[default]
    Unspecified,
    /// Inside a process.
    Internal,
    /// The called side.
    Server,
    /// The calling side.
    Client,
    /// Puts into a queue.
    Producer,
    /// Takes from a queue.
    Consumer,
}

impl Kind {
    /// By OTLP's number; an unknown one counts as unspecified.
    #[must_use]
    pub fn from_otlp(kind: i32) -> Self {
        match kind {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    /// As TraceQL spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// A trace's identity. Shown as Tempo shows it: hexadecimal without leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub u128);

impl TraceId {
    /// Reads 1 to 32 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hex(text, 32).map(Self)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A span's identity within its trace. 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(pub u64);

impl SpanId {
    /// Reads 1 to 16 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hex(text, 16).and_then(|id| u64::try_from(id).ok()).map(Self)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

fn hex(text: &str, longest: usize) -> Option<u128> {
    let digits = !text.is_empty() && text.len() <= longest && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// One span at rest. Times are nanoseconds since the Unix epoch, as the sender gave them.
#[derive(Clone, Debug)]
pub struct Span {
    /// The trace it belongs to.
    pub trace: TraceId,
    /// Its own identity.
    pub id: SpanId,
    /// The span above it; 0 for a root.
    pub parent: SpanId,
    /// When it began.
    pub start: u64,
    /// How long it took; 0 where its end lies before its start.
    pub duration: u64,
    /// What it is called.
    pub name: Sym,
    /// What its status says beside the code.
    pub message: Sym,
    /// Who sent it: an index into the block's resources.
    pub resource: u32,
    /// The instrumentation that made it: an index into the block's scopes.
    pub scope: u32,
    /// How it ended.
    pub status: Status,
    /// Which side of a call it stands on.
    pub kind: Kind,
    /// Its attributes, in the sender's order.
    pub attrs: Box<[Attr]>,
    /// Events, links and what else most spans lack.
    pub extra: Option<Box<Extra>>,
}

impl Span {
    /// When it ended.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.duration)
    }

    /// Its events.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        self.extra.as_ref().map_or(&[], |extra| &extra.events)
    }

    /// Its links.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        self.extra.as_ref().map_or(&[], |extra| &extra.links)
    }
}

/// What most spans lack.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// Things that happened during the span.
    pub events: Vec<Event>,
    /// Other spans it is related to.
    pub links: Vec<Link>,
    /// W3C `tracestate`.
    pub trace_state: String,
    /// W3C trace flags and OTLP's bits beside them.
    pub flags: u32,
    /// Attributes that the sender dropped.
    pub dropped_attrs: u32,
    /// Events that the sender, or our limits, dropped.
    pub dropped_events: u32,
    /// Links that the sender, or our limits, dropped.
    pub dropped_links: u32,
}

/// Something that happened during a span.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: u64,
    /// What it is called.
    pub name: Sym,
    /// Its attributes.
    pub attrs: Vec<Attr>,
}

/// Another span that a span is related to.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Its attributes.
    pub attrs: Vec<Attr>,
}

/// Who sent spans.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// `service.name`, where it is a text.
    pub service: Option<Sym>,
    /// All attributes, in the sender's order.
    pub attrs: Box<[Attr]>,
}

/// The instrumentation that made spans.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// Its name.
    pub name: Sym,
    /// Its version.
    pub version: Sym,
    /// Its attributes.
    pub attrs: Box<[Attr]>,
}
