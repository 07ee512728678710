//! What one walk over a chunk's JSON finds. No value is built and nothing is allocated.

use super::FinishReason;
use crate::Usage;
use crate::json::{Cursor, Fault};

type Step = Result<(), Fault>;

/// How the chunks of one stream open: the members before `choices`, which say nothing of tokens.
///
/// Engines repeat `id`, `object`, `created` and `model` byte by byte on every chunk, and they are the larger part of it.
/// A walk depends on nothing but the bytes, so one that begins with the same bytes is in the same state after them.
#[derive(Debug, Default)]
pub(super) struct Opening(Vec<u8>);

impl Opening {
    /// Longer ones are walked every time: thousands of streams live side by side.
    const LONGEST: usize = 512;

    /// Where the member `choices` begins in `data`, if it opens as the last chunk did.
    fn of(&self, data: &[u8]) -> Option<usize> {
        (!self.0.is_empty() && data.starts_with(&self.0)).then_some(self.0.len())
    }

    fn remember(&mut self, bytes: &[u8]) {
        self.0.clear();
        if bytes.len() <= Self::LONGEST {
            self.0.extend_from_slice(bytes);
        }
    }
}

/// What a chunk says, summed over its choices.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Whether there is a list of choices, and how many are in it.
    pub(super) has_choices: bool,
    pub(super) choices: u32,
    /// The index of the last choice.
    pub(super) index: usize,
    /// Token ids.
    pub(super) ids: u32,
    /// Choices that have no ids and show output.
    pub(super) shown: u32,
    /// Choices that have no ids and whose only output is empty, without a role and without a finish reason.
    pub(super) blank: u32,
    pub(super) finish: Option<FinishReason>,
    pub(super) usage: Option<Usage>,
    pub(super) error: bool,
    pub(super) typed: Typed,
}

/// What an event says whose kind is in its `type` member: Anthropic's and the Responses API.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Typed {
    /// There is such a member.
    pub(super) named: bool,
    /// It carries output.
    pub(super) bearing: bool,
    /// It closes the stream.
    pub(super) done: bool,
    pub(super) error: bool,
    pub(super) finish: Option<FinishReason>,
    /// Usage inside the `message` or `response` that the event reports.
    pub(super) usage: Option<Usage>,
    /// It has a `delta` that shows output.
    delta: bool,
    /// Its `type` is that of a delta.
    is_delta: bool,
}

impl Found {
    /// Walks `data`. What `opening` has seen before is not walked again.
    pub(super) fn read(data: &[u8], opening: &mut Opening) -> Result<Self, Fault> {
        let mut found = Self::default();
        let mut cursor = match opening.of(data) {
            Some(known) => {
                let mut cursor = Cursor::at_member(data, known);
                cursor.members(|key, cursor| found.member(key.raw(), cursor))?;
                cursor
            }
            None => found.read_whole(data, opening)?,
        };
        cursor.end()?;
        found.typed.bearing = found.typed.is_delta && found.typed.delta;
        Ok(found)
    }

    /// Walks `data` from its first byte, and remembers how it opens.
    fn read_whole<'a>(&mut self, data: &'a [u8], opening: &mut Opening) -> Result<Cursor<'a>, Fault> {
        let mut cursor = Cursor::new(data);
        let (mut members, mut known) = (0, 0);
        cursor.skip_space();
        cursor.object(|key, cursor| {
            // After at least one member, and so after a comma: there another member must follow.
            if key.raw() == b"choices" && members > 0 && *self == Self::default() {
                known = key.range().start - 1;
            }
            members += 1;
            self.member(key.raw(), cursor)
        })?;
        opening.remember(&data[..known]);
        Ok(cursor)
    }

    fn member(&mut self, key: &[u8], cursor: &mut Cursor<'_>) -> Step {
        match key {
            b"choices" if cursor.peek() == Some(b'[') => {
                self.has_choices = true;
                cursor.array(|cursor| self.choice(cursor))
            }
            b"usage" => Usage::read(cursor).map(|usage| self.usage = usage),
            b"error" => cursor.raw().map(|raw| self.error |= raw != b"null"),
            b"object" => cursor.raw().map(|raw| self.error |= raw == b"\"error\""),
            b"type" => cursor.raw().map(|raw| self.typed.name(raw)),
            b"delta" => self.typed.delta(cursor),
            b"message" | b"response" => self.typed.report(cursor),
            _ => cursor.skip(),
        }
    }

    fn choice(&mut self, cursor: &mut Cursor<'_>) -> Step {
        let mut choice = Choice::default();
        if cursor.peek() == Some(b'{') {
            cursor.object(|key, cursor| choice.member(key.raw(), cursor))?;
        } else {
            cursor.skip()?;
        }
        self.choices += 1;
        self.index = choice.index;
        self.finish = choice.finish.or(self.finish);
        match choice {
            Choice { ids: Some(ids @ 1..), .. } => self.ids += ids,
            Choice { output: Output::Shown, .. } => self.shown += 1,
            Choice { output: Output::Empty, ids: None, role: false, finish: None, .. } => self.blank += 1,
            _ => {}
        }
        Ok(())
    }
}

