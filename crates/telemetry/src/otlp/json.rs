//! The same request as OTLP/JSON: ids in hexadecimal, 64-bit integers as strings. Written straight from the records, without
//! an object tree between.

use std::fmt::Display;

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use super::Resource;
use super::protobuf::{STATUS_ERROR, by_scope, cut, kind_number};
use crate::SpanLimits;
use crate::clock::Moment;
use crate::export::unhurried;
use crate::span::{SpanEvent, SpanRecord, Status, Value};
use crate::trace::{SpanId, TraceId};

/// What a span takes at least.
const SPAN_BYTES: usize = 1 << 10;

/// One export request, on one line without a line feed.
pub(crate) fn encode(resource: &Resource, spans: &[SpanRecord]) -> Vec<u8> {
    let mut line = Vec::with_capacity(spans.len() * SPAN_BYTES);
    let request = Request { resource_spans: [ResourceSpans::new(resource, spans)] };
    // Nothing here fails to be written: no map has keys that are no strings, and memory takes everything.
    let written = serde_json::to_writer(&mut line, &request);
    debug_assert!(written.is_ok(), "{written:?}");
    line
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Described<'a>,
    scope_spans: Vec<ScopeSpans<'a>>,
}

/// The resource itself.
#[derive(Serialize)]
struct Described<'a> {
    attributes: Vec<Attribute<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScopeSpans<'a> {
    scope: Scope<'a>,
    spans: Unhurried<'a>,
}

#[derive(Serialize)]
struct Scope<'a> {
    name: &'a str,
    version: &'a str,
}

/// The spans of a scope, each made when it is written.
struct Unhurried<'a> {
    spans: &'a [SpanRecord],
    limits: &'a SpanLimits,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    trace_id: Text<TraceId>,
    span_id: Text<SpanId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<Text<SpanId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_state: Option<&'a str>,
    flags: u8,
    name: &'a str,
    kind: u64,
    start_time_unix_nano: Text<u64>,
    end_time_unix_nano: Text<u64>,
    attributes: Vec<Attribute<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_attributes_count: usize,
    events: Vec<Event<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_events_count: usize,
    status: Ended<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    time_unix_nano: Text<u64>,
    name: &'a str,
    attributes: Vec<Attribute<'a>>,
}

/// A status; empty where nobody set one.
#[derive(Serialize)]
struct Ended<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

#[derive(Serialize)]
struct Attribute<'a> {
    key: &'a str,
    value: Any<'a>,
}

#[derive(Serialize)]
enum Any<'a> {
    #[serde(rename = "stringValue")]
    Str(&'a str),
    #[serde(rename = "boolValue")]
    Bool(bool),
    #[serde(rename = "intValue")]
    Int(Text<i64>),
    #[serde(rename = "doubleValue")]
    Double(f64),
}

/// Something that is written as a string.
struct Text<T>(T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Serialize for Unhurried<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut spans = serializer.serialize_seq(Some(self.spans.len()))?;
        for span in unhurried(self.spans) {
            spans.serialize_element(&Span::new(span, self.limits))?;
        }
        spans.end()
    }
}

impl<'a> ResourceSpans<'a> {
    fn new(resource: &'a Resource, spans: &'a [SpanRecord]) -> Self {
        let own = resource.attributes.iter();
        let scope_spans = by_scope(spans).map(|group| ScopeSpans {
            scope: Scope { name: group[0].scope, version: &resource.version },
            spans: Unhurried { spans: group, limits: &resource.limits },
        });
        Self {
            resource: Described {
                attributes: own.map(|(key, value)| Attribute { key, value: Any::Str(value) }).collect(),
            },
            scope_spans: scope_spans.collect(),
        }
    }
}

impl<'a> Span<'a> {
    fn new(span: &'a SpanRecord, limits: &SpanLimits) -> Self {
        let nanos = |moment: Moment| Text(moment.unix_nanos());
        Self {
            trace_id: Text(span.context.trace_id),
            span_id: Text(span.context.span_id),
            parent_span_id: span.parent.map(Text),
            trace_state: span.context.state.as_ref().and_then(|state| state.to_str().ok()),
            flags: span.context.flags.byte(),
            name: span.name,
            kind: kind_number(span.kind),
            start_time_unix_nano: nanos(span.start),
            end_time_unix_nano: nanos(span.end),
            attributes: attributes(&span.attributes, limits.attributes, limits),
            dropped_attributes_count: span.attributes.len().saturating_sub(limits.attributes),
            events: span.events.iter().take(limits.events).map(|event| Event::new(event, limits)).collect(),
            dropped_events_count: span.events.len().saturating_sub(limits.events),
            status: Ended::new(&span.status),
        }
    }
}

impl<'a> Event<'a> {
    fn new(event: &'a SpanEvent, limits: &SpanLimits) -> Self {
        Self {
            time_unix_nano: Text(event.at.unix_nanos()),
            name: event.name,
            attributes: attributes(&event.attributes, limits.event_attributes, limits),
        }
    }
}

impl<'a> Ended<'a> {
    fn new(status: &'a Status) -> Self {
        match status {
            Status::Unset => Self { code: None, message: None },
            Status::Error(reason) => Self { code: Some(STATUS_ERROR), message: Some(reason) },
        }
    }
}

fn attributes<'a>(all: &'a [(&str, Value)], most: usize, limits: &SpanLimits) -> Vec<Attribute<'a>> {
    let value = |value: &'a Value| match value {
        Value::Str(text) => Any::Str(cut(text, limits.value_length)),
        Value::Bool(value) => Any::Bool(*value),
        Value::Int(value) => Any::Int(Text(*value)),
        Value::Double(value) => Any::Double(*value),
    };
    all.iter().take(most).map(|(key, of)| Attribute { key, value: value(of) }).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}
