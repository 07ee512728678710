//! `--extra-args "k=v,k2='a,b',k3=[x,y]"`: settings in one flag, as upstream's deployments give them.

use std::iter::Peekable;
use std::str::Chars;

/// Reads the pairs in their order. A value may stand in single or double quotes, or be a list in brackets, which becomes
/// its items with commas between them; commas separate pairs only outside of both.
///
/// # Errors
/// What is wrong, with the pair at fault where there is one.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        skip_spaces(&mut rest);
        if rest.peek().is_none() {
            return Ok(pairs);
        }
        let key = take_until(&mut rest, &['=', ',']);
        if rest.next() != Some('=') {
            return Err(format!("`{}` has no value: expected `name=value`", key.trim()));
        }
        let key = key.trim().trim_start_matches("--").to_owned();
        if key.is_empty() {
            return Err("a value has no name before its `=`".to_owned());
        }
        let value = value(&mut rest).map_err(|problem| format!("`{key}`: {problem}"))?;
        pairs.push((key, value));
        skip_spaces(&mut rest);
        match rest.next() {
            None | Some(',') => {}
            Some(other) => return Err(format!("`{other}` follows a value: expected a comma")),
        }
    }
}

/// One value, up to the comma that ends it.
fn value(rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    skip_spaces(rest);
    match rest.peek() {
        Some(quote @ ('\'' | '"')) => {
            let quote = *quote;
            quoted(rest, quote)
        }
        Some('[') => list(rest),
        _ => Ok(take_until(rest, &[',']).trim().to_owned()),
    }
}

/// Text in quotes, taken as it is.
fn quoted(rest: &mut Peekable<Chars<'_>>, quote: char) -> Result<String, String> {
    rest.next();
    let text = take_until(rest, &[quote]);
    match rest.next() {
        Some(_) => Ok(text),
        None => Err(format!("the quote {quote} is not closed")),
    }
}

fn list(rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    rest.next();
    let mut items = Vec::new();
    loop {
        skip_spaces(rest);
        match rest.peek() {
            None => return Err("the bracket [ is not closed".to_owned()),
            Some(']') => {
                rest.next();
                return Ok(items.join(","));
            }
            Some(',') => {
                rest.next();
            }
            Some(quote @ ('\'' | '"')) => {
                let quote = *quote;
                items.push(quoted(rest, quote)?);
            }
            Some(_) => items.push(take_until(rest, &[',', ']']).trim().to_owned()),
        }
    }
}

/// Everything before the first of `ends`, which stays.
fn take_until(rest: &mut Peekable<Chars<'_>>, ends: &[char]) -> String {
    let mut taken = String::new();
    while let Some(letter) = rest.next_if(|letter| !ends.contains(letter)) {
        taken.push(letter);
    }
    taken
}

fn skip_spaces(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|letter| letter.is_whitespace()).is_some() {}
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn values_are_plain_quoted_or_lists() {
        assert_eq!(pairs("k=v,k2='a,b',k3=[x,y]"), [pair("k", "v"), pair("k2", "a,b"), pair("k3", "x,y")]);
        assert_eq!(pairs(" --port = 1 , host=\"[::1]\" ,"), [pair("port", "1"), pair("host", "[::1]")]);
        assert_eq!(
            pairs("a=,b=[],c=x=y,d=[ 'p,q' , r ]"),
            [pair("a", ""), pair("b", ""), pair("c", "x=y"), pair("d", "p,q,r")]
        );
        assert_eq!(
            pairs("route-config='[{\"base_url\": \"local\"}]'"),
            [pair("route-config", "[{\"base_url\": \"local\"}]")]
        );
        assert_eq!(pairs("  "), []);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, problem) in [
            ("port", "`port` has no value"),
            ("=3", "no name"),
            ("a='x", "not closed"),
            ("a=[x", "not closed"),
            ("a='x'y", "expected a comma"),
            ("a=1,b,c=2", "`b` has no value"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_ends_in_pairs_or_a_fault(text in "[a-c=,'\"\\[\\] \\-]{0,40}") {
            if let Ok(pairs) = parse(&text) {
                prop_assert!(pairs.iter().all(|(key, _)| !key.is_empty()));
            }
        }

        #[test]
        fn quoting_brings_any_value_through(values in prop::collection::vec("[^']{0,12}", 0..5)) {
            let text: Vec<_> = values.iter().enumerate().map(|(index, value)| format!("k{index}='{value}'")).collect();
            let read = parse(&text.join(",")).unwrap();
            prop_assert_eq!(read.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), values);
        }
    }
}
