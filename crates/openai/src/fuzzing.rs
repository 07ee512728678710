//! What must hold for any input: run over generated inputs by the property tests, and over hostile ones by the fuzz
//! targets in `fuzz/`. Each function panics where its property is broken.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::sse::{Event, Filter, Scanner, Verdict};
use crate::{Api, Body, Edit, TokenMeter, Usage};

mod plain;
#[cfg(test)]
mod tests;

/// A body is accepted where a plain JSON parser accepts it as an object, and has that parser's values; reading its head and
/// editing it then cannot fail.
pub fn body(data: &[u8]) {
    let parsed = Body::parse(Bytes::copy_from_slice(data));
    let plain = match serde_json::from_slice::<Value>(data) {
        // A double cannot hold it, a relay has no need to.
        Err(error) if error.to_string().contains("out of range") => return,
        Ok(Value::Object(map)) => Some(map),
        _ => None,
    };
    assert_eq!(parsed.is_ok(), plain.is_some(), "{parsed:?}");
    match (parsed, plain) {
        (Ok(body), Some(map)) => accepted(&body, &map),
        (Err(error), _) => assert!(error.offset <= data.len(), "{error}"),
        (Ok(_), None) => {}
    }
}

fn accepted(body: &Body, map: &Map<String, Value>) {
    for (name, value) in map {
        let raw = body.get(name).unwrap_or_default();
        assert_eq!(serde_json::from_slice::<Value>(raw).ok().as_ref(), Some(value), "{name}");
    }
    for api in Api::ALL {
        if let Err(error) = body.head(api) {
            assert!(error.param.is_some() && error.offset < body.bytes().len(), "{error}");
        }
    }
    edit(body, map, &[Op::Remove("kv_transfer_params"), Op::SetIn("sampling_params", "max_tokens", "1")]);
    edit(body, map, &[Op::Set("stream", "false"), Op::RemoveIn("stream_options", "include_usage")]);
}

