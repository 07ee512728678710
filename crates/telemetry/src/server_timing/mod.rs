//! The `Server-Timing` header: how the coordinator tells the gateway, and the gateway its client, where the time went.
//!
//! Only durations travel, so no clock has to agree with another. Written and read in this one place. On the wire a
//! duration is in milliseconds with three decimals, as the specification's unit and browsers' precision want it.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

/// Header (and trailer) name `server-timing`.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Names of the entries.
pub mod name {
    /// Where the coordinator's clock starts; its `desc` says who measured.
    pub const ORIGIN: &str = "origin";
    /// Prefill leg, sent to done.
    pub const PREFILL: &str = "prefill";
    /// The coordinator's own work between the legs.
    pub const COORDINATION: &str = "coordination";
    /// Prefill done to the decoder's start, `coordination` included.
    pub const KV_TRANSFER: &str = "kv_transfer";
    /// The first decode step.
    pub const FIRST_DECODE: &str = "first_decode";
    /// Origin to first token relayed.
    pub const TRUE_TTFT: &str = "true_ttft";
    /// Origin to last byte relayed.
    pub const TOTAL: &str = "total";
}

/// Metrics of one or several `Server-Timing` headers, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerTiming {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: Cow<'static, str>,
    nanos: Option<u64>,
    description: Option<Cow<'static, str>>,
}

impl ServerTiming {
    /// Adds a duration in nanoseconds; nothing where it could not be measured.
    #[must_use]
    pub fn with(mut self, name: &'static str, nanos: Option<u64>) -> Self {
        if nanos.is_some() {
            self.entries.push(Entry { name: name.into(), nanos, description: None });
        }
        self
    }

    /// Adds a description. It must consist of token characters, as all of ours do.
    #[must_use]
    pub fn describe(mut self, name: &'static str, description: &'static str) -> Self {
        self.entries.push(Entry { name: name.into(), nanos: None, description: Some(description.into()) });
        self
    }

    /// Reads all `Server-Timing` headers of a response (or its trailers). Entries that break the grammar are skipped: a
    /// peer's mistake must not cost the request.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let values = headers.get_all(SERVER_TIMING).iter().filter_map(|value| value.to_str().ok());
        Self { entries: values.flat_map(|value| split_outside_quotes(value, ',')).filter_map(entry).collect() }
    }

    /// Reads one header value.
    pub fn parse(value: &str) -> Self {
        Self { entries: split_outside_quotes(value, ',').filter_map(entry).collect() }
    }

    /// The duration of the first entry called `name`, in nanoseconds.
    pub fn nanos(&self, name: &str) -> Option<u64> {
        self.entries.iter().find(|entry| entry.name == name && entry.nanos.is_some())?.nanos
    }

    /// The description of the first entry called `name`.
    pub fn description(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|entry| entry.name == name)?.description.as_deref()
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes over the entries of `later` that are not here yet, and replaces those that are: a trailer knows more than the
    /// header did.
    pub fn merge(&mut self, later: Self) {
        for entry in later.entries {
            match self.entries.iter_mut().find(|mine| mine.name == entry.name) {
                Some(mine) => *mine = entry,
                None => self.entries.push(entry),
            }
        }
    }

    /// The header value; empty where there are no entries.
    pub fn to_header(&self) -> String {
        let mut text = String::with_capacity(self.entries.len() * 24);
        for entry in &self.entries {
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(&entry.name);
            if let Some(description) = &entry.description {
                text.push_str(";desc=");
                text.push_str(description);
            }
            if let Some(nanos) = entry.nanos {
                text.push_str(";dur=");
                push_millis(&mut text, nanos.saturating_add(500) / 1000);
            }
        }
        text
    }
}

/// Appends microseconds as milliseconds with three decimals. A response has several of them, so not by way of the formatter.
fn push_millis(text: &mut String, micros: u64) {
    let mut digits = [b'0'; 24];
    let (mut at, mut rest) = (digits.len(), micros);
    for place in 0.. {
        if place == 3 {
            at -= 1;
            digits[at] = b'.';
        }
        if place > 3 && rest == 0 {
            break;
        }
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text.extend(digits[at..].iter().copied().map(char::from));
}

fn entry(text: &str) -> Option<Entry> {
    let mut parts = split_outside_quotes(text, ';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty() && !name.contains([' ', '"', '=']))?;
    let mut entry = Entry { name: Cow::Owned(name.to_owned()), nanos: None, description: None };
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match key.trim() {
            "dur" if entry.nanos.is_none() => entry.nanos = duration(value),
            "desc" if entry.description.is_none() => entry.description = Some(Cow::Owned(value.to_owned())),
            _ => {}
        }
    }
    Some(entry)
}

/// Milliseconds with decimals into nanoseconds; `None` for what is not a finite, non-negative number.
fn duration(text: &str) -> Option<u64> {
    let millis: f64 = text.parse().ok()?;
    (millis.is_finite() && (0.0..1e12).contains(&millis)).then(|| (millis * 1e6).round() as u64)
}

fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

#[cfg(test)]
mod tests;
