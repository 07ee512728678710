//! The parser: one pass over the lines, errors with line numbers.

use super::{Exemplar, Sample, Scrape};

/// What is wrong with an exposition, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ParseError {
    /// One-based line number.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

type Result<T> = std::result::Result<T, &'static str>;

/// Reads an exposition in Prometheus text 0.0.4 or OpenMetrics 1.0.
///
/// # Errors
/// At the first line that breaks the grammar, repeats a sample, types a family twice or follows `# EOF`.
pub fn parse(text: &str) -> std::result::Result<Scrape, ParseError> {
    let mut scrape = Scrape::default();
    let mut seen = std::collections::HashSet::new();
    for (index, line) in text.split_terminator('\n').enumerate() {
        let fail = |what| ParseError { line: index + 1, what };
        if scrape.ended {
            return Err(fail("text after # EOF"));
        }
        match line.strip_prefix('#') {
            Some(comment) => scrape.ended = comment_line(comment, &mut scrape).map_err(fail)?,
            None if line.trim().is_empty() => {}
            None => {
                let sample = sample_line(line).map_err(fail)?;
                if !seen.insert((sample.name.clone(), sample.labels.clone())) {
                    return Err(fail("a sample is there twice"));
                }
                scrape.samples.push(sample);
            }
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(ParseError { line: text.lines().count(), what: "no line feed at the end" });
    }
    Ok(scrape)
}

/// Reads a comment; says whether it was `# EOF`.
fn comment_line(comment: &str, scrape: &mut Scrape) -> Result<bool> {
    let mut words = comment.trim_start().splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some("EOF"), None, None) => return Ok(true),
        (Some("TYPE"), Some(name), Some(kind)) => {
            const KINDS: [&str; 9] = [
                "counter",
                "gauge",
                "histogram",
                "summary",
                "untyped",
                "unknown",
                "info",
                "stateset",
                "gaugehistogram",
            ];
            if !KINDS.contains(&kind) {
                return Err("an unknown type");
            }
            if scrape.types.insert(name.to_owned(), kind.to_owned()).is_some() {
                return Err("a family is typed twice");
            }
        }
        (Some("TYPE"), ..) => return Err("TYPE without name and type"),
        (Some("HELP" | "UNIT"), Some(name), _) if !is_name(name) => return Err("an illegal metric name"),
        (Some("HELP"), Some(name), Some(help)) => {
            scrape.about.entry(name.to_owned()).or_default().help = unescape(help);
        }
        (Some("UNIT"), Some(name), Some(unit)) => {
            scrape.about.entry(name.to_owned()).or_default().unit = unit.to_owned();
        }
        _ => {}
    }
    Ok(false)
}

fn sample_line(line: &str) -> Result<Sample> {
    let end = line.find(['{', ' ', '\t']).ok_or("a sample without value")?;
    let (name, rest) = line.split_at(end);
    if !is_name(name) {
        return Err("an illegal metric name");
    }
    let (labels, rest) = match rest.trim_start_matches(BLANKS).strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    let rest = rest.strip_prefix(BLANKS).ok_or("no space before the value")?;
    let (number, exemplar) = match rest.split_once(" # ") {
        Some((number, exemplar)) => (number, Some(exemplar_of(exemplar)?)),
        None => (rest, None),
    };
    let (value, timestamp) = value_and_time(number)?;
    Ok(Sample { name: name.to_owned(), labels, value, timestamp, exemplar })
}

/// What may stand between two words of a line.
const BLANKS: [char; 2] = [' ', '\t'];

fn value_and_time(text: &str) -> Result<(f64, Option<f64>)> {
    let mut words = text.split(BLANKS).filter(|word| !word.is_empty());
    let value = value(words.next().unwrap_or_default())?;
    let timestamp = words.next().map(str::parse).transpose().map_err(|_| "an illegal timestamp")?;
    match words.next() {
        None => Ok((value, timestamp)),
        Some(_) => Err("text after the value"),
    }
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut text: &str) -> Result<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        text = text.trim_start_matches(BLANKS);
        if let Some(rest) = text.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, rest) = text.split_once('=').ok_or("a label without value")?;
        let rest = rest.trim_start_matches(BLANKS).strip_prefix('"').ok_or("a label without value")?;
        let name = name.trim_end_matches(BLANKS);
        if !is_name(name) || name.contains(':') {
            return Err("an illegal label name");
        }
        if labels.iter().any(|(known, _)| known == name) {
            return Err("a label is there twice");
        }
        let (value, rest) = quoted(rest)?;
        labels.push((name.to_owned(), value));
        let rest = rest.trim_start_matches(BLANKS);
        text = match rest.strip_prefix(',') {
            Some(next) => next,
            None if rest.starts_with('}') => rest,
            None => return Err("no comma or brace after a label"),
        };
    }
}

/// A label value up to its closing quote, unescaped, and what follows.
fn quoted(text: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('\\' | '"'))) => value.push(c),
                _ => return Err("an illegal escape"),
            },
            c => value.push(c),
        }
    }
    Err("a label value without end")
}

fn exemplar_of(text: &str) -> Result<Exemplar> {
    let inside = text.strip_prefix('{').ok_or("an exemplar without labels")?;
    let (labels, rest) = labels(inside)?;
    let (value, timestamp) = value_and_time(rest)?;
    Ok(Exemplar { labels, value, timestamp })
}

/// Help text as it was before it was escaped; an escape that is none stays as it is.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let (replaced, length) = match rest[at + 1..].chars().next() {
            Some('n') => ("\n", 2),
            Some('\\') => ("\\", 2),
            Some('"') => ("\"", 2),
            _ => ("\\", 1),
        };
        plain.push_str(replaced);
        rest = &rest[at + length..];
    }
    plain + rest
}

fn value(text: &str) -> Result<f64> {
    match text {
        "" => Err("a sample without value"),
        "+Inf" | "Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        number if number.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => {
            number.parse().map_err(|_| "an illegal value")
        }
        _ => Err("an illegal value"),
    }
}

fn is_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    !name.is_empty() && name.chars().all(legal) && !name.starts_with(|c: char| c.is_ascii_digit())
}
