//! Reading typed values, collecting what is wrong with them.

use std::time::Duration;

use super::Fault;

/// A look-up and the faults found so far.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    pub(super) faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, faults: Vec::new() }
    }

    pub(super) fn fault(&mut self, variable: &str, problem: impl Into<String>) {
        self.faults.push(Fault { variable: variable.to_owned(), problem: problem.into() });
    }

    /// The value, trimmed; empty counts as unset.
    pub(super) fn text(&self, variable: &str) -> Option<String> {
        let value = (self.lookup)(variable)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    /// The first of two variables that is set, with its name: the one for traces goes before the general one.
    pub(super) fn either(&self, names: [&'static str; 2]) -> Option<(&'static str, String)> {
        names.into_iter().find_map(|name| Some((name, self.text(name)?)))
    }

    pub(super) fn boolean(&mut self, variable: &str) -> Option<bool> {
        let value = self.text(variable)?;
        self.boolean_of(variable, &value)
    }

    pub(super) fn boolean_of(&mut self, variable: &str, value: &str) -> Option<bool> {
        match value.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.fault(variable, format!("{value} is neither true nor false; false is used"));
                Some(false)
            }
        }
    }

    /// 0 to 1.
    pub(super) fn ratio(&mut self, variable: &str) -> Option<f64> {
        let value = self.text(variable)?;
        let ratio = value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        if ratio.is_none() {
            self.fault(variable, format!("{value} is not a number from 0 to 1; 1 is used"));
        }
        ratio
    }

    /// At least 1.
    pub(super) fn count(&mut self, variable: &str) -> Option<usize> {
        self.limit(variable).filter(|&count| {
            let legal = count > 0;
            if !legal {
                self.fault(variable, "0 is too few; the default is used");
            }
            legal
        })
    }

    pub(super) fn limit(&mut self, variable: &str) -> Option<usize> {
        let value = self.text(variable)?;
        let count = value.parse().ok();
        if count.is_none() {
            self.fault(variable, format!("{value} is not a whole number; the default is used"));
        }
        count
    }

    pub(super) fn millis(&mut self, variable: &str) -> Option<Duration> {
        let value = self.text(variable)?;
        self.millis_of(variable, &value)
    }

    pub(super) fn millis_of(&mut self, variable: &str, value: &str) -> Option<Duration> {
        let millis = value.parse().ok().map(Duration::from_millis);
        if millis.is_none() {
            self.fault(variable, format!("{value} is not a whole number of milliseconds; the default is used"));
        }
        millis
    }

    /// `key=value` pairs, percent-encoded, separated by commas.
    pub(super) fn pairs(&mut self, variable: &str) -> Vec<(String, String)> {
        let Some(list) = self.text(variable) else { return Vec::new() };
        let mut pairs = Vec::new();
        for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let decoded = item.split_once('=').and_then(|(key, value)| Some((decode(key)?, decode(value)?)));
            match decoded {
                Some((key, value)) if !key.is_empty() => pairs.push((key, value)),
                _ => self.fault(variable, format!("{item} is not key=value; it is left out")),
            }
        }
        pairs
    }
}

/// Percent-decodes; `None` for a broken escape or what is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.trim().as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        rest = after;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}
