//! The null OTLP collector: counts spans by name, keeps nothing.
//!
//! An export request is walked by its field numbers alone (opentelemetry-proto, `collector/trace/v1/trace_service.proto`):
//! `resource_spans` = 1, in it `scope_spans` = 2, in it `spans` = 2, in it `name` = 5.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the engine process has seen; the answer to `GET /bench/stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// Answers being sent bit by bit.
    pub(crate) streams: u64,
    /// Most streams at once since the start or the last `POST /bench/stats`.
    pub(crate) streams_peak: u64,
    /// Watched clients that left before their answer was whole, and when their connection was found closed, since the start or
    /// the last `POST /bench/stats`.
    pub(crate) left: Vec<(u64, u64)>,
    /// Spans by export path prefix, then by span name.
    pub(crate) spans: BTreeMap<String, BTreeMap<String, u64>>,
    /// Export requests that could not be read.
    pub(crate) unreadable: u64,
}

impl Stats {
    /// Counts the spans of one export request that came to `source`.
    pub(crate) fn count(&mut self, source: &str, export: &[u8]) {
        let mut names = Vec::new();
        if spans(export, &mut |name| names.push(name)).is_none() {
            self.unreadable += 1;
        }
        let counts = self.spans.entry(source.to_owned()).or_default();
        for name in names {
            match counts.get_mut(name) {
                Some(count) => *count += 1,
                None => _ = counts.insert(name.to_owned(), 1),
            }
        }
    }

    /// One more stream has begun.
    pub(crate) fn stream_begun(&mut self) {
        self.streams += 1;
        self.streams_peak = self.streams_peak.max(self.streams);
    }
}

fn spans<'a>(export: &'a [u8], each: &mut impl FnMut(&'a str)) -> Option<()> {
    messages(export, 1, &mut |resource_spans| {
        messages(resource_spans, 2, &mut |scope_spans| {
            messages(scope_spans, 2, &mut |span| {
                messages(span, 5, &mut |name| {
                    each(std::str::from_utf8(name).ok()?);
                    Some(())
                })
            })
        })
    })
}

/// Calls `each` for every length-delimited field `wanted` of a protobuf message; `None` where it is malformed.
fn messages<'a>(mut message: &'a [u8], wanted: u64, each: &mut impl FnMut(&'a [u8]) -> Option<()>) -> Option<()> {
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match tag & 7 {
            0 => _ = varint(&mut message)?,
            1 => _ = take(&mut message, 8)?,
            5 => _ = take(&mut message, 4)?,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let field = take(&mut message, length)?;
                if tag >> 3 == wanted {
                    each(field)?;
                }
            }
            _ => return None,
        }
    }
    Some(())
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length-delimited field.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        bytes.extend_from_slice(content);
        bytes
    }

    fn export(names: &[&str]) -> Vec<u8> {
        let spans: Vec<u8> = names
            .iter()
            .flat_map(|name| {
                let span = [
                    &field(1, &[0; 16])[..],
                    &field(5, name.as_bytes()),
                    &[6 << 3, 1, 7 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0],
                ]
                .concat();
                field(2, &span)
            })
            .collect();
        field(1, &[field(1, b""), field(2, &[field(1, b""), spans].concat())].concat())
    }

    #[test]
    fn spans_are_counted_by_source_and_name() {
        let mut stats = Stats::default();
        stats.count("/gateway", &export(&["a", "b", "a"]));
        stats.count("/gateway", &export(&["a"]));
        stats.count("/sidecar", &export(&["b"]));
        assert_eq!(stats.spans["/gateway"], BTreeMap::from([("a".to_owned(), 3), ("b".to_owned(), 1)]));
        assert_eq!(stats.spans["/sidecar"]["b"], 1);
        assert_eq!(stats.unreadable, 0);
    }

    #[test]
    fn a_half_export_is_counted_as_unreadable() {
        let bytes = export(&["a"]);
        let mut stats = Stats::default();
        stats.count("/x", &bytes[..bytes.len() - 3]);
        assert_eq!(stats.unreadable, 1);
    }
}
