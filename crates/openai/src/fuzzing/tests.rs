//! The properties over generated inputs.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

use super::Op;
use crate::Body;

const NAMES: [&str; 5] = ["model", "stream", "kv_transfer_params", "max_tokens", "a b"];

/// A string's text, quotes included, with every kind of escape.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -!#-\\[\\]-~]{0,12}",
        "[à-üЀ-я一-三😀-😂]{1,3}",
        r#"\\(["\\/bfnrt]|u00[4-7][0-9a-fA-F]|ud83d\\ude0[0-9])"#
    ];
    vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// A member name, some of its characters as escapes.
fn name() -> impl Strategy<Value = String> {
    (select(&NAMES[..]), any::<u32>()).prop_map(|(name, escaped)| {
        let char_of = |(at, char): (usize, char)| match escaped >> at & 3 {
            3 => format!("\\u{:04x}", char as u32),
            _ => char.to_string(),
        };
        let text: String = name.chars().enumerate().map(char_of).collect();
        format!("\"{text}\"")
    })
}

fn space() -> impl Strategy<Value = String> {
    "[ \t\r\n]{0,2}"
}

fn value() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?";
    let word = select(&["true", "false", "null"][..]).prop_map(str::to_owned);
    prop_oneof![word, number, string()].prop_recursive(4, 24, 4, |inner| {
        let items = vec((space(), inner.clone(), space()), 0..4);
        prop_oneof![items.prop_map(|items| bracketed('[', items, ']')), object_of(inner)]
    })
}

fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let key = prop_oneof![4 => name(), 1 => string()];
    let member = (space(), key, space(), space(), value, space())
        .prop_map(|(a, key, b, c, value, d)| (a, format!("{key}{b}:{c}{value}"), d));
    vec(member, 0..7).prop_map(|members| bracketed('{', members, '}'))
}

fn bracketed(open: char, items: Vec<(String, String, String)>, close: char) -> String {
    let items: Vec<_> = items.into_iter().map(|(before, item, after)| before + &item + &after).collect();
    format!("{open}{}{close}", items.join(","))
}

fn object() -> impl Strategy<Value = String> {
    (space(), object_of(value()), space()).prop_map(|(before, object, after)| before + &object + &after)
}

/// A text with a few bytes replaced, removed or put in.
fn corrupted(text: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), select(&b"{}[]\",:\\u0e.-\n \x00"[..])];
    (text, vec((any::<prop::sample::Index>(), byte, 0..3), 1..4)).prop_map(|(text, wounds)| {
        let mut bytes = text.into_bytes();
        for (at, byte, how) in wounds {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..(at + usize::from(how > 0)).min(bytes.len()), (how < 2).then_some(byte));
        }
        bytes
    })
}

#[derive(Debug, Clone)]
struct Step(u8, &'static str, &'static str, String);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..4u8, select(&NAMES[..]), select(&NAMES[..]), value());
    vec(step.prop_map(|(kind, name, inner, raw)| Step(kind, name, inner, raw)), 0..5)
}

impl Step {
    fn op(&self) -> Op<'_> {
        let Self(kind, name, inner, raw) = self;
        match kind {
            0 => Op::Set(name, raw),
            1 => Op::Remove(name),
            2 => Op::SetIn(name, inner, raw),
            _ => Op::RemoveIn(name, inner),
        }
    }
}

/// Lines as an event stream has them, ended in every way.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => "data: ?[a-c:\u{e9}]{0,5}",
        1 => "event:? ?[a-c]{0,3}",
        1 => ":[a-z]{0,3}",
        1 => "(id|retry|data)?",
        4 => Just(String::new()),
    ];
    let end = select(&["\n", "\r", "\r\n"][..]);
    let lines =
        vec((line, end), 0..24).prop_map(|lines| lines.into_iter().map(|(line, end)| line + end).collect::<String>());
    (select(&["", "\u{feff}"][..]), lines, "(data: x|\\[DONE\\])?")
        .prop_map(|(mark, lines, rest)| [mark, &lines, &rest].concat().into_bytes())
}