/// One step of an edit, with JSON texts as values.
#[derive(Debug, Clone, Copy)]
pub enum Op<'a> {
    /// `Edit::set`.
    Set(&'a str, &'a str),
    /// `Edit::remove`.
    Remove(&'a str),
    /// `Edit::set_in`.
    SetIn(&'a str, &'a str, &'a str),
    /// `Edit::remove_in`.
    RemoveIn(&'a str, &'a str),
}

impl<'a> Op<'a> {
    fn apply(self, edit: Edit<'a>) -> Edit<'a> {
        match self {
            Self::Set(name, raw) => edit.set(name, raw.as_bytes()),
            Self::Remove(name) => edit.remove(name),
            Self::SetIn(parent, name, raw) => edit.set_in(parent, name, raw.as_bytes()),
            Self::RemoveIn(parent, name) => edit.remove_in(parent, name),
        }
    }

    /// Whether it decides what becomes of the member that `earlier` touches.
    fn overrides(self, earlier: Self) -> bool {
        match (self, earlier) {
            (Self::Set(..) | Self::Remove(_), _) => self.touches() == earlier.touches(),
            (
                Self::SetIn(parent, name, _) | Self::RemoveIn(parent, name),
                Self::SetIn(other, member, _) | Self::RemoveIn(other, member),
            ) => (parent, name) == (other, member),
            _ => false,
        }
    }

    /// The top-level member that it touches.
    fn touches(self) -> &'a str {
        match self {
            Self::Set(name, _) | Self::Remove(name) | Self::SetIn(name, ..) | Self::RemoveIn(name, _) => name,
        }
    }
}

/// Editing in place equals editing a map, leaves the text of every other member alone, and changes nothing when repeated.
pub fn edit(body: &Body, map: &Map<String, Value>, ops: &[Op<'_>]) {
    let apply = |body: &Body| ops.iter().fold(body.edit(), |edit, op| op.apply(edit)).build();
    let built = apply(body);
    let mut expected = map.clone();
    plain::effective(ops).for_each(|op| plain::apply(op, &mut expected));
    assert_eq!(serde_json::from_slice::<Value>(&built).ok(), Some(Value::Object(expected)), "{ops:?}");

    let Ok(rebuilt) = Body::parse(built.clone()) else { panic!("an edit made no JSON: {built:?}") };
    assert_eq!(untouched(&rebuilt, ops), untouched(body, ops), "{ops:?}");
    assert_eq!(apply(&rebuilt), built, "{ops:?}");
}

/// Names and values, as they stand, of the members that no step touches.
fn untouched<'b>(body: &'b Body, ops: &[Op<'_>]) -> Vec<(&'b [u8], &'b [u8])> {
    body.texts(|is| !ops.iter().any(|op| is(op.touches())))
}

/// Events are those of a plain parser that has the whole stream at once, however the stream is cut; a filter that keeps
/// everything keeps every byte, and one that drops or rewrites events leaves the others. `cuts` are the lengths of the chunks, repeated.
pub fn sse(stream: &[u8], cuts: &[u8]) {
    let chunks = cut(stream, cuts);
    let expected = plain::events(stream);
    assert_eq!(scan(&chunks), expected);

    let all = filter(&chunks, |_| Verdict::Keep);
    assert_eq!(all, stream);
    let mut small = Filter::new(4);
    let mut out = Vec::new();
    chunks.iter().for_each(|chunk| small.push(chunk, |_| Verdict::Keep, &mut out));
    small.finish(|_| Verdict::Keep, &mut out);
    assert_eq!(out.concat(), stream);
    // A byte order mark further in means nothing, until what stands before it is dropped.
    if !stream.windows(3).skip(1).any(|bytes| bytes == b"\xEF\xBB\xBF") {
        changed(&chunks, &expected);
    }
}

/// What a filter drops is gone, what it rewrites is rewritten, and nothing else has changed.
fn changed(chunks: &[Bytes], expected: &[plain::Event]) {
    let odd = |event: &Event<'_>| event.data.len() % 2 == 1;
    let evens = filter(chunks, |event| if odd(event) { Verdict::Drop } else { Verdict::Keep });
    let kept: Vec<_> = expected.iter().filter(|event| event.data.len() % 2 == 0).cloned().collect();
    assert_eq!(plain::events(&evens), kept, "{:?}", String::from_utf8_lossy(&evens));
    let rewritten = filter(chunks, |event| Verdict::ReplaceData(Bytes::from([b"<", event.data, b">"].concat())));
    let wrapped: Vec<_> = expected.iter().map(plain::Event::wrapped).collect();
    assert_eq!(plain::events(&rewritten), wrapped, "{:?}", String::from_utf8_lossy(&rewritten));
}

fn scan(chunks: &[Bytes]) -> Vec<plain::Event> {
    let mut seen = Vec::new();
    let mut end = 0;
    let mut note = |event: Event<'_>| {
        assert!(event.range.start >= end && event.range.end > event.range.start);
        end = event.range.end;
        seen.push(plain::Event::new(event.event, event.data));
    };
    let mut scanner = Scanner::default();
    chunks.iter().for_each(|chunk| scanner.push(chunk, &mut note));
    scanner.finish(&mut note);
    seen
}

fn filter(chunks: &[Bytes], mut judge: impl FnMut(&Event<'_>) -> Verdict) -> Vec<u8> {
    let mut filter = Filter::default();
    let mut out = Vec::new();
    chunks.iter().for_each(|chunk| filter.push(chunk, &mut judge, &mut out));
    filter.finish(&mut judge, &mut out);
    out.concat()
}

fn cut(stream: &[u8], cuts: &[u8]) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(stream);
    let mut chunks = Vec::new();
    let mut lengths = cuts.iter().cycle();
    while !rest.is_empty() {
        let length = lengths.next().map_or(usize::MAX, |length| usize::from(*length).max(1));
        chunks.push(rest.split_to(length.min(rest.len())));
    }
    chunks
}

/// A meter takes any data; what is no JSON object it calls malformed, and of what is one it says what a plain reading of the three rules says.
pub fn meter(events: &[&[u8]]) {
    let mut meter = TokenMeter::new();
    let mut reference = plain::Meter::default();
    for data in events {
        let chunk = meter.feed(data);
        let Ok(text) = std::str::from_utf8(data) else { continue };
        let value = match serde_json::from_str::<Value>(text) {
            Err(error) if error.to_string().contains("out of range") => continue,
            read => read.ok().filter(Value::is_object),
        };
        assert_eq!(chunk.malformed, value.is_none() && *data != b"[DONE]", "{text}");
        let Some(value) = value.filter(|_| !plain::has_duplicates(text)) else { continue };
        assert_eq!((chunk.tokens, chunk.exact), reference.feed(&value), "{text}");
        assert_eq!(Usage::from_response(data).is_some(), value.get("usage").is_some_and(Value::is_object), "{text}");
    }
}
