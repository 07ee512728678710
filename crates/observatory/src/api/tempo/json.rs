//! Values as Tempo writes them: protobuf's JSON, in which 64-bit numbers are texts and what is zero is left out.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Otlp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::{Map, Value, json};

use crate::traceql::Literal;

/// A list of labels or attributes.
pub(super) fn labels(labels: &[(String, Literal)]) -> Value {
    labels.iter().map(|(key, value)| json!({"key": key, "value": literal(value)})).collect()
}

fn literal(value: &Literal) -> Value {
    match value {
        Literal::Text(text) => json!({"stringValue": text}),
        Literal::Int(number) => json!({"intValue": number.to_string()}),
        Literal::Float(number) => json!({"doubleValue": double(*number)}),
        Literal::Bool(truth) => json!({"boolValue": truth}),
        Literal::Array(items) => json!({"arrayValue": {"values": items.iter().map(literal).collect::<Vec<_>>()}}),
        word @ (Literal::Nil | Literal::Duration(_) | Literal::Status(_) | Literal::Kind(_)) => {
            json!({"stringValue": word.to_string()})
        }
    }
}

/// A floating-point number; JSON has no word for what is not finite, so protobuf has three.
pub(super) fn double(number: f64) -> Value {
    if number.is_nan() {
        return json!("NaN");
    }
    match number {
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        // Go writes a whole number without a point.
        whole if whole.fract() == 0.0 && whole.abs() < 9e15 => json!(whole as i64),
        number => json!(number),
    }
}

/// Attributes of OTLP.
pub(super) fn attributes(attrs: &[KeyValue]) -> Value {
    attrs.iter().map(|attr| json!({"key": attr.key, "value": any_value(attr.value.as_ref())})).collect()
}

fn any_value(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Otlp::StringValue(text)) => json!({"stringValue": text}),
        Some(Otlp::IntValue(number)) => json!({"intValue": number.to_string()}),
        Some(Otlp::DoubleValue(number)) => json!({"doubleValue": double(*number)}),
        Some(Otlp::BoolValue(truth)) => json!({"boolValue": truth}),
        Some(Otlp::ArrayValue(list)) => {
            json!({"arrayValue": {"values": list.values.iter().map(|item| any_value(Some(item))).collect::<Vec<_>>()}})
        }
        Some(Otlp::KvlistValue(map)) => json!({"kvlistValue": {"values": attributes(&map.values)}}),
        Some(Otlp::BytesValue(bytes)) => json!({"bytesValue": base64(bytes)}),
        _ => json!({}),
    }
}

/// An object under construction, to which only what is not empty is added.
#[derive(Default)]
pub(super) struct Object(Map<String, Value>);

impl Object {
    /// Adds a member in any case.
    pub(super) fn put(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a member that is neither 0, nor an empty text, list or object.
    pub(super) fn put_some(self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let empty = match &value {
            Value::Null => true,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Bool(_) => false,
        };
        if empty { self } else { self.put(name, value) }
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// RFC 4648, with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().enumerate().fold(0_u32, |group, (at, byte)| group | u32::from(*byte) << (16 - 8 * at));
        for digit in 0..4 {
            let index = (group >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit <= chunk.len() { char::from(DIGITS[index]) } else { '=' });
        }
    }
    text
}
