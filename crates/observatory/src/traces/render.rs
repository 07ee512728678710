//! From the store back to OTLP's messages.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Otlp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_proto::tonic::trace::v1::span::{Event as OtlpEvent, Link as OtlpLink};
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as OtlpSpan, Status as OtlpStatus, TracesData,
};

use super::block::Block;
use super::model::{Attr, Event, Kind, Link, Rare, Span, SpanId, Status, Stored as Value, TraceId};
use super::store::Stored;

/// A trace, grouped by sender and instrumentation in the order of arrival; `None` where it is unknown.
#[must_use]
pub fn trace_data(stored: &Stored, id: TraceId) -> Option<TracesData> {
    let mut groups: Vec<ResourceSpans> = Vec::new();
    for (block, span) in stored.trace(id).iter().filter_map(|&number| stored.span(number)) {
        let resource = Some(resource(block, span));
        let group = match groups.iter().position(|group| group.resource == resource) {
            Some(known) => known,
            None => {
                groups.push(ResourceSpans { resource, ..ResourceSpans::default() });
                groups.len() - 1
            }
        };
        let (scope, made) = (Some(scope(block, span)), span_message(block, span));
        let scopes = &mut groups[group].scope_spans;
        match scopes.iter_mut().find(|scoped| scoped.scope == scope) {
            Some(scoped) => scoped.spans.push(made),
            None => scopes.push(ScopeSpans { scope, spans: vec![made], ..ScopeSpans::default() }),
        }
    }
    (!groups.is_empty()).then_some(TracesData { resource_spans: groups })
}

fn resource(block: &Block, span: &Span) -> OtlpResource {
    let attributes = block.resource(span).map_or_else(Vec::new, |resource| attributes(block, &resource.attrs));
    OtlpResource { attributes, ..OtlpResource::default() }
}

fn scope(block: &Block, span: &Span) -> InstrumentationScope {
    block.scope(span).map_or_else(InstrumentationScope::default, |scope| InstrumentationScope {
        name: block.text(scope.name).to_owned(),
        version: block.text(scope.version).to_owned(),
        attributes: attributes(block, &scope.attrs),
        dropped_attributes_count: 0,
    })
}

fn span_message(block: &Block, span: &Span) -> OtlpSpan {
    let extra = span.extra.as_deref();
    OtlpSpan {
        trace_id: span.trace.0.to_be_bytes().to_vec(),
        span_id: id_bytes(span.id),
        parent_span_id: id_bytes(span.parent),
        trace_state: extra.map_or_else(String::new, |extra| extra.trace_state.clone()),
        flags: extra.map_or(0, |extra| extra.flags),
        name: block.text(span.name).to_owned(),
        kind: kind_number(span.kind),
        start_time_unix_nano: span.start,
        end_time_unix_nano: span.end(),
        attributes: attributes(block, &span.attrs),
        dropped_attributes_count: extra.map_or(0, |extra| extra.dropped_attrs),
        events: span.events().iter().map(|event| event_message(block, event)).collect(),
        dropped_events_count: extra.map_or(0, |extra| extra.dropped_events),
        links: span.links().iter().map(|link| link_message(block, link)).collect(),
        dropped_links_count: extra.map_or(0, |extra| extra.dropped_links),
        status: Some(OtlpStatus { message: block.text(span.message).to_owned(), code: status_number(span.status) }),
    }
}

fn event_message(block: &Block, event: &Event) -> OtlpEvent {
    OtlpEvent {
        time_unix_nano: event.at,
        name: block.text(event.name).to_owned(),
        attributes: attributes(block, &event.attrs),
        dropped_attributes_count: 0,
    }
}

fn link_message(block: &Block, link: &Link) -> OtlpLink {
    OtlpLink {
        trace_id: link.trace.0.to_be_bytes().to_vec(),
        span_id: id_bytes(link.span),
        attributes: attributes(block, &link.attrs),
        ..OtlpLink::default()
    }
}

fn id_bytes(id: SpanId) -> Vec<u8> {
    if id == SpanId::default() { Vec::new() } else { id.0.to_be_bytes().to_vec() }
}

fn kind_number(kind: Kind) -> i32 {
    match kind {
        Kind::Unspecified => 0,
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
        Kind::Producer => 4,
        Kind::Consumer => 5,
    }
}

fn status_number(status: Status) -> i32 {
    match status {
        Status::Unset => 0,
        Status::Ok => 1,
        Status::Error => 2,
    }
}

fn attributes(block: &Block, attrs: &[Attr]) -> Vec<KeyValue> {
    let made = attrs.iter().map(|attr| KeyValue {
        key: block.text(attr.key).to_owned(),
        value: Some(any_value(block, &attr.value)),
        ..KeyValue::default()
    });
    made.collect()
}

fn any_value(block: &Block, value: &Value) -> AnyValue {
    let value = match value {
        Value::Text(text) => Some(Otlp::StringValue(block.text(*text).to_owned())),
        Value::Int(number) => Some(Otlp::IntValue(*number)),
        Value::Float(number) => Some(Otlp::DoubleValue(*number)),
        Value::Bool(truth) => Some(Otlp::BoolValue(*truth)),
        Value::Other(rare) => match rare.as_ref() {
            Rare::Empty => None,
            Rare::Array(items) => {
                let values = items.iter().map(|item| any_value(block, item)).collect();
                Some(Otlp::ArrayValue(ArrayValue { values }))
            }
            Rare::Map(attrs) => Some(Otlp::KvlistValue(KeyValueList { values: attributes(block, attrs) })),
            Rare::Bytes(bytes) => Some(Otlp::BytesValue(bytes.clone())),
        },
    };
    AnyValue { value }
}
