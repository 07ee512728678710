//! A strict, validating cursor over JSON text.
//!
//! It never builds a value: it walks, proves and reports offsets, which is all that splicing and token counting need. The
//! grammar is RFC 8259 as `serde_json` enforces it (no lone surrogates, the same nesting limit), with one difference: a
//! number too large for a double is still a number, since its text is forwarded and never computed with.
//!
//! The cursor looks at bytes; whoever needs the text to be UTF-8 checks that once for the whole input.

use std::borrow::Cow;
use std::ops::Range;

#[cfg(test)]
mod tests;

/// Arrays and objects nested deeper than this are refused, so that recursion is bounded.
pub(crate) const MAX_DEPTH: u32 = 127;

/// Where the text stops being JSON, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Offset of the first byte that cannot be.
    pub(crate) at: usize,
    /// What is wrong there.
    pub(crate) what: &'static str,
}

/// A string as it stands in the text: without its quotes, escapes unresolved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    raw: &'a [u8],
    start: usize,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// The string whose text `raw`, without quotes, begins at offset `start`.
    pub(crate) fn new(raw: &'a [u8], start: usize, escaped: bool) -> Self {
        Self { raw, start, escaped }
    }

    /// Whether the text has escapes.
    pub(crate) fn is_escaped(&self) -> bool {
        self.escaped
    }

    /// Offsets of the raw text, quotes excluded.
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.start + self.raw.len()
    }

    /// The raw text, escapes unresolved.
    pub(crate) fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Whether the string equals `name` once its escapes are resolved: `"mod\u0065l"` is `model` to every JSON parser
    /// behind us, so it must be to us.
    pub(crate) fn is(&self, name: &str) -> bool {
        if self.escaped { self.decode() == name } else { self.raw == name.as_bytes() }
    }

    /// The string's value.
    pub(crate) fn decode(&self) -> Cow<'a, str> {
        if !self.escaped {
            return String::from_utf8_lossy(self.raw);
        }
        let mut quoted = Vec::with_capacity(self.raw.len() + 2);
        quoted.push(b'"');
        quoted.extend_from_slice(self.raw);
        quoted.push(b'"');
        // The cursor has accepted these escapes, so only bytes that are no UTF-8 can fail, as they do above.
        serde_json::from_slice(&quoted).map_or_else(|_| String::from_utf8_lossy(self.raw), Cow::Owned)
    }
}

/// A position in a JSON text.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

type Step = Result<(), Fault>;

