//! Splicing members into a body, and leaving every other byte as it was.
//!
//! An object is its chunks joined by commas (see [`Object`]); an edit keeps, rewrites, drops or appends chunks. What is
//! not touched is copied as it stands: number text, white space, key order, duplicates.

use std::borrow::Cow;

use bytes::Bytes;

use crate::api::MemberPath;
use crate::body::Body;
use crate::body::object::{Member, Object};

#[cfg(test)]
mod tests;

/// Changes to one body, applied by [`Edit::build`].
///
/// A later change of a member overrides an earlier one as if that had not been asked for. A member that is set or removed and occurs several times is
/// left once or not at all; values are raw JSON and taken at their word.
#[derive(Debug, Clone)]
#[must_use = "an edit does nothing until it is built"]
pub struct Edit<'a> {
    bytes: &'a Bytes,
    object: &'a Object,
    changes: Changes<'a>,
}

impl<'a> Edit<'a> {
    pub(crate) fn new(bytes: &'a Bytes, object: &'a Object) -> Self {
        Self { bytes, object, changes: Changes::default() }
    }

    /// Sets the top-level member `name` to the JSON text `raw`: in its place, or at the end where it is absent.
    pub fn set(self, name: &'a str, raw: impl Into<Cow<'a, [u8]>>) -> Self {
        self.change(&[name], Base::Raw(raw.into()))
    }

    /// Removes the top-level member `name`, every occurrence of it.
    pub fn remove(self, name: &'a str) -> Self {
        self.change(&[name], Base::Absent)
    }

    /// Sets the member `name` of the top-level object `parent`, which is created where it is absent or no object.
    pub fn set_in(self, parent: &'a str, name: &'a str, raw: impl Into<Cow<'a, [u8]>>) -> Self {
        self.change(&[parent, name], Base::Raw(raw.into()))
    }

    /// Removes the member `name` of the top-level object `parent`; a parent left empty stays, as `{}`.
    pub fn remove_in(self, parent: &'a str, name: &'a str) -> Self {
        self.change(&[parent, name], Base::Absent)
    }

    /// Sets the member at `path`.
    pub fn set_at(self, path: MemberPath, raw: impl Into<Cow<'a, [u8]>>) -> Self {
        match path.parent {
            Some(parent) => self.set_in(parent, path.name, raw),
            None => self.set(path.name, raw),
        }
    }

    /// Sets the member at the end of `path`, whose other names are objects, outermost first.
    pub(crate) fn set_deep(self, path: &[&'a str], raw: impl Into<Cow<'a, [u8]>>) -> Self {
        self.change(path, Base::Raw(raw.into()))
    }

    /// Makes the top-level member `name` what it is in `original`: the same text, or absent.
    pub fn restore(self, name: &'a str, original: &'a Body) -> Self {
        match original.get(name) {
            Some(raw) => self.set(name, raw),
            None => self.remove(name),
        }
    }

    /// The edited body.
    pub fn build(self) -> Bytes {
        if self.changes.0.is_empty() {
            return self.bytes.clone();
        }
        let mut out = Vec::with_capacity(self.bytes.len() + self.changes.size());
        out.extend_from_slice(&self.bytes[..self.object.open - 1]);
        self.changes.render(self.bytes, self.object, &mut out);
        out.extend_from_slice(&self.bytes[self.object.close + 1..]);
        Bytes::from(out)
    }

    fn change(mut self, path: &[&'a str], base: Base<'a>) -> Self {
        let mut changes = &mut self.changes;
        let Some((name, parents)) = path.split_last() else {
            return self;
        };
        for parent in parents {
            changes = &mut changes.of(parent).inside;
        }
        *changes.of(name) = Change { base, inside: Changes::default() };
        self
    }
}

/// Changes to the members of one object, in the order in which they were asked for.
#[derive(Debug, Clone, Default)]
struct Changes<'a>(Vec<(&'a str, Change<'a>)>);

/// What becomes of one member: its new base, and changes inside that.
#[derive(Debug, Clone, Default)]
struct Change<'a> {
    base: Base<'a>,
    inside: Changes<'a>,
}

#[derive(Debug, Clone, Default)]
enum Base<'a> {
    /// As it is in the text, or absent as it is there.
    #[default]
    Original,
    Raw(Cow<'a, [u8]>),
    Absent,
}

impl<'a> Changes<'a> {
    /// The change of `name`, a new and empty one where there is none.
    fn of(&mut self, name: &'a str) -> &mut Change<'a> {
        let index = self.0.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.0.push((name, Change::default()));
            self.0.len() - 1
        });
        &mut self.0[index].1
    }

