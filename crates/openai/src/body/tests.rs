use bytes::Bytes;

use crate::{Api, ApiError, Body};

fn body(text: &'static str) -> Body {
    Body::parse(Bytes::from_static(text.as_bytes())).unwrap()
}

fn refusal(text: impl Into<Bytes>) -> String {
    Body::parse(text.into()).unwrap_err().to_string()
}

#[test]
fn a_refusal_names_the_byte() {
    assert_eq!(refusal(""), "invalid JSON at byte 0: expected an object");
    assert_eq!(refusal("  [1]"), "invalid JSON at byte 2: expected an object");
    assert_eq!(refusal(r#"{"a":1,}"#), "invalid JSON at byte 7: expected a member name");
    assert_eq!(refusal(r#"{"a":01}"#), "invalid JSON at byte 6: a number may not begin with 0");
    assert_eq!(refusal(r#"{"a":1} x"#), "invalid JSON at byte 8: unexpected text after the value");
    assert_eq!(refusal(r#"{"a":{"b":tru}}"#), "invalid JSON at byte 10: expected `true`, `false` or `null`");
    assert_eq!(refusal(r#"{"a":"b"#), "invalid JSON at byte 7: unexpected end inside a string");
    assert_eq!(refusal("{\"a\":\"\n\"}"), "invalid JSON at byte 6: control character inside a string");
    assert_eq!(refusal(&b"{\"a\":\"\xFF\"}"[..]), "invalid JSON at byte 6: not UTF-8");
}

#[test]
fn the_last_of_several_members_counts_however_its_name_is_written() {
    let body = body(r#"{"model":"a","mod\u0065l":"b","k":{"x":1,"\u0078":2}}"#);
    assert_eq!(body.get("model"), Some(&br#""b""#[..]));
    assert_eq!(body.get_in("k", "x"), Some(&b"2"[..]));
    assert_eq!(body.get_in("model", "x"), None);
    assert_eq!(body.get("mod\\u0065l"), None);
}

#[test]
fn an_index_stays_small_whatever_is_sent() {
    let many = |members: usize| Bytes::from(format!("{{{}\"z\":0}}", "\"a\":0,".repeat(members - 1)));
    assert!(Body::parse(many(4096)).is_ok());
    assert_eq!(refusal(many(4097)), "invalid JSON at byte 24581: too many members");
}

#[test]
fn the_head_is_read_with_each_apis_defaults() {
    let request = body(
        r#"{"model":"m\u00e4","stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":null},
            "max_tokens":7,"max_completion_tokens":9,"max_output_tokens":3,"sampling_params":{"max_tokens":5},"n":2.0}"#,
    );
    let head = request.head(Api::ChatCompletions).unwrap();
    assert_eq!(head.model.as_deref(), Some("mä"));
    assert!(head.stream && head.include_usage && !head.continuous_usage_stats);
    assert_eq!((head.max_tokens, head.n), (Some(9), Some(2)));
    let limit = |api| request.head(api).unwrap().max_tokens;
    assert_eq!(limit(Api::Responses), Some(3));
    assert_eq!(limit(Api::Generate), Some(5));
    assert_eq!(limit(Api::Embeddings), None);

    let empty = body(r#"{"model":null,"stream":null,"stream_options":null,"max_tokens":null}"#);
    let head = empty.head(Api::Completions).unwrap();
    assert_eq!((head.model, head.stream, head.include_usage, head.max_tokens), (None, false, false, None));
}

#[test]
fn a_wrong_type_is_named_with_its_byte() {
    for (text, expected) in [
        (r#"{"model":1}"#, "invalid `model` at byte 9: expected a string, found 1"),
        (r#"{"stream":"yes"}"#, "invalid `stream` at byte 10: expected a boolean, found a string"),
        (r#"{"n": -1}"#, "invalid `n` at byte 6: expected a non-negative integer, found -1"),
        (r#"{"n":1e300}"#, "invalid `n` at byte 5: expected a non-negative integer, found 1e300"),
        (r#"{"max_tokens":1.5}"#, "invalid `max_tokens` at byte 14: expected a non-negative integer, found 1.5"),
        (r#"{"min_tokens":[]}"#, "invalid `min_tokens` at byte 14: expected a non-negative integer, found an array"),
        (r#"{"stream_options":3}"#, "invalid `stream_options` at byte 18: expected an object, found 3"),
        (
            r#"{"stream_options":{"include_usage":1}}"#,
            "invalid `stream_options.include_usage` at byte 35: expected a boolean, found 1",
        ),
    ] {
        assert_eq!(body(text).head(Api::Completions).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_refusal_becomes_an_answer_that_names_the_member() {
    let error: ApiError = body(r#"{"n":"x"}"#).head(Api::Completions).unwrap_err().into();
    assert_eq!((error.status(), error.param.as_deref()), (400, Some("n")));
}
