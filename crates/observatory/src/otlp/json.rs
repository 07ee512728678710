//! OTLP's JSON mapping: identities in hexadecimal, 64-bit numbers as texts or numbers, enumerations as numbers.
//!
//! Two things are read beyond it: identities in base 64 and enumerations by name, which is how Tempo writes a trace, so that
//! a trace saved from one can be sent to us. Unknown members are passed over, as OTLP asks.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Otlp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde_json::Value;

/// What cannot be read, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{member}: {what}")]
pub(crate) struct Malformed {
    member: &'static str,
    what: &'static str,
}

/// The result of reading.
pub(crate) type Read<T> = Result<T, Malformed>;

/// A request with spans.
pub(crate) fn traces(body: &Value) -> Read<ExportTraceServiceRequest> {
    let resource_spans = list(object(body, "request")?, "resourceSpans", |group| {
        Ok(ResourceSpans {
            resource: resource(group)?,
            scope_spans: list(group, "scopeSpans", |scoped| {
                Ok(ScopeSpans {
                    scope: scope(scoped)?,
                    spans: list(scoped, "spans", span)?,
                    schema_url: text(scoped, "schemaUrl")?,
                })
            })?,
            schema_url: text(group, "schemaUrl")?,
        })
    })?;
    Ok(ExportTraceServiceRequest { resource_spans })
}

/// The resource of a group.
pub(super) fn resource(group: &Object) -> Read<Option<Resource>> {
    let Some(resource) = member(group, "resource") else { return Ok(None) };
    let attributes = attributes(object(resource, "resource")?)?;
    Ok(Some(Resource { attributes, ..Resource::default() }))
}

/// The instrumentation of a group.
pub(super) fn scope(scoped: &Object) -> Read<Option<InstrumentationScope>> {
    let Some(scope) = member(scoped, "scope") else { return Ok(None) };
    let scope = object(scope, "scope")?;
    Ok(Some(InstrumentationScope {
        name: text(scope, "name")?,
        version: text(scope, "version")?,
        attributes: attributes(scope)?,
        dropped_attributes_count: 0,
    }))
}

fn span(span: &Object) -> Read<Span> {
    const KINDS: &[&str] = &["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
    Ok(Span {
        trace_id: id(span, "traceId")?,
        span_id: id(span, "spanId")?,
        parent_span_id: id(span, "parentSpanId")?,
        trace_state: text(span, "traceState")?,
        flags: small(span, "flags")?,
        name: text(span, "name")?,
        kind: enumeration(span, "kind", "SPAN_KIND_", KINDS)?,
        start_time_unix_nano: whole(span, "startTimeUnixNano")?,
        end_time_unix_nano: whole(span, "endTimeUnixNano")?,
        attributes: attributes(span)?,
        dropped_attributes_count: small(span, "droppedAttributesCount")?,
        events: list(span, "events", |event| {
            Ok(Event {
                time_unix_nano: whole(event, "timeUnixNano")?,
                name: text(event, "name")?,
                attributes: attributes(event)?,
                dropped_attributes_count: small(event, "droppedAttributesCount")?,
            })
        })?,
        dropped_events_count: small(span, "droppedEventsCount")?,
        links: list(span, "links", |link| {
            Ok(Link {
                trace_id: id(link, "traceId")?,
                span_id: id(link, "spanId")?,
                trace_state: text(link, "traceState")?,
                attributes: attributes(link)?,
                dropped_attributes_count: small(link, "droppedAttributesCount")?,
                flags: small(link, "flags")?,
            })
        })?,
        dropped_links_count: small(span, "droppedLinksCount")?,
        status: status(span)?,
    })
}

fn status(span: &Object) -> Read<Option<Status>> {
    let Some(status) = member(span, "status") else { return Ok(None) };
    let status = object(status, "status")?;
    let code = enumeration(status, "code", "STATUS_CODE_", &["UNSET", "OK", "ERROR"])?;
    Ok(Some(Status { message: text(status, "message")?, code }))
}

/// An object's members.
pub(super) type Object = serde_json::Map<String, Value>;

/// The attributes of whatever has some.
pub(super) fn attributes(of: &Object) -> Read<Vec<KeyValue>> {
    key_values(of, "attributes")
}

fn key_values(of: &Object, name: &'static str) -> Read<Vec<KeyValue>> {
    list(of, name, |attr| {
        let value = member(attr, "value").map(any_value).transpose()?;
        Ok(KeyValue { key: text(attr, "key")?, value, ..KeyValue::default() })
    })
}

fn any_value(value: &Value) -> Read<AnyValue> {
    let value = object(value, "value")?;
    let Some((kind, held)) = value.iter().find(|(_, held)| !held.is_null()) else { return Ok(AnyValue::default()) };
    let made = match kind.as_str() {
        "stringValue" => Otlp::StringValue(text(value, "stringValue")?),
        "boolValue" => Otlp::BoolValue(held.as_bool().ok_or_else(|| fault("boolValue", "neither true nor false"))?),
        "intValue" => Otlp::IntValue(signed(held).ok_or_else(|| fault("intValue", "not a 64-bit number"))?),
        "doubleValue" => Otlp::DoubleValue(double(held).ok_or_else(|| fault("doubleValue", "not a number"))?),
        "arrayValue" => {
            let items = object(held, "arrayValue")?.get("values").and_then(Value::as_array);
            let values = items.into_iter().flatten().map(any_value).collect::<Read<_>>()?;
            Otlp::ArrayValue(ArrayValue { values })
        }
        "kvlistValue" => {
            Otlp::KvlistValue(KeyValueList { values: key_values(object(held, "kvlistValue")?, "values")? })
        }
        "bytesValue" => {
            let text = held.as_str().and_then(base64);
            Otlp::BytesValue(text.ok_or_else(|| fault("bytesValue", "not in base 64"))?)
        }
        _ => return Ok(AnyValue::default()),
    };
    Ok(AnyValue { value: Some(made) })
}

/// A member that is there and not null.
pub(super) fn member<'a>(of: &'a Object, name: &str) -> Option<&'a Value> {
    of.get(name).filter(|value| !value.is_null())
}

