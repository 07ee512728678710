//! The index of an object's members.

use std::ops::Range;

use crate::json::{Cursor, Fault, Text};

/// An object within a text, by the offsets of its parts.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// Offset just past `{`.
    pub(crate) open: usize,
    /// Offset of `}`.
    pub(crate) close: usize,
    /// The members in the order of the text, duplicates included.
    pub(crate) members: Vec<Member>,
}

/// One member, by offsets into the text.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Everything between the delimiters (`{`, `,`, `}`) around the member: its white space, name and value. An object
    /// is its chunks joined by commas, so editing is a matter of replacing chunks.
    pub(crate) chunk: Range<usize>,
    /// The name, without quotes, escapes unresolved.
    pub(crate) key: Range<usize>,
    /// Whether the name has escapes.
    pub(crate) escaped: bool,
    /// The value.
    pub(crate) value: Range<usize>,
}

impl Member {
    fn new(key: &Text<'_>, chunk_start: usize, value: Range<usize>) -> Self {
        Self { chunk: chunk_start..value.end, key: key.range(), escaped: key.is_escaped(), value }
    }

    /// Whether the member is called `name`, escapes resolved.
    pub(crate) fn is(&self, bytes: &[u8], name: &str) -> bool {
        Text::new(&bytes[self.key.clone()], self.key.start, self.escaped).is(name)
    }
}

/// Room for the members of most requests and responses, so that the index is allocated once.
const USUAL_MEMBERS: usize = 8;

impl Object {
    /// Indexes the object that `bytes` consist of, white space around it aside, and proves all of it.
    pub(crate) fn scan(bytes: &[u8], max_members: usize) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(bytes);
        cursor.skip_space();
        let open = cursor.at() + 1;
        let mut members: Vec<Member> = Vec::with_capacity(USUAL_MEMBERS);
        cursor.object(|key, cursor| {
            if members.len() == max_members {
                return cursor.fault("too many members");
            }
            let start = members.last().map_or(open, |last| delimiter(bytes, last.value.end) + 1);
            let value = cursor.at();
            cursor.skip()?;
            members.push(Member::new(&key, start, value..cursor.at()));
            Ok(())
        })?;
        for member in &mut members {
            member.chunk.end = delimiter(bytes, member.value.end);
        }
        let close = cursor.at() - 1;
        cursor.end()?;
        Ok(Self { open, close, members })
    }

    /// The last member called `name`.
    pub(crate) fn last(&self, bytes: &[u8], name: &str) -> Option<&Member> {
        self.members.iter().rfind(|member| member.is(bytes, name))
    }
}

/// The raw value of the last member called `name` of the object `raw`; `None` where `raw` is no object.
pub(crate) fn find<'a>(raw: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut found = None;
    let walked = Cursor::new(raw).object(|key, cursor| {
        let value = cursor.raw()?;
        if key.is(name) {
            found = Some(value);
        }
        Ok(())
    });
    walked.ok().and(found)
}

/// Offset of the first byte at or after `at` that is not white space.
fn delimiter(bytes: &[u8], at: usize) -> usize {
    let space = bytes[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\t' | b'\r'));
    at + space.count()
}
