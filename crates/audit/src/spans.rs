//! Reads spans back from JSON lines: one OTLP/JSON export request per line, as the OpenTelemetry file exporter and
//! Candor's own write them.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

/// Spans by trace id.
#[derive(Debug, Default)]
pub struct Spans(HashMap<String, Vec<Span>>);

/// One span.
#[derive(Debug)]
pub struct Span {
    /// `service.name` of the process that made it.
    pub service: Arc<str>,
    /// Its name.
    pub name: String,
    /// Its id, hex.
    pub span_id: String,
    /// Its parent's id, hex; empty for a root.
    pub parent_span_id: String,
    /// Whether its status is error.
    pub error: bool,
    /// From its start to its end, nanoseconds.
    pub duration_ns: u64,
    /// What happened meanwhile, in order.
    pub events: Vec<Event>,
    attributes: BTreeMap<String, Value>,
}

/// A moment within a span.
#[derive(Debug)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// The names of its attributes.
    pub attributes: Vec<String>,
}

/// The scalar attribute values of OTLP; 64-bit integers are strings in its JSON mapping, numbers to some writers.
#[derive(Debug, Deserialize)]
enum Value {
    #[serde(rename = "stringValue")]
    Text(String),
    #[serde(rename = "boolValue")]
    Flag(bool),
    #[serde(rename = "intValue")]
    Whole(Integer),
    #[serde(rename = "doubleValue")]
    Real(f64),
    /// Arrays, maps and bytes: nothing that is compared.
    #[serde(untagged)]
    Other(serde::de::IgnoredAny),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Integer {
    Number(i64),
    Text(String),
}

impl Integer {
    fn value(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Export {
    #[serde(default)]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans {
    #[serde(default)]
    resource: Resource,
    #[serde(default)]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Default, Deserialize)]
struct Resource {
    #[serde(default)]
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
struct ScopeSpans {
    #[serde(default)]
    spans: Vec<WireSpan>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSpan {
    trace_id: String,
    span_id: String,
    #[serde(default)]
    parent_span_id: String,
    name: String,
    #[serde(default)]
    start_time_unix_nano: Option<Integer>,
    #[serde(default)]
    end_time_unix_nano: Option<Integer>,
    #[serde(default)]
    attributes: Vec<Attribute>,
    #[serde(default)]
    events: Vec<WireEvent>,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct WireEvent {
    #[serde(default)]
    name: String,
    #[serde(default)]
    attributes: Vec<Attribute>,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    code: StatusCode,
}

/// OTLP/JSON writes enums as numbers; their names are accepted too.
#[derive(Deserialize)]
#[serde(untagged)]
enum StatusCode {
    Number(i64),
    Name(String),
}

impl Default for StatusCode {
    fn default() -> Self {
        Self::Number(0)
    }
}

#[derive(Deserialize)]
struct Attribute {
    key: String,
    #[serde(default = "nothing")]
    value: Value,
}

fn nothing() -> Value {
    Value::Other(serde::de::IgnoredAny)
}

/// Why spans could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SpansError {
    /// The file cannot be read.
    #[error("cannot read spans from {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A line is no export request.
    #[error("{} line {line} is no OTLP/JSON export request: {error}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

impl Spans {
    /// Reads files of JSON lines.
    ///
    /// # Errors
    /// When one cannot be read, or a line (blank ones aside) is not an export request.
    pub fn read<P: AsRef<Path>>(paths: &[P]) -> Result<Self, SpansError> {
        let mut spans = Self::default();
        for path in paths.iter().map(AsRef::as_ref) {
            let failed = |error| SpansError::Read { path: path.to_owned(), error };
            spans.parse(std::fs::File::open(path).map_err(failed)?, path)?;
        }
        Ok(spans)
    }

    pub(crate) fn parse(&mut self, from: impl Read, path: &Path) -> Result<(), SpansError> {
        for (index, line) in BufReader::new(from).lines().enumerate() {
            let line = line.map_err(|error| SpansError::Read { path: path.to_owned(), error })?;
            if line.trim().is_empty() {
                continue;
            }
            let export = serde_json::from_str(&line).map_err(|error| SpansError::Line {
                path: path.to_owned(),
                line: index + 1,
                error,
            })?;
            self.take_in(export);
        }
        Ok(())
    }

    fn take_in(&mut self, export: Export) {
        for of_resource in export.resource_spans {
            let service = of_resource.resource.service();
            for wire in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let (trace_id, span) = wire.into_span(&service);
                self.0.entry(trace_id).or_default().push(span);
            }
        }
    }

    /// The spans of a trace, in the order in which they were written.
    pub fn of_trace(&self, trace_id: &str) -> &[Span] {
        self.0.get(trace_id).map_or(&[], Vec::as_slice)
    }

    /// How many spans there are.
    pub fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

impl Resource {
    fn service(&self) -> Arc<str> {
        let named = self.attributes.iter().find(|a| a.key == "service.name");
        match named.map(|attribute| &attribute.value) {
            Some(Value::Text(name)) => name.as_str().into(),
            _ => "".into(),
        }
    }
}

impl WireSpan {
    fn into_span(self, service: &Arc<str>) -> (String, Span) {
        let error = match self.status.code {
            StatusCode::Number(code) => code == 2,
            StatusCode::Name(name) => name == "STATUS_CODE_ERROR",
        };
        let attributes = self.attributes.into_iter().map(|a| (a.key, a.value));
        let nanos = |time: Option<Integer>| time.as_ref().and_then(Integer::value).unwrap_or(0);
        let duration = nanos(self.end_time_unix_nano) - nanos(self.start_time_unix_nano);
        let event = |event: WireEvent| Event {
            name: event.name,
            attributes: event.attributes.into_iter().map(|attribute| attribute.key).collect(),
        };
        let span = Span {
            service: Arc::clone(service),
            name: self.name,
            span_id: self.span_id,
            parent_span_id: self.parent_span_id,
            error,
            duration_ns: u64::try_from(duration).unwrap_or(0),
            events: self.events.into_iter().map(event).collect(),
            attributes: attributes.collect(),
        };
        (self.trace_id, span)
    }
}

impl Span {
    /// A numeric attribute.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.attributes.get(key)? {
            Value::Real(number) => Some(*number),
            Value::Whole(number) => number.value().map(|number| number as f64),
            _ => None,
        }
    }

    /// A text attribute.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.attributes.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A yes-or-no attribute.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.attributes.get(key)? {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