/// A value that must be an object.
pub(super) fn object<'a>(value: &'a Value, name: &'static str) -> Read<&'a Object> {
    value.as_object().ok_or_else(|| fault(name, "not an object"))
}

/// A list of objects; empty where it is not there.
pub(super) fn list<T>(of: &Object, name: &'static str, read: impl Fn(&Object) -> Read<T>) -> Read<Vec<T>> {
    let Some(items) = member(of, name) else { return Ok(Vec::new()) };
    let items = items.as_array().ok_or_else(|| fault(name, "not a list"))?;
    items.iter().map(|item| read(object(item, name)?)).collect()
}

/// A text; empty where it is not there.
pub(super) fn text(of: &Object, name: &'static str) -> Read<String> {
    match member(of, name) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(fault(name, "not a text")),
    }
}

/// A whole number of 64 bits; 0 where it is not there.
pub(super) fn whole(of: &Object, name: &'static str) -> Read<u64> {
    match member(of, name) {
        None => Ok(0),
        Some(value) => unsigned(value).ok_or_else(|| fault(name, "not a 64-bit number")),
    }
}

/// A whole number of 32 bits; 0 where it is not there.
pub(super) fn small(of: &Object, name: &'static str) -> Read<u32> {
    whole(of, name).and_then(|number| u32::try_from(number).map_err(|_| fault(name, "not a 32-bit number")))
}

/// A value that need not be there.
pub(super) fn optional<T>(of: &Object, name: &'static str, read: fn(&Value) -> Option<T>) -> Read<Option<T>> {
    member(of, name).map(|value| read(value).ok_or_else(|| fault(name, "not a number"))).transpose()
}

/// A list of plain values; empty where it is not there.
pub(super) fn values<T>(of: &Object, name: &'static str, read: fn(&Value) -> Option<T>) -> Read<Vec<T>> {
    let Some(items) = member(of, name) else { return Ok(Vec::new()) };
    let items = items.as_array().ok_or_else(|| fault(name, "not a list"))?;
    items.iter().map(|item| read(item).ok_or_else(|| fault(name, "not a list of numbers"))).collect()
}

/// A number of an enumeration, or its name; 0 where it is not there.
pub(super) fn enumeration(of: &Object, name: &'static str, prefix: &str, names: &[&str]) -> Read<i32> {
    match member(of, name) {
        None => Ok(0),
        Some(Value::String(text)) => {
            let found = names.iter().position(|known| text.strip_prefix(prefix) == Some(*known));
            found.and_then(|place| i32::try_from(place).ok()).ok_or_else(|| fault(name, "not one of its names"))
        }
        Some(value) => {
            value.as_i64().and_then(|number| i32::try_from(number).ok()).ok_or_else(|| fault(name, "not a number"))
        }
    }
}

/// A 64-bit number, or a text of one.
pub(super) fn unsigned(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// A signed 64-bit number, or a text of one.
pub(super) fn signed(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// A floating-point number; what is not finite is a text.
pub(super) fn double(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| match value.as_str()? {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        number => number.parse().ok(),
    })
}

/// The identity of a trace or a span; no bytes where it is not there.
fn id(of: &Object, name: &'static str) -> Read<Vec<u8>> {
    let text = match member(of, name) {
        None => return Ok(Vec::new()),
        Some(value) => value.as_str().ok_or_else(|| fault(name, "not a text"))?,
    };
    let is_hex = text.len().is_multiple_of(8) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bytes = if is_hex { hex(text) } else { base64(text) };
    bytes.ok_or_else(|| fault(name, "not in hexadecimal"))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()).collect()
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in text.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        (held, bits) = ((held << 6 | u32::from(digit)) & 0xffff, bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    Some(bytes)
}

fn fault(member: &'static str, what: &'static str) -> Malformed {
    Malformed { member, what }
}
