//! The same request as OTLP/JSON: ids in hexadecimal, 64-bit integers as strings.

use serde_json::{Value as Json, json};

use super::Resource;
use super::protobuf::{STATUS_ERROR, by_scope, cut, kind_number};
use crate::SpanLimits;
use crate::export::unhurried;
use crate::span::{SpanEvent, SpanRecord, Status, Value};

/// One export request, on one line without a line feed.
pub(crate) fn encode(resource: &Resource, spans: &[SpanRecord]) -> Vec<u8> {
    let text = |value: &str| json!({ "stringValue": value });
    let own: Vec<_> =
        resource.attributes.iter().map(|(key, value)| json!({ "key": key, "value": text(value) })).collect();
    let scopes: Vec<_> = by_scope(spans)
        .map(|group| {
            let spans: Vec<_> = unhurried(group).map(|span| encode_span(span, &resource.limits)).collect();
            json!({ "scope": { "name": group[0].scope, "version": resource.version }, "spans": spans })
        })
        .collect();
    json!({ "resourceSpans": [{ "resource": { "attributes": own }, "scopeSpans": scopes }] }).to_string().into_bytes()
}

fn encode_span(span: &SpanRecord, limits: &SpanLimits) -> Json {
    let events: Vec<_> = span.events.iter().take(limits.events).map(|event| encode_event(event, limits)).collect();
    let mut object = json!({
        "traceId": span.context.trace_id.to_string(),
        "spanId": span.context.span_id.to_string(),
        "name": span.name,
        "kind": kind_number(span.kind),
        "startTimeUnixNano": span.start.unix_nanos().to_string(),
        "endTimeUnixNano": span.end.unix_nanos().to_string(),
        "attributes": attributes(&span.attributes, limits.attributes, limits),
        "events": events,
        "status": match &span.status {
            Status::Unset => json!({}),
            Status::Error(reason) => json!({ "code": STATUS_ERROR, "message": reason }),
        },
        "flags": span.context.flags.byte(),
    });
    if let Some(parent) = span.parent {
        object["parentSpanId"] = Json::from(parent.to_string());
    }
    if let Some(state) = span.context.state.as_ref().and_then(|state| state.to_str().ok()) {
        object["traceState"] = Json::from(state);
    }
    let dropped = [
        ("droppedAttributesCount", span.attributes.len().saturating_sub(limits.attributes)),
        ("droppedEventsCount", span.events.len().saturating_sub(limits.events)),
    ];
    for (key, count) in dropped.into_iter().filter(|&(_, count)| count > 0) {
        object[key] = Json::from(count);
    }
    object
}

fn encode_event(event: &SpanEvent, limits: &SpanLimits) -> Json {
    json!({
        "timeUnixNano": event.at.unix_nanos().to_string(),
        "name": event.name,
        "attributes": attributes(&event.attributes, limits.event_attributes, limits),
    })
}

fn attributes(all: &[(&str, Value)], most: usize, limits: &SpanLimits) -> Vec<Json> {
    let value = |value: &Value| match value {
        Value::Str(text) => json!({ "stringValue": cut(text, limits.value_length) }),
        Value::Bool(value) => json!({ "boolValue": value }),
        Value::Int(value) => json!({ "intValue": value.to_string() }),
        Value::Double(value) => json!({ "doubleValue": value }),
    };
    all.iter().take(most).map(|(key, of)| json!({ "key": key, "value": value(of) })).collect()
}
