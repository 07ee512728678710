//! From OTLP's messages into a block: texts interned, identities checked, and everything cut down to a bounded size.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Otlp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as OtlpSpan};
use telemetry::clock::Moment;

use super::block::Strings;
use super::limits::SpanLimits;
use super::model::{
    Attr, Event, Extra, Kind, Link, Rare, Resource, Scope, Span, SpanId, Status, Stored as Value, Sym, TraceId,
};
use super::store::{SpanStore, Stored};

/// What became of the spans of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Spans added.
    pub spans: u64,
    /// Spans that had been sent before, and are kept once.
    pub repeated: u64,
    /// Spans left out because they lack a valid identity.
    pub rejected: u64,
    /// Values cut or left out to keep spans bounded.
    pub truncated: u64,
}

impl SpanStore {
    /// Adds what came in one request, and drops the oldest spans where there is no more room. Spans that are not valid are
    /// left out and counted; the others are kept all the same.
    pub fn insert(&self, batch: &[ResourceSpans], now: Moment) -> Accepted {
        let mut stored = self.write();
        let mut writer = Writer::new(&mut stored, self.limits().span, now);
        for group in batch {
            writer.group(group);
        }
        let accepted = writer.finish();
        stored.prune(self.limits(), now);
        accepted
    }
}

/// Writes the spans of one request into the store.
struct Writer<'a> {
    stored: &'a mut Stored,
    limits: SpanLimits,
    now: Moment,
    accepted: Accepted,
}

impl<'a> Writer<'a> {
    fn new(stored: &'a mut Stored, limits: SpanLimits, now: Moment) -> Self {
        Self { stored, limits, now, accepted: Accepted::default() }
    }

    fn finish(self) -> Accepted {
        self.accepted
    }

    /// The spans of one sender.
    fn group(&mut self, group: &ResourceSpans) {
        for scoped in &group.scope_spans {
            // Where these are written to; void as soon as a block is begun.
            let mut places = None;
            for span in &scoped.spans {
                let (block, fresh) = self.stored.open(self.now);
                if fresh {
                    places = None;
                }
                let mut cut = Cut { strings: block.strings_mut(), limits: self.limits, truncated: 0 };
                let Some(mut made) = cut.span(span) else {
                    self.accepted.rejected += 1;
                    continue;
                };
                let (resource, scope) = match places {
                    Some(places) => places,
                    None => {
                        let (resource, scope) = (cut.resource(group), cut.scope(scoped));
                        self.accepted.truncated += std::mem::take(&mut cut.truncated);
                        *places.insert((block.add_resource(resource), block.add_scope(scope)))
                    }
                };
                (made.resource, made.scope) = (resource, scope);
                self.add(made);
            }
        }
    }

    fn add(&mut self, span: Span) {
        if self.stored.knows(&span) {
            self.accepted.repeated += 1;
        } else {
            self.stored.push(span);
            self.accepted.spans += 1;
        }
    }
}

/// Makes our values of OTLP's, within the limits.
struct Cut<'a> {
    strings: &'a mut Strings,
    limits: SpanLimits,
    truncated: u64,
}

