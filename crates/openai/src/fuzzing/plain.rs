//! The same things done plainly, over decoded values and whole streams.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use super::Op;

/// The steps that no later one overrides.
pub(super) fn effective<'a>(ops: &[Op<'a>]) -> impl Iterator<Item = Op<'a>> {
    let last = |at: usize| !ops[at + 1..].iter().any(|later| later.overrides(ops[at]));
    (0..ops.len()).filter(move |at| last(*at)).map(|at| ops[at])
}

/// One edit step on a map.
pub(super) fn apply(op: Op<'_>, map: &mut Map<String, Value>) {
    let value = |raw| serde_json::from_str(raw).unwrap_or_default();
    match op {
        Op::Set(name, raw) => drop(map.insert(name.into(), value(raw))),
        Op::Remove(name) => drop(map.remove(name)),
        Op::SetIn(parent, name, raw) => {
            let parent = map.entry(parent).or_insert_with(|| json!({}));
            if !parent.is_object() {
                *parent = json!({});
            }
            parent[name] = value(raw);
        }
        Op::RemoveIn(parent, name) => {
            if let Some(Value::Object(parent)) = map.get_mut(parent) {
                parent.remove(name);
            }
        }
    }
}

/// An event with its parts in its own memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    name: Option<Vec<u8>>,
    pub(super) data: Vec<u8>,
}

impl Event {
    pub(super) fn new(name: Option<&[u8]>, data: &[u8]) -> Self {
        Self { name: name.map(<[u8]>::to_vec), data: data.to_vec() }
    }

    /// The event with its data between angle brackets.
    pub(super) fn wrapped(&self) -> Self {
        Self { name: self.name.clone(), data: [b"<", self.data.as_slice(), b">"].concat() }
    }
}

/// The events of a whole stream, by the letter of the HTML standard, but for an event that the stream's end cuts off.
pub(super) fn events(stream: &[u8]) -> Vec<Event> {
    let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let mut text = Vec::new();
    for (at, &byte) in stream.iter().enumerate() {
        match byte {
            b'\n' if at > 0 && stream[at - 1] == b'\r' => {}
            b'\r' => text.push(b'\n'),
            _ => text.push(byte),
        }
    }
    text.extend_from_slice(b"\n\n");
    let mut events = Vec::new();
    let (mut name, mut data) = (None, Vec::new());
    for line in text.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            _ if line.is_empty() => {
                let (name, data) = (name.take(), std::mem::take(&mut data));
                if let Some((_, data)) = data.split_last() {
                    events.push(Event { name, data: data.to_vec() });
                }
            }
            b"data" => data.extend(value.iter().chain(b"\n")),
            b"event" => name = Some(value.to_vec()),
            _ => {}
        }
    }
    events
}

/// The predicate of the meter over decoded chunks.
#[derive(Debug, Default)]
pub(super) struct Meter {
    counted: std::collections::BTreeMap<u64, u64>,
    silent: bool,
}

impl Meter {
    /// Tokens of the chunk, and whether that is the engine's count.
    pub(super) fn feed(&mut self, chunk: &Value) -> (u32, bool) {
        let none = Vec::new();
        let choices = chunk["choices"].as_array().unwrap_or(&none);
        let growth = self.growth(choices, &chunk["usage"]);
        let known: usize = choices.iter().map(|choice| ids(choice).unwrap_or(0)).sum();
        let shown = choices.iter().filter(|choice| ids(choice).unwrap_or(0) == 0 && shows(choice, true)).count();
        let blank = choices.iter().filter(|choice| is_blank(choice)).count();
        let (tokens, exact) = match growth {
            _ if known > 0 => (known + shown, shown == 0),
            Some(growth) if growth > 0 => return (u32::try_from(growth).unwrap_or(u32::MAX), true),
            _ if shown > 0 => (shown, false),
            Some(_) => (0, false),
            None => (blank + usize::from(typed(chunk)), false),
        };
        (u32::try_from(tokens).unwrap_or(u32::MAX), exact)
    }

    fn growth(&mut self, choices: &[Value], usage: &Value) -> Option<u64> {
        self.silent |= !choices.is_empty() && !usage.is_object();
        let [choice] = choices else { return None };
        let index = match choice.get("index") {
            None => 0,
            Some(index) => index.as_u64()?,
        };
        if !usage.is_object() || self.silent || index >= 256 {
            return None;
        }
        let count = |name| usage.get(name).map(|count: &Value| count.as_u64().unwrap_or(0));
        let now = count("completion_tokens").or_else(|| count("output_tokens")).unwrap_or(0);
        let before = self.counted.entry(index).or_default();
        let growth = now.saturating_sub(*before);
        *before = now.max(*before);
        Some(growth)
    }
}

fn ids(choice: &Value) -> Option<usize> {
    [&choice["token_ids"], &choice["delta"]["token_ids"]].into_iter().find_map(|ids| ids.as_array().map(Vec::len))
}

/// Whether the choice has an output member that is not empty, or one that is there and empty.
fn shows(choice: &Value, some: bool) -> bool {
    let delta = &choice["delta"];
    let members =
        [&choice["text"], &delta["content"], &delta["reasoning"], &delta["reasoning_content"], &delta["tool_calls"]];
    members.iter().any(|member| match member {
        Value::String(text) => text.is_empty() != some,
        Value::Array(items) => some && !items.is_empty(),
        _ => false,
    })
}

fn is_blank(choice: &Value) -> bool {
    let role = choice["delta"].get("role").is_some_and(|role| !role.is_null());
    !shows(choice, true)
        && shows(choice, false)
        && !role
        && !choice["finish_reason"].is_string()
        && ids(choice).is_none()
}

fn typed(chunk: &Value) -> bool {
    let kind = chunk["type"].as_str().unwrap_or_default();
    let delta = &chunk["delta"];
    let full = |text: &Value| match text {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    let shown = [delta, &delta["text"], &delta["thinking"], &delta["partial_json"]].into_iter().any(full);
    shown && (kind == "content_block_delta" || kind.ends_with(".delta"))
}

/// Whether an object in `text` has two members of one name, or a name with escapes: engines write neither, and a meter does
/// not look for them.
pub(super) fn has_duplicates(text: &str) -> bool {
    text.contains("\\u") || text.contains("output_tokens") || serde_json::from_str::<Unique>(text).is_err()
}

/// Any value whose objects have no duplicate members.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut names = std::collections::BTreeSet::new();
        while let Some((name, Self)) = members.next_entry::<String, Self>()? {
            if !names.insert(name) {
                return Err(serde::de::Error::custom("duplicate member"));
            }
        }
        Ok(self)
    }
}
