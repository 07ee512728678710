//! `ExportTraceServiceRequest`, encoded straight from span records.
//!
//! Field numbers are those of opentelemetry-proto 1.x. A nested message stands behind its own length. An attribute's is
//! known before it is written; for anything larger, room is left for as many digits as the length usually has, and only a
//! wrong guess moves bytes. A busy proxy encodes thirty attributes per request, so this is not idle.

use super::Resource;
use crate::SpanLimits;
use crate::span::{SpanEvent, SpanKind, SpanRecord, Status, Value};

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// Digits of the length of an event or a scope (below 128 bytes), of a span (below 16 KiB), of a batch (below 2 MiB).
const SMALL: usize = 1;
const SPAN: usize = 2;
const BATCH: usize = 3;

/// Encodes one request.
pub(super) fn encode(resource: &Resource, spans: &[SpanRecord]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + spans.len() * 1024);
    message(&mut out, 1, BATCH, |out| {
        message(out, 1, SPAN, |out| {
            for (key, value) in &resource.attributes {
                attribute(out, 1, key, Any::Str(value));
            }
        });
        for group in by_scope(spans) {
            message(out, 2, BATCH, |out| {
                message(out, 1, SMALL, |out| {
                    string(out, 1, group[0].scope);
                    string(out, 2, &resource.version);
                });
                for span in group {
                    message(out, 2, SPAN, |out| encode_span(out, span, &resource.limits));
                }
            });
        }
    });
    out
}

/// Runs of spans of one scope; a process has one or two, so runs are long.
pub(super) fn by_scope(spans: &[SpanRecord]) -> impl Iterator<Item = &[SpanRecord]> {
    spans.chunk_by(|a, b| a.scope == b.scope)
}

fn encode_span(out: &mut Vec<u8>, span: &SpanRecord, limits: &SpanLimits) {
    bytes(out, 1, &span.context.trace_id.to_bytes());
    bytes(out, 2, &span.context.span_id.to_bytes());
    if let Some(state) = &span.context.state {
        bytes(out, 3, state.as_bytes());
    }
    if let Some(parent) = span.parent {
        bytes(out, 4, &parent.to_bytes());
    }
    string(out, 5, span.name);
    number(out, 6, kind_number(span.kind));
    fixed64(out, 7, span.start.unix_nanos());
    fixed64(out, 8, span.end.unix_nanos());
    attributes(out, 9, &span.attributes, limits.attributes, limits);
    dropped(out, 10, span.attributes.len(), limits.attributes);
    for event in span.events.iter().take(limits.events) {
        message(out, 11, SMALL, |out| encode_event(out, event, limits));
    }
    dropped(out, 12, span.events.len(), limits.events);
    if let Status::Error(reason) = &span.status {
        message(out, 15, SMALL, |out| {
            string(out, 2, reason);
            number(out, 3, STATUS_ERROR);
        });
    }
    out.extend_from_slice(Short::default().tag(16, FIXED32).bytes());
    out.extend_from_slice(&u32::from(span.context.flags.byte()).to_le_bytes());
}

fn encode_event(out: &mut Vec<u8>, event: &SpanEvent, limits: &SpanLimits) {
    fixed64(out, 1, event.at.unix_nanos());
    string(out, 2, event.name);
    attributes(out, 3, &event.attributes, limits.event_attributes, limits);
    dropped(out, 4, event.attributes.len(), limits.event_attributes);
}

fn attributes(out: &mut Vec<u8>, field: u32, all: &[(&str, Value)], most: usize, limits: &SpanLimits) {
    for (key, value) in all.iter().take(most) {
        let value = match value {
            Value::Str(text) => Any::Str(cut(text, limits.value_length)),
            Value::Bool(value) => Any::Bool(*value),
            Value::Int(value) => Any::Int(value.cast_unsigned()),
            Value::Double(value) => Any::Double(*value),
        };
        attribute(out, field, key, value);
    }
}