impl Cut<'_> {
    /// `None` where the span has no valid identity.
    fn span(&mut self, span: &OtlpSpan) -> Option<Span> {
        let trace = u128::from_be_bytes(span.trace_id.as_slice().try_into().ok()?);
        let id = span_id(&span.span_id)?;
        if trace == 0 || id == SpanId::default() {
            return None;
        }
        let parent = if span.parent_span_id.is_empty() { SpanId::default() } else { span_id(&span.parent_span_id)? };
        let status = span.status.as_ref();
        Some(Span {
            trace: TraceId(trace),
            id,
            parent,
            start: span.start_time_unix_nano,
            duration: span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano),
            name: self.text(&span.name),
            message: self.text(status.map_or("", |status| &status.message)),
            resource: 0,
            scope: 0,
            status: Status::from_otlp(status.map_or(0, |status| status.code)),
            kind: Kind::from_otlp(span.kind),
            attrs: self.attrs(&span.attributes).into_boxed_slice(),
            extra: self.extra(span),
        })
    }

    fn extra(&mut self, span: &OtlpSpan) -> Option<Box<Extra>> {
        let counts = [span.flags, span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count];
        let plain = span.events.is_empty() && span.links.is_empty() && span.trace_state.is_empty();
        if plain && counts == [0; 4] {
            return None;
        }
        let most = self.limits.events;
        let (lost_events, lost_links) = (over(span.events.len(), most), over(span.links.len(), most));
        self.truncated += u64::from(lost_events) + u64::from(lost_links);
        let events = span.events.iter().take(most).map(|event| Event {
            at: event.time_unix_nano,
            name: self.text(&event.name),
            attrs: self.attrs(&event.attributes),
        });
        let events = events.collect();
        let links = span.links.iter().take(most).filter_map(|link| {
            let trace = u128::from_be_bytes(link.trace_id.as_slice().try_into().ok()?);
            Some(Link { trace: TraceId(trace), span: span_id(&link.span_id)?, attrs: self.attrs(&link.attributes) })
        });
        let links = links.collect();
        Some(Box::new(Extra {
            events,
            links,
            trace_state: self.cut(&span.trace_state).to_owned(),
            flags: span.flags,
            dropped_attrs: span
                .dropped_attributes_count
                .saturating_add(over(span.attributes.len(), self.limits.attributes)),
            dropped_events: span.dropped_events_count.saturating_add(lost_events),
            dropped_links: span.dropped_links_count.saturating_add(lost_links),
        }))
    }

    fn resource(&mut self, group: &ResourceSpans) -> Resource {
        let attrs = group.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        let attrs = self.attrs(attrs).into_boxed_slice();
        let key = self.strings.find("service.name");
        let service = attrs.iter().find(|attr| Some(attr.key) == key).and_then(|attr| match attr.value {
            Value::Text(service) => Some(service),
            _ => None,
        });
        Resource { service, attrs }
    }

    fn scope(&mut self, scoped: &ScopeSpans) -> Scope {
        let empty = InstrumentationScope::default();
        let scope = scoped.scope.as_ref().unwrap_or(&empty);
        Scope {
            name: self.text(&scope.name),
            version: self.text(&scope.version),
            attrs: self.attrs(&scope.attributes).into_boxed_slice(),
        }
    }

    fn attrs(&mut self, attrs: &[KeyValue]) -> Vec<Attr> {
        self.attrs_at(attrs, self.limits.depth)
    }

    fn attrs_at(&mut self, attrs: &[KeyValue], depth: usize) -> Vec<Attr> {
        self.truncated += u64::from(over(attrs.len(), self.limits.attributes));
        let kept = attrs.iter().take(self.limits.attributes);
        kept.map(|attr| Attr { key: self.text(&attr.key), value: self.value(attr.value.as_ref(), depth) }).collect()
    }

    fn value(&mut self, value: Option<&AnyValue>, depth: usize) -> Value {
        match value.and_then(|value| value.value.as_ref()) {
            Some(Otlp::StringValue(text)) => Value::Text(self.text(text)),
            Some(Otlp::IntValue(number)) => Value::Int(*number),
            Some(Otlp::DoubleValue(number)) => Value::Float(*number),
            Some(Otlp::BoolValue(truth)) => Value::Bool(*truth),
            Some(other) => Value::Other(Box::new(self.rare(other, depth))),
            None => Value::Other(Box::new(Rare::Empty)),
        }
    }

    fn rare(&mut self, value: &Otlp, depth: usize) -> Rare {
        let Some(deeper) = depth.checked_sub(1) else {
            self.truncated += 1;
            return Rare::Empty;
        };
        match value {
            Otlp::ArrayValue(list) => {
                self.truncated += u64::from(over(list.values.len(), self.limits.attributes));
                let kept = list.values.iter().take(self.limits.attributes);
                Rare::Array(kept.map(|item| self.value(Some(item), deeper)).collect())
            }
            Otlp::KvlistValue(map) => Rare::Map(self.attrs_at(&map.values, deeper)),
            Otlp::BytesValue(bytes) => {
                let most = bytes.len().min(self.limits.text_bytes);
                self.truncated += u64::from(most < bytes.len());
                Rare::Bytes(bytes[..most].to_vec())
            }
            _ => Rare::Empty,
        }
    }

    fn text(&mut self, text: &str) -> Sym {
        let text = self.cut(text);
        self.strings.intern(text)
    }

    /// The text, or its beginning where it is too long.
    fn cut<'t>(&mut self, text: &'t str) -> &'t str {
        if text.len() <= self.limits.text_bytes {
            return text;
        }
        self.truncated += 1;
        &text[..text.floor_char_boundary(self.limits.text_bytes)]
    }
}

fn span_id(bytes: &[u8]) -> Option<SpanId> {
    Some(SpanId(u64::from_be_bytes(bytes.try_into().ok()?)))
}

/// How many of `len` are beyond `most`.
fn over(len: usize, most: usize) -> u32 {
    u32::try_from(len.saturating_sub(most)).unwrap_or(u32::MAX)
}
