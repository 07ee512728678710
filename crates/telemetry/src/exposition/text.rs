//! Escaping and number formats that writing and reading share.

use std::borrow::Cow;
use std::fmt;

use crate::metrics::Format;

/// A label value with backslash, quote and line feed escaped.
pub(crate) fn escape_label(value: &str) -> Cow<'_, str> {
    escape(value, true)
}

/// Help text: OpenMetrics escapes quotes too, the text format does not.
pub(crate) fn escape_help(value: &str, format: Format) -> Cow<'_, str> {
    escape(value, format == Format::OpenMetrics)
}

fn escape(value: &str, quotes: bool) -> Cow<'_, str> {
    let special = |c: char| c == '\\' || c == '\n' || quotes && c == '"';
    if !value.contains(special) {
        return Cow::Borrowed(value);
    }
    let mut escaped = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            c if special(c) => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// A sample value: the shortest text that reads back as the same float.
pub(crate) struct Number(pub(crate) f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => fmt::Display::fmt(&value, f),
        }
    }
}