    /// How many bytes the changes can add at most.
    fn size(&self) -> usize {
        let size_of = |(name, change): &(&str, Change<'_>)| {
            let raw = if let Base::Raw(raw) = &change.base { raw.len() } else { 0 };
            name.len() + "\"\":{},".len() + raw + change.inside.size()
        };
        self.0.iter().map(size_of).sum()
    }

    /// Whether an object made of these changes alone would have members.
    fn create(&self) -> bool {
        self.0.iter().any(|(_, change)| change.yields(false))
    }

    /// Writes `object`, a part of `bytes`, with these changes, braces included.
    fn render(&self, bytes: &[u8], object: &Object, out: &mut Vec<u8>) {
        // Of several members of one name only the last counts, so only that one may stay.
        let lasts: Vec<_> =
            self.0.iter().map(|(name, _)| object.members.iter().rposition(|member| member.is(bytes, name))).collect();
        out.push(b'{');
        let start = out.len();
        for (index, member) in object.members.iter().enumerate() {
            match self.0.iter().position(|(name, _)| member.is(bytes, name)) {
                None => separated(out, start).extend_from_slice(&bytes[member.chunk.clone()]),
                Some(change) if lasts[change] == Some(index) && self.0[change].1.yields(true) => {
                    self.0[change].1.render_member(bytes, member, separated(out, start));
                }
                Some(_) => {}
            }
        }
        for ((name, change), _) in self.0.iter().zip(&lasts).filter(|(_, last)| last.is_none()) {
            if change.yields(false) {
                change.render_new(name, separated(out, start));
            }
        }
        if object.members.is_empty() && out.len() == start {
            out.extend_from_slice(&bytes[object.open..object.close]);
        }
        out.push(b'}');
    }

    /// Writes an object made of these changes alone.
    fn render_created(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        let start = out.len();
        for (name, change) in self.0.iter().filter(|(_, change)| change.yields(false)) {
            change.render_new(name, separated(out, start));
        }
        out.push(b'}');
    }
}

impl Change<'_> {
    /// Whether the member is there after this change, given whether it is there before.
    fn yields(&self, exists: bool) -> bool {
        match self.base {
            Base::Original => exists || self.inside.create(),
            Base::Raw(_) => true,
            Base::Absent => self.inside.create(),
        }
    }

    fn render_member(&self, bytes: &[u8], member: &Member, out: &mut Vec<u8>) {
        out.extend_from_slice(&bytes[member.chunk.start..member.value.start]);
        self.render_value(Some(&bytes[member.value.clone()]), out);
        out.extend_from_slice(&bytes[member.value.end..member.chunk.end]);
    }

    fn render_new(&self, name: &str, out: &mut Vec<u8>) {
        out.push(b'"');
        escape_into(name, out);
        out.extend_from_slice(b"\":");
        self.render_value(None, out);
    }

    fn render_value(&self, original: Option<&[u8]>, out: &mut Vec<u8>) {
        let base = match &self.base {
            Base::Original => original,
            Base::Raw(raw) => Some(raw.as_ref()),
            Base::Absent => None,
        };
        if let Some(raw) = base.filter(|_| self.inside.0.is_empty()) {
            return out.extend_from_slice(raw);
        }
        let object = base.and_then(|raw| Some((raw, Object::scan(raw, usize::MAX).ok()?)));
        match (base, object) {
            (_, Some((raw, object))) => self.inside.render(raw, &object, out),
            (Some(raw), None) if !self.inside.create() => out.extend_from_slice(raw),
            _ => self.inside.render_created(out),
        }
    }
}

/// `out` with a comma after the members written since `start`.
fn separated(out: &mut Vec<u8>, start: usize) -> &mut Vec<u8> {
    if out.len() > start {
        out.push(b',');
    }
    out
}

/// Writes `text` with JSON's escapes, without quotes.
pub(crate) fn escape_into(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
}