impl<'a> Cursor<'a> {
    /// A cursor on the first byte of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// A cursor within an object that no other encloses, at `at`, where a member begins. Whoever says so has walked there
    /// before.
    pub(crate) fn at_member(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, depth: 1 }
    }

    /// Offset of the next byte.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The next byte.
    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// A fault at the next byte.
    pub(crate) fn fault<T>(&self, what: &'static str) -> Result<T, Fault> {
        Err(Fault { at: self.at, what })
    }

    /// Passes over white space.
    #[inline]
    pub(crate) fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Requires that nothing but white space is left.
    pub(crate) fn end(&mut self) -> Step {
        self.skip_space();
        if self.at == self.bytes.len() { Ok(()) } else { self.fault("unexpected text after the value") }
    }

    /// Walks an object; `visit` is called on the first byte of each value and must pass over that value.
    #[inline]
    pub(crate) fn object(&mut self, visit: impl FnMut(Text<'a>, &mut Self) -> Step) -> Step {
        self.open(b'{', "expected an object")?;
        if self.eat(b'}') {
            return self.close();
        }
        self.members(visit)
    }

    /// Walks the rest of an object, from the first byte of a member (or the space before it) to its end.
    #[inline]
    pub(crate) fn members(&mut self, mut visit: impl FnMut(Text<'a>, &mut Self) -> Step) -> Step {
        loop {
            self.skip_space();
            let key = self.string_or("expected a member name")?;
            self.skip_space();
            self.expect(b':', "expected `:` after a member name")?;
            self.skip_space();
            visit(key, self)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return self.close();
                }
                Some(_) => return self.fault("expected `,` or `}`"),
                None => return self.fault("unexpected end inside an object"),
            }
        }
    }

    /// Walks an array; `visit` is called on the first byte of each item and must pass over that item.
    #[inline]
    pub(crate) fn array(&mut self, mut visit: impl FnMut(&mut Self) -> Step) -> Step {
        self.open(b'[', "expected an array")?;
        if self.eat(b']') {
            return self.close();
        }
        loop {
            self.skip_space();
            visit(self)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return self.close();
                }
                Some(_) => return self.fault("expected `,` or `]`"),
                None => return self.fault("unexpected end inside an array"),
            }
        }
    }

    /// Passes over one value of any kind.
    pub(crate) fn skip(&mut self) -> Step {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.object(|_, cursor| cursor.skip()),
            Some(b'[') => self.array(Self::skip),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.fault("expected a value"),
            None => self.fault("unexpected end instead of a value"),
        }
    }

    /// Passes over one value and returns its text.
    pub(crate) fn raw(&mut self) -> Result<&'a [u8], Fault> {
        let start = self.at;
        self.skip()?;
        Ok(&self.bytes[start..self.at])
    }

    /// Passes over a string.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Text<'a>, Fault> {
        self.string_or("expected a string")
    }

    fn string_or(&mut self, expected: &'static str) -> Result<Text<'a>, Fault> {
        self.expect(b'"', expected)?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_prefix(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.fault("control character inside a string"),
                None => return self.fault("unexpected end inside a string"),
            }
        }
        let raw = &self.bytes[start..self.at];
        self.at += 1;
        Ok(Text { raw, start, escaped })
    }

    fn escape(&mut self) -> Step {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                self.surrogates(start)?;
            }
            Some(_) => return self.fault("unknown escape"),
            None => return self.fault("unexpected end inside a string"),
        }
        Ok(())
    }

    /// The digits of a `\u` escape, and its other half where it is the first of a pair.
    fn surrogates(&mut self, start: usize) -> Step {
        const LONE: &str = "half of a surrogate pair";
        match self.hex4()? {
            0xDC00..=0xDFFF => Err(Fault { at: start, what: LONE }),
            0xD800..=0xDBFF => {
                if !self.bytes[self.at..].starts_with(br"\u") {
                    return Err(Fault { at: start, what: LONE });
                }
                self.at += 2;
                let low = self.hex4()?;
                if (0xDC00..=0xDFFF).contains(&low) { Ok(()) } else { Err(Fault { at: start, what: LONE }) }
            }
            _ => Ok(()),
        }
    }

    fn hex4(&mut self) -> Result<u32, Fault> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return self.fault("expected four hexadecimal digits");
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Step {
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        match self.peek() {
            Some(b'0'..=b'9') => self.fault("a number may not begin with 0"),
            _ => Ok(()),
        }
    }

    fn digits(&mut self) -> Step {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { self.fault("expected a digit") }
    }

    fn word(&mut self, word: &'static [u8]) -> Step {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            self.fault("expected `true`, `false` or `null`")
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8, what: &'static str) -> Step {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            self.fault(what)
        }
    }

    /// Passes over white space and, where it follows, `byte`.
    #[inline]
    fn eat(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    #[inline]
    fn open(&mut self, bracket: u8, what: &'static str) -> Step {
        if self.depth == MAX_DEPTH {
            return self.fault("nested too deeply");
        }
        self.expect(bracket, what)?;
        self.depth += 1;
        Ok(())
    }

    #[inline]
    fn close(&mut self) -> Step {
        self.depth -= 1;
        Ok(())
    }
}

/// What kind of value a raw text is, for messages: `an object`, `a string`, …
pub(crate) fn kind(raw: &[u8]) -> &'static str {
    match raw.first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => "nothing",
    }
}

/// How many leading bytes of `bytes` are plain string content: no quote, no backslash, no control character.
///
/// Eight bytes at a time: prompts are long strings, and this loop is where a large body's scan is spent. Subtraction can
/// borrow into a higher byte and flag it wrongly, but never below the lowest byte that is rightly flagged.
#[inline]
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        let zero = |lanes: u64| lanes.wrapping_sub(ONES) & !lanes;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let special = (zero(quote) | zero(backslash) | control) & HIGH;
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let tail = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
    words.len() * 8 + tail.unwrap_or(rest.len())
}
