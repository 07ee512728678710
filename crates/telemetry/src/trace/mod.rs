//! W3C trace context: reading it from a request, continuing it on every leg, starting one where there is none.
//!
//! Level 1 of the recommendation, and the random flag of level 2. `baggage` is not touched: it is an ordinary header that
//! travels with the others.

mod ids;
mod parse;

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

pub use ids::IdGenerator;

/// Header name `traceparent`.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Header name `tracestate`.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Sixteen bytes that name a trace; never all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(u128);

/// Eight bytes that name a span within a trace; never all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(u64);

/// The trace flags of a `traceparent`: bit 0 sampled, bit 1 random trace id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceFlags(u8);

/// A position in a trace, as it travels between processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that is the parent of whatever receives this context.
    pub span_id: SpanId,
    /// Sampled and random bits.
    pub flags: TraceFlags,
    /// `tracestate` as received, members of several headers joined; opaque to us.
    pub state: Option<HeaderValue>,
    /// Kept to ourselves: never written into a request (`OTEL_PROPAGATORS=none`).
    stays: bool,
}

impl TraceContext {
    /// A position in a trace.
    pub const fn new(trace_id: TraceId, span_id: SpanId, flags: TraceFlags, state: Option<HeaderValue>) -> Self {
        Self { trace_id, span_id, flags, state, stays: false }
    }

    /// The same, written into requests or not.
    pub(crate) fn travelling(self, travels: bool) -> Self {
        Self { stays: !travels, ..self }
    }

    /// A new trace with random ids.
    pub fn root(sampled: bool) -> Self {
        let (trace_id, span_id) = ids::with_local(|ids| (ids.trace_id(), ids.span_id()));
        let flags = TraceFlags::RANDOM.with_sampled(sampled);
        Self::new(trace_id, span_id, flags, None)
    }

    /// The same trace at a new span.
    pub fn child(&self) -> Self {
        Self { span_id: ids::with_local(IdGenerator::span_id), ..self.clone() }
    }

    /// Reads the context of a request. `None` where there is no `traceparent`, more than one, or an invalid one: the
    /// recommendation asks to start a new trace then. An invalid `tracestate` is dropped alone.
    pub fn extract(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        let (trace_id, span_id, flags) = parse::traceparent(value.as_bytes())?;
        Some(Self::new(trace_id, span_id, flags, parse::tracestate(headers)))
    }

    /// Writes `traceparent` and `tracestate` into `headers`, replacing what is there. Leaves them alone where contexts are
    /// not to be propagated: they are headers like any other then.
    pub fn inject(&self, headers: &mut HeaderMap) {
        if self.stays {
            return;
        }
        headers.insert(TRACEPARENT, self.traceparent());
        match &self.state {
            Some(state) => headers.insert(TRACESTATE, state.clone()),
            None => headers.remove(TRACESTATE),
        };
    }

    /// The `traceparent` header value, version 00.
    pub fn traceparent(&self) -> HeaderValue {
        let mut text = *b"00-................................-................-..";
        hex_into(&mut text[3..35], &self.trace_id.to_bytes());
        hex_into(&mut text[36..52], &self.span_id.to_bytes());
        hex_into(&mut text[53..], &[self.flags.0]);
        #[expect(clippy::expect_used, reason = "hexadecimal digits and hyphens are legal in a header value")]
        HeaderValue::from_bytes(&text).expect("hexadecimal digits and hyphens")
    }

    /// Whether the sender records this trace.
    pub fn is_sampled(&self) -> bool {
        self.flags.is_sampled()
    }
}

/// Writes `bytes` in lower-case hexadecimal digits into `text`, which is twice as long. Twice per request, so not by way
/// of the formatter.
fn hex_into(text: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

impl TraceFlags {
    /// Bit 0: the sender may have recorded the trace.
    pub const SAMPLED: Self = Self(1);
    /// Bit 1 (level 2): at least the last seven bytes of the trace id are random.
    pub const RANDOM: Self = Self(2);
    const KNOWN: u8 = 3;

    /// Flags from the received byte; bits that no version defines are cleared, as the recommendation asks.
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte & Self::KNOWN)
    }

    /// The byte to send.
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// Whether bit 0 is set.
    pub const fn is_sampled(self) -> bool {
        self.0 & Self::SAMPLED.0 != 0
    }

    /// The same flags with bit 0 set or cleared.
    #[must_use]
    pub const fn with_sampled(self, sampled: bool) -> Self {
        Self(self.0 & !Self::SAMPLED.0 | sampled as u8)
    }
}

impl TraceId {
    /// The id of these big-endian bytes; `None` for all zero.
    pub const fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        match u128::from_be_bytes(bytes) {
            0 => None,
            id => Some(Self(id)),
        }
    }

    /// Big-endian bytes, as OTLP carries them.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The low 63 bits: what ratio samplers of all languages look at.
    pub(crate) const fn ratio_bits(self) -> u64 {
        (self.0 as u64) >> 1
    }
}

impl SpanId {
    /// The id of these big-endian bytes; `None` for all zero.
    pub const fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        match u64::from_be_bytes(bytes) {
            0 => None,
            id => Some(Self(id)),
        }
    }

    /// Big-endian bytes, as OTLP carries them.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