/// An `AnyValue` about to be written.
#[derive(Clone, Copy)]
enum Any<'a> {
    Str(&'a str),
    Bool(bool),
    Int(u64),
    Double(f64),
}

impl Any<'_> {
    /// Bytes of its encoding.
    fn length(self) -> usize {
        match self {
            Self::Str(text) => delimited_length(text.len()),
            Self::Bool(_) => 2,
            Self::Int(value) => 1 + varint_length(value),
            Self::Double(_) => 9,
        }
    }
}

/// A text cut to `limit` characters.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    text.char_indices().nth(limit).map_or(text, |(end, _)| &text[..end])
}

pub(super) const STATUS_ERROR: u64 = 2;

pub(super) fn kind_number(kind: SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
    }
}

/// A `KeyValue`.
fn attribute(out: &mut Vec<u8>, field: u32, key: &str, value: Any<'_>) {
    let length = value.length();
    let whole = delimited_length(key.len()) + delimited_length(length);
    let opening = Short::default().tag(field, BYTES).varint(whole as u64).tag(1, BYTES).varint(key.len() as u64);
    out.extend_from_slice(opening.bytes());
    out.extend_from_slice(key.as_bytes());
    let opening = Short::default().tag(2, BYTES).varint(length as u64);
    let (opening, text) = match value {
        Any::Str(text) => (opening.tag(1, BYTES).varint(text.len() as u64), text),
        Any::Bool(value) => (opening.tag(2, VARINT).varint(u64::from(value)), ""),
        Any::Int(value) => (opening.tag(3, VARINT).varint(value), ""),
        Any::Double(value) => (opening.tag(4, FIXED64).eight(value.to_bits()), ""),
    };
    out.extend_from_slice(opening.bytes());
    out.extend_from_slice(text.as_bytes());
}

/// A few bytes to be appended at once: tags and lengths one by one would each look whether the vector has room.
#[derive(Clone, Copy, Default)]
struct Short {
    bytes: [u8; 32],
    length: usize,
}

impl Short {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    #[inline]
    fn push(mut self, byte: u8) -> Self {
        self.bytes[self.length] = byte;
        self.length += 1;
        self
    }

    #[inline]
    fn tag(self, field: u32, wire_type: u32) -> Self {
        self.varint(u64::from(field << 3 | wire_type))
    }

    #[inline]
    fn varint(mut self, mut value: u64) -> Self {
        while value > 0x7f {
            self = self.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8)
    }

    #[inline]
    fn eight(mut self, value: u64) -> Self {
        self.bytes[self.length..self.length + 8].copy_from_slice(&value.to_le_bytes());
        self.length += 8;
        self
    }
}

fn dropped(out: &mut Vec<u8>, field: u32, all: usize, most: usize) {
    if all > most {
        number(out, field, (all - most) as u64);
    }
}

/// A nested message. Its length is expected to have `digits` digits.
fn message(out: &mut Vec<u8>, field: u32, digits: usize, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(Short::default().tag(field, BYTES).bytes());
    let room = out.len()..out.len() + digits;
    out.resize(room.end, 0);
    write(out);
    let length = Short::default().varint((out.len() - room.end) as u64);
    if length.length == digits {
        out[room].copy_from_slice(length.bytes());
    } else {
        out.splice(room, length.bytes().iter().copied());
    }
}

fn string(out: &mut Vec<u8>, field: u32, text: &str) {
    bytes(out, field, text.as_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    out.extend_from_slice(Short::default().tag(field, BYTES).varint(value.len() as u64).bytes());
    out.extend_from_slice(value);
}

fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    out.extend_from_slice(Short::default().tag(field, VARINT).varint(value).bytes());
}

fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    out.extend_from_slice(Short::default().tag(field, FIXED64).eight(value).bytes());
}

/// Length of a field of bytes whose number is below 16, its tag and its length included.
fn delimited_length(bytes: usize) -> usize {
    1 + varint_length(bytes as u64) + bytes
}

fn varint_length(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}
