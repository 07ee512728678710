//! `/api/traces/<id>` and `/api/v2/traces/<id>`.

use http::StatusCode;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use prost::Message;
use serde_json::{Value, json};

use super::json::{Object, attributes, base64};
use super::reply::{Fault, Reply};
use crate::traces::model::TraceId;
use crate::traces::{SpanStore, trace_data};

/// What version 2 wraps a trace in.
#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(message, optional, tag = "1")]
    trace: Option<TracesData>,
}

pub(super) fn answer(store: &SpanStore, id: &str, enveloped: bool, protobuf: bool) -> Result<Reply, Fault> {
    let id = TraceId::parse(id)
        .ok_or_else(|| Fault::new(format!("invalid trace ID {id:?}: it must be 1 to 32 hexadecimal digits")))?;
    let Some(trace) = trace_data(&store.read(), id) else {
        return Ok(Reply::text(StatusCode::NOT_FOUND, ""));
    };
    Ok(match (protobuf, enveloped) {
        (true, true) => Reply::protobuf(Envelope { trace: Some(trace) }.encode_to_vec()),
        (true, false) => Reply::protobuf(trace.encode_to_vec()),
        (false, true) => Reply::json(&json!({"trace": {"resourceSpans": groups(&trace)}})),
        (false, false) => Reply::json(&json!({"batches": groups(&trace)})),
    })
}

fn groups(trace: &TracesData) -> Vec<Value> {
    trace.resource_spans.iter().map(group).collect()
}

fn group(group: &ResourceSpans) -> Value {
    let scopes: Vec<Value> = group.scope_spans.iter().map(scoped).collect();
    json!({"resource": resource(group.resource.as_ref()), "scopeSpans": scopes})
}

fn resource(resource: Option<&Resource>) -> Value {
    let attrs = resource.map_or(&[][..], |resource| &resource.attributes);
    Object::default().put_some("attributes", attributes(attrs)).into_value()
}

fn scoped(scoped: &ScopeSpans) -> Value {
    let spans: Vec<Value> = scoped.spans.iter().map(span).collect();
    json!({"scope": scope(scoped.scope.as_ref()), "spans": spans})
}

fn scope(scope: Option<&InstrumentationScope>) -> Value {
    let Some(scope) = scope else { return json!({}) };
    Object::default()
        .put_some("name", scope.name.clone())
        .put_some("version", scope.version.clone())
        .put_some("attributes", attributes(&scope.attributes))
        .into_value()
}

fn span(span: &Span) -> Value {
    let events: Vec<Value> = span.events.iter().map(event).collect();
    let links: Vec<Value> = span.links.iter().map(link).collect();
    Object::default()
        .put("traceId", base64(&span.trace_id))
        .put("spanId", base64(&span.span_id))
        .put_some("traceState", span.trace_state.clone())
        .put_some("parentSpanId", base64(&span.parent_span_id))
        .put_some("flags", span.flags)
        .put_some("name", span.name.clone())
        .put_some("kind", kind(span.kind))
        .put("startTimeUnixNano", span.start_time_unix_nano.to_string())
        .put("endTimeUnixNano", span.end_time_unix_nano.to_string())
        .put_some("attributes", attributes(&span.attributes))
        .put_some("droppedAttributesCount", span.dropped_attributes_count)
        .put_some("events", events)
        .put_some("droppedEventsCount", span.dropped_events_count)
        .put_some("links", links)
        .put_some("droppedLinksCount", span.dropped_links_count)
        .put("status", status(span.status.as_ref()))
        .into_value()
}

fn event(event: &Event) -> Value {
    Object::default()
        .put("timeUnixNano", event.time_unix_nano.to_string())
        .put_some("name", event.name.clone())
        .put_some("attributes", attributes(&event.attributes))
        .into_value()
}

fn link(link: &Link) -> Value {
    Object::default()
        .put("traceId", base64(&link.trace_id))
        .put("spanId", base64(&link.span_id))
        .put_some("attributes", attributes(&link.attributes))
        .into_value()
}

/// By name; what is unspecified is left out.
fn kind(kind: i32) -> &'static str {
    match kind {
        1 => "SPAN_KIND_INTERNAL",
        2 => "SPAN_KIND_SERVER",
        3 => "SPAN_KIND_CLIENT",
        4 => "SPAN_KIND_PRODUCER",
        5 => "SPAN_KIND_CONSUMER",
        _ => "",
    }
}

fn status(status: Option<&Status>) -> Value {
    let (code, message) = status.map_or((0, ""), |status| (status.code, status.message.as_str()));
    let code = match code {
        1 => "STATUS_CODE_OK",
        2 => "STATUS_CODE_ERROR",
        _ => "",
    };
    Object::default().put_some("message", message).put_some("code", code).into_value()
}
