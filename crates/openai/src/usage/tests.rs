use super::*;
use crate::TokenMeter;

const PREFILL: &str = include_str!("../../tests/fixtures/prefill.json");

fn with_cached(json: &'static str, cached: u64) -> Option<Bytes> {
    with_cached_tokens(&Bytes::from_static(json.as_bytes()), cached)
}

#[test]
fn usage_is_read_in_each_apis_words() {
    let usage = |prompt_tokens, completion_tokens, cached_tokens| {
        Some(Usage { prompt_tokens, completion_tokens, cached_tokens })
    };
    assert_eq!(Usage::from_response(PREFILL.as_bytes()), usage(402, 1, None));
    let openai = br#"{"usage":{"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}"#;
    assert_eq!(Usage::from_response(openai), usage(5, 2, Some(4)));
    let responses = br#" {"usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":0},"output_tokens":2}}"#;
    assert_eq!(Usage::from_response(responses), usage(5, 2, Some(0)));
    let anthropic = br#"{"usage":{"input_tokens":5,"cache_read_input_tokens":3,"output_tokens":2}}"#;
    assert_eq!(Usage::from_response(anthropic), usage(5, 2, Some(3)));
    for none in ["{}", r#"{"usage":null}"#, "[]", "", r#"{"usage":{"prompt_tokens":5}"#] {
        assert_eq!(Usage::from_response(none.as_bytes()), None, "{none}");
    }
}

#[test]
fn cached_tokens_are_replaced_or_created_and_nothing_else_is() {
    assert_eq!(
        with_cached(r#"{"usage": {"prompt_tokens_details" : {"cached_tokens": 402, "audio":1.0} }, "id":1}"#, 384)
            .unwrap(),
        r#"{"usage": {"prompt_tokens_details" : {"cached_tokens": 384, "audio":1.0} }, "id":1}"#
    );
    assert_eq!(
        with_cached(r#"{"usage":{"a":1,"prompt_tokens_details":null}}"#, 0).unwrap(),
        r#"{"usage":{"a":1,"prompt_tokens_details":{"cached_tokens":0}}}"#
    );
    assert_eq!(
        with_cached(r#"{"usage":{"a":1}}"#, 7).unwrap(),
        r#"{"usage":{"a":1,"prompt_tokens_details":{"cached_tokens":7}}}"#
    );
    let real = with_cached(PREFILL, 9).unwrap();
    assert_eq!(Usage::from_response(&real).unwrap().cached_tokens, Some(9));
    assert_eq!(real.len(), PREFILL.len() + r#"{"cached_tokens":9}"#.len() - "null".len());
    for none in ["{}", r#"{"usage":null}"#, "[DONE]", "not json"] {
        assert_eq!(with_cached(none, 1), None, "{none}");
    }
}

#[test]
fn only_what_the_client_did_not_ask_for_is_hidden() {
    const TOKEN: &[u8] = br#"{"choices":[{"text":"a"}], "usage":{"completion_tokens":1}}"#;
    const LAST: &[u8] = br#"{"choices":[],"usage":{"completion_tokens":1}}"#;
    const START: &[u8] = br#"{"type":"message_start","message":{"usage":{"input_tokens":3}}}"#;
    let verdicts = |last, continuous| {
        [TOKEN, LAST, START].map(|data| {
            let chunk = TokenMeter::new().feed(data);
            HideUsage { last, continuous }.verdict(&chunk, data)
        })
    };
    let bare = || Verdict::ReplaceData(Bytes::from_static(br#"{"choices":[{"text":"a"}]}"#));
    assert_eq!(verdicts(false, false), [Verdict::Keep, Verdict::Keep, Verdict::Keep]);
    assert_eq!(verdicts(true, false), [Verdict::Keep, Verdict::Drop, Verdict::Keep]);
    assert_eq!(verdicts(false, true), [bare(), Verdict::Keep, Verdict::Keep]);
    assert_eq!(verdicts(true, true), [bare(), Verdict::Drop, Verdict::Keep]);
}