/// A chunk as engines send it, or nearly so.
fn chunk() -> impl Strategy<Value = Value> {
    let text = prop_oneof![Just(Value::Null), Just("".into()), Just("ab".into())];
    let ids = prop_oneof![Just(Value::Null), vec(0..9u8, 0..3).prop_map(Value::from)];
    let calls = prop_oneof![Just(Value::Null), Just(serde_json::json!([])), Just(serde_json::json!([{"index": 0}]))];
    let some = |name: &'static str, value: BoxedStrategy<Value>| {
        prop::option::of(value.prop_map(move |value| (name.to_owned(), value)))
    };
    let delta = (
        some("content", text.clone().boxed()),
        some("reasoning", text.clone().boxed()),
        some("role", prop_oneof![Just(Value::Null), Just("assistant".into())].boxed()),
        some("tool_calls", calls.boxed()),
    );
    let delta = delta.prop_map(|(a, b, c, d)| [a, b, c, d].into_iter().flatten().collect::<Map<_, _>>().into());
    let choice = (
        some("index", (0..3u8).prop_map(Value::from).boxed()),
        some("delta", Strategy::boxed(delta)),
        some("text", text.boxed()),
        some("token_ids", ids.boxed()),
        some("finish_reason", prop_oneof![Just(Value::Null), Just("stop".into())].boxed()),
    );
    let choice = choice.prop_map(|(a, b, c, d, e)| [a, b, c, d, e].into_iter().flatten().collect::<Map<_, _>>());
    let usage = prop_oneof![
        Just(Value::Null),
        (0..9u8).prop_map(|count| serde_json::json!({"prompt_tokens": 7, "completion_tokens": count}))
    ];
    let chunk = (some("choices", vec(choice, 0..3).prop_map(Value::from).boxed()), some("usage", usage.boxed()));
    chunk.prop_map(|(a, b)| [a, b].into_iter().flatten().collect::<Map<_, _>>().into())
}

proptest! {
    #[test]
    fn a_valid_body_is_read_as_a_plain_parser_reads_it(text in object()) {
        prop_assert!(Body::parse(text.clone().into()).is_ok(), "{}", text);
        super::body(text.as_bytes());
    }

    #[test]
    fn a_corrupted_body_is_judged_as_a_plain_parser_judges_it(bytes in corrupted(object())) {
        super::body(&bytes);
    }

    #[test]
    fn any_value_is_judged_as_a_plain_parser_judges_it(bytes in prop_oneof![value().prop_map(String::into_bytes), vec(any::<u8>(), 0..40)]) {
        super::body(&bytes);
    }

    #[test]
    fn editing_text_equals_editing_a_map(text in object(), steps in steps()) {
        let map: Map<String, Value> = serde_json::from_str(&text).unwrap();
        let ops: Vec<_> = steps.iter().map(Step::op).collect();
        super::edit(&Body::parse(text.into()).unwrap(), &map, &ops);
    }

    #[test]
    fn a_stream_is_the_same_however_it_is_cut(stream in stream(), cuts in vec(1..9u8, 0..5)) {
        super::sse(&stream, &cuts);
    }

    #[test]
    fn any_bytes_are_a_stream(stream in vec(select(&b"\r\n: datevn\xEF\xBB\xBFx"[..]), 0..60), cuts in vec(1..4u8, 0..4)) {
        super::sse(&stream, &cuts);
    }

    #[test]
    fn the_meter_counts_as_a_plain_reading_of_the_rules(chunks in vec(chunk(), 0..12)) {
        let texts: Vec<_> = chunks.iter().map(|chunk| chunk.to_string()).collect();
        super::meter(&texts.iter().map(String::as_bytes).collect::<Vec<_>>());
    }

    #[test]
    fn the_meter_takes_anything(chunks in vec(corrupted(chunk().prop_map(|chunk| chunk.to_string())), 0..4)) {
        super::meter(&chunks.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
}
