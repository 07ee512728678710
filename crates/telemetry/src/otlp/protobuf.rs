//! `ExportTraceServiceRequest`, encoded straight from span records.
//!
//! Field numbers are those of opentelemetry-proto 1.x. A nested message is written behind its own length by moving its
//! bytes up once the length is known; at a few hundred bytes a span that is cheaper than measuring first.

use super::Resource;
use crate::SpanLimits;
use crate::span::{SpanEvent, SpanKind, SpanRecord, Status, Value};

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// Encodes one request.
pub(super) fn encode(resource: &Resource, spans: &[SpanRecord]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + spans.len() * 1024);
    message(&mut out, 1, |out| {
        message(out, 1, |out| {
            for (key, value) in &resource.attributes {
                attribute(out, 1, key, |out| string(out, 1, value));
            }
        });
        for group in by_scope(spans) {
            message(out, 2, |out| {
                message(out, 1, |out| {
                    string(out, 1, group[0].scope);
                    string(out, 2, &resource.version);
                });
                for span in group {
                    message(out, 2, |out| encode_span(out, span, &resource.limits));
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
        message(out, 11, |out| encode_event(out, event, limits));
    }
    dropped(out, 12, span.events.len(), limits.events);
    if let Status::Error(reason) = &span.status {
        message(out, 15, |out| {
            string(out, 2, reason);
            number(out, 3, STATUS_ERROR);
        });
    }
    tag(out, 16, FIXED32);
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
        attribute(out, field, key, |out| match value {
            Value::Str(text) => string(out, 1, cut(text, limits.value_length)),
            Value::Bool(value) => number(out, 2, u64::from(*value)),
            Value::Int(value) => number(out, 3, value.cast_unsigned()),
            Value::Double(value) => fixed64(out, 4, value.to_bits()),
        });
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

fn attribute(out: &mut Vec<u8>, field: u32, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
    message(out, field, |out| {
        string(out, 1, key);
        message(out, 2, value);
    });
}

fn dropped(out: &mut Vec<u8>, field: u32, all: usize, most: usize) {
    if all > most {
        number(out, field, (all - most) as u64);
    }
}

fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, BYTES);
    let start = out.len();
    write(out);
    let mut length = [0; 10];
    let digits = varint_into(&mut length, (out.len() - start) as u64);
    out.splice(start..start, length[..digits].iter().copied());
}

fn string(out: &mut Vec<u8>, field: u32, text: &str) {
    bytes(out, field, text.as_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    tag(out, field, BYTES);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, VARINT);
    varint(out, value);
}

fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

fn tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    varint(out, u64::from(field << 3 | wire_type));
}

fn varint(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 10];
    let length = varint_into(&mut digits, value);
    out.extend_from_slice(&digits[..length]);
}

fn varint_into(digits: &mut [u8; 10], mut value: u64) -> usize {
    let mut length = 0;
    loop {
        let more = value > 0x7f;
        digits[length] = (value & 0x7f) as u8 | if more { 0x80 } else { 0 };
        length += 1;
        value >>= 7;
        if !more {
            return length;
        }
    }
}