/// How much output members show; the most of several counts.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Output {
    /// None is there, or `null`.
    #[default]
    Absent,
    Empty,
    Shown,
}

impl Output {
    /// Passes over an output member: a string, or a list of parts or calls.
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        let some = |some| if some { Self::Shown } else { Self::Empty };
        match cursor.peek() {
            Some(b'"') => cursor.string().map(|text| some(!text.raw().is_empty())),
            Some(b'[') => {
                let mut items = 0;
                cursor.array(|cursor| {
                    items += 1;
                    cursor.skip()
                })?;
                Ok(if items > 0 { Self::Shown } else { Self::Absent })
            }
            _ => cursor.skip().map(|()| Self::Absent),
        }
    }
}

#[derive(Debug, Default)]
struct Choice {
    index: usize,
    /// Number of token ids; `None` where the engine sends none at all.
    ids: Option<u32>,
    output: Output,
    role: bool,
    finish: Option<FinishReason>,
}

impl Choice {
    fn member(&mut self, key: &[u8], cursor: &mut Cursor<'_>) -> Step {
        match key {
            b"index" => cursor.raw().map(|raw| self.index = index(raw)),
            b"text" => self.output(cursor),
            b"delta" if cursor.peek() == Some(b'{') => cursor.object(|key, cursor| match key.raw() {
                b"content" | b"reasoning" | b"reasoning_content" | b"tool_calls" => self.output(cursor),
                b"role" => cursor.raw().map(|raw| self.role |= raw != b"null"),
                b"token_ids" => self.ids(cursor),
                _ => cursor.skip(),
            }),
            b"token_ids" => self.ids(cursor),
            b"finish_reason" => finish(cursor).map(|reason| self.finish = reason),
            _ => cursor.skip(),
        }
    }

    fn output(&mut self, cursor: &mut Cursor<'_>) -> Step {
        Output::read(cursor).map(|output| self.output = self.output.max(output))
    }

    fn ids(&mut self, cursor: &mut Cursor<'_>) -> Step {
        if cursor.peek() != Some(b'[') {
            return cursor.skip();
        }
        let mut ids = 0;
        cursor.array(|cursor| {
            ids += 1;
            cursor.skip()
        })?;
        self.ids = Some(ids);
        Ok(())
    }
}

impl Typed {
    fn name(&mut self, raw: &[u8]) {
        self.named = true;
        match raw {
            b"\"content_block_delta\"" => self.is_delta = true,
            b"\"message_stop\"" | b"\"response.completed\"" | b"\"response.incomplete\"" => self.done = true,
            b"\"error\"" => self.error = true,
            b"\"response.failed\"" => {
                self.error = true;
                self.done = true;
            }
            _ => self.is_delta = raw.ends_with(b".delta\""),
        }
    }

    /// `delta`: in the Responses API the output itself, in Anthropic's an object that holds it.
    fn delta(&mut self, cursor: &mut Cursor<'_>) -> Step {
        if cursor.peek() != Some(b'{') {
            return Output::read(cursor).map(|output| self.delta = output == Output::Shown);
        }
        cursor.object(|key, cursor| match key.raw() {
            b"text" | b"thinking" | b"partial_json" => {
                Output::read(cursor).map(|output| self.delta |= output == Output::Shown)
            }
            b"stop_reason" => finish(cursor).map(|reason| self.finish = reason),
            _ => cursor.skip(),
        })
    }

    /// `message` at the start of Anthropic's stream, `response` at the end of the other.
    fn report(&mut self, cursor: &mut Cursor<'_>) -> Step {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|key, cursor| match key.raw() {
            b"usage" => Usage::read(cursor).map(|usage| self.usage = usage),
            b"stop_reason" => finish(cursor).map(|reason| self.finish = reason),
            _ => cursor.skip(),
        })
    }
}

fn finish(cursor: &mut Cursor<'_>) -> Result<Option<FinishReason>, Fault> {
    if cursor.peek() != Some(b'"') {
        return cursor.skip().map(|()| None);
    }
    cursor.string().map(|word| Some(FinishReason::from_word(word.raw())))
}

/// A choice's index; what is no index is far out of range.
fn index(raw: &[u8]) -> usize {
    std::str::from_utf8(raw).ok().and_then(|text| text.parse().ok()).unwrap_or(usize::MAX)
}
