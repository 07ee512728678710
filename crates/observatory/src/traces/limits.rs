//! What the store of spans may hold.

use std::time::Duration;

/// How large one span may be. What is beyond is cut off, and counted.
#[derive(Clone, Copy, Debug)]
pub struct SpanLimits {
    /// Most attributes of a span, an event, a link, a scope or a resource.
    pub attributes: usize,
    /// Most bytes of one text.
    pub text_bytes: usize,
    /// Most events, and most links, of a span.
    pub events: usize,
    /// Most items of a list or a map, and levels of nesting.
    pub depth: usize,
}

impl Default for SpanLimits {
    fn default() -> Self {
        Self { attributes: 256, text_bytes: 16 << 10, events: 128, depth: 8 }
    }
}

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest time a span is kept after it arrived.
    pub retention: Duration,
    /// Most bytes that all spans together may take.
    pub max_bytes: usize,
    /// How large one span may be.
    pub span: SpanLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self { retention: Duration::from_secs(6 * 3600), max_bytes: 512 << 20, span: SpanLimits::default() }
    }
}
