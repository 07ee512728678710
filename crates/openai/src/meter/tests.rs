use proptest::prelude::*;

use super::*;
use crate::sse::Scanner;

/// What the meter says of each event of a stream.
fn metered(stream: &str) -> Vec<Chunk> {
    let (mut meter, mut scanner, mut chunks) = (TokenMeter::new(), Scanner::default(), Vec::new());
    scanner.push(stream.as_bytes(), |event| chunks.push(meter.feed(event.data)));
    chunks
}

/// Tokens and exactness of each chunk of one stream.
fn counts(chunks: &[&str]) -> Vec<(u32, bool)> {
    let mut meter = TokenMeter::new();
    chunks.iter().map(|chunk| meter.feed(chunk.as_bytes())).map(|chunk| (chunk.tokens, chunk.exact)).collect()
}

fn tokens(chunk: &str) -> u32 {
    TokenMeter::new().feed(chunk.as_bytes()).tokens
}

#[test]
fn a_real_chat_stream_counts_tokens_and_neither_role_nor_usage() {
    let chunks = metered(include_str!("../../tests/fixtures/chat.sse"));
    assert_eq!(chunks.iter().map(|chunk| chunk.tokens).collect::<Vec<_>>(), [0, 1, 1, 0, 0]);
    let usage = Usage { prompt_tokens: 417, completion_tokens: 12, cached_tokens: None };
    assert_eq!((chunks[3].usage, chunks[3].usage_only, chunks[3].done), (Some(usage), true, false));
    assert!(chunks[4].done && !chunks[4].malformed);
}

#[test]
fn a_real_completions_stream_counts_tokens_whose_text_is_empty() {
    let chunks = metered(include_str!("../../tests/fixtures/completions.sse"));
    assert_eq!(chunks.iter().map(|chunk| chunk.tokens).collect::<Vec<_>>(), [1, 1, 1, 0, 0]);
}

#[test]
fn visible_output_of_any_kind_bears() {
    for delta in [
        r#"{"content":"a"}"#,
        r#"{"role":"assistant","content":"a"}"#,
        r#"{"reasoning":"a"}"#,
        r#"{"reasoning_content":"a","content":null}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#,
    ] {
        assert_eq!(tokens(&format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#)), 1, "{delta}");
    }
    assert_eq!(tokens(r#"{"choices":[{"index":0,"text":"a","finish_reason":"stop"}]}"#), 1);
}

#[test]
fn what_shows_nothing_bears_only_where_an_incomplete_character_can_be_meant() {
    for (choice, expected) in [
        (r#"{"delta":{"role":"assistant","content":""}}"#, 0),
        (r#"{"delta":{"role":null,"content":""}}"#, 1),
        (r#"{"delta":{"reasoning":""}}"#, 1),
        (r#"{"delta":{"content":""},"finish_reason":"stop"}"#, 0),
        (r#"{"delta":{"content":""},"finish_reason":null}"#, 1),
        (r#"{"delta":{"content":null}}"#, 0),
        (r#"{"delta":{"tool_calls":[]}}"#, 0),
        (r#"{"delta":{}}"#, 0),
        (r#"{"text":""}"#, 1),
        (r#"{"text":"","token_ids":[]}"#, 0),
        (r#"{"text":"","finish_reason":"length"}"#, 0),
    ] {
        assert_eq!(tokens(&format!(r#"{{"choices":[{choice}]}}"#)), expected, "{choice}");
    }
}

#[test]
fn token_ids_are_exact() {
    let ids = r#"{"choices":[{"index":0,"delta":{"content":"ab"},"token_ids":[5,6,7],"finish_reason":"length"}]}"#;
    let both = r#"{"choices":[{"index":0,"text":"","token_ids":[1]},{"index":1,"text":"","token_ids":[1,2]}]}"#;
    let generate = r#"{"choices":[{"index":0,"token_ids":[1,2],"logprobs":null}]}"#;
    assert_eq!(counts(&[ids, both, generate]), [(3, true), (3, true), (2, true)]);
}

fn with_usage(index: u32, delta: &str, completion: u64) -> String {
    format!(
        r#"{{"choices":[{{"index":{index},"delta":{delta}}}],"usage":{{"prompt_tokens":9,"completion_tokens":{completion}}}}}"#
    )
}

#[test]
fn growing_usage_is_exact_and_kept_per_choice() {
    let role = with_usage(0, r#"{"role":"assistant","content":""}"#, 0);
    let chunks =
        [with_usage(0, r#"{"content":""}"#, 1), with_usage(1, r#"{"content":"b"}"#, 2), with_usage(0, "{}", 4)];
    let still = with_usage(0, r#"{"content":""}"#, 4);
    let last = r#"{"choices":[],"usage":{"completion_tokens":6}}"#;
    let all = [&role, &chunks[0], &chunks[1], &chunks[2], &still, last];
    assert_eq!(counts(&all), [(0, false), (1, true), (2, true), (3, true), (0, false), (0, false)]);
}

#[test]
fn usage_that_comes_only_at_the_end_is_a_summary() {
    let token = r#"{"choices":[{"index":0,"delta":{"content":"a"}}],"usage":null}"#;
    assert_eq!(counts(&[token, token, &with_usage(0, "{}", 2)]), [(1, false), (1, false), (0, false)]);
}

#[test]
fn an_absurd_index_costs_nothing() {
    let absurd = r#"{"choices":[{"index":18446744073709551615,"text":"a"}],"usage":{"completion_tokens":3}}"#;
    assert_eq!(counts(&[absurd]), [(1, false)]);
}

#[test]
fn ends_and_errors_are_told_apart() {
    let feed = |data: &str| TokenMeter::new().feed(data.as_bytes());
    assert_eq!(feed(r#"{"choices":[{"finish_reason":"cache_threshold"}]}"#).finish, Some(FinishReason::CacheThreshold));
    assert_eq!(feed(r#"{"choices":[{"finish_reason":"eos"}]}"#).finish, Some(FinishReason::Other));
    assert!(feed(r#"{"error":{"message":"x"}}"#).error);
    assert!(feed(r#"{"object":"error","message":"x","code":400}"#).error);
    assert!(!feed(r#"{"choices":[],"error":null}"#).error);
    for garbage in ["", "<html>", "[1]", r#"{"choices":[{"text":"a"}"#, "[DONE] "] {
        assert_eq!(feed(garbage), Chunk { malformed: true, ..Chunk::default() }, "{garbage}");
    }
}

#[test]
fn anthropic_events_are_read_by_their_type() {
    let chunks = metered(concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"role\":\"assistant\",\"content\":[],",
        "\"usage\":{\"input_tokens\":25,\"output_tokens\":0}}}\n\n",
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "data: {\"type\":\"ping\"}\n\n",
        "data: {\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"},\"type\":\"content_block_delta\",\"index\":0}\n\n",
        "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"h\"}}\n\n",
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n",
        "data: {\"type\":\"message_stop\"}\n\n",
    ));
    assert_eq!(chunks.iter().map(|chunk| chunk.tokens).collect::<Vec<_>>(), [0, 0, 0, 1, 1, 0, 0]);
    assert_eq!(chunks[5].finish, Some(FinishReason::Stop));
    assert_eq!(chunks[5].usage, Some(Usage { prompt_tokens: 25, completion_tokens: 2, cached_tokens: None }));
    assert!(chunks[6].done);
}

#[test]
fn responses_events_are_read_by_their_type() {
    let chunks = metered(concat!(
        "data: {\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\",\"usage\":null}}\n\n",
        "data: {\"type\":\"response.reasoning_text.delta\",\"delta\":\"so\"}\n\n",
        "data: {\"type\":\"response.output_text.delta\",\"delta\":\"\"}\n\n",
        "data: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n",
        "data: {\"type\":\"response.output_text.done\",\"text\":\"Hi\"}\n\n",
        "data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":2,",
        "\"input_tokens_details\":{\"cached_tokens\":1}}}}\n\n",
    ));
    assert_eq!(chunks.iter().map(|chunk| chunk.tokens).collect::<Vec<_>>(), [0, 1, 0, 1, 0, 0]);
    assert_eq!(chunks[5].usage, Some(Usage { prompt_tokens: 3, completion_tokens: 2, cached_tokens: Some(1) }));
    assert!(chunks[5].done);
}

proptest! {
    /// However chunks of a stream open, alike or not, legal or not, what was learnt of one opening changes no other's count.
    #[test]
    fn a_known_opening_changes_nothing(
        chunks in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "", " ", r#""id":"a","#, r#""id":"a","created":1,"#, r#""id":"b","created":1, "#, r#""id":"a","#,
                    r#""usage":{"completion_tokens":1},"#, r#""choices":[],"#, r#""error":null,"#, r#""error":1,"#, r#""id":,"#,
                ]),
                prop::sample::select(vec![
                    r#""choices":[{"delta":{"content":"x"}}]}"#, r#""choices":[{"text":"","token_ids":[1,2]}]}"#,
                    r#""choices":[],"usage":{"completion_tokens":3}}"#, r#""choices":[{"text":"x"}]"#, "}", "",
                    r#""choices":[{"text":"x"}]} x"#,
                ]),
            ),
            0..8,
        ),
    ) {
        let mut meter = TokenMeter::new();
        let mut forgetful = TokenMeter::new();
        for (head, rest) in chunks {
            let data = format!("{{{head}{rest}");
            forgetful.opening = Opening::default();
            prop_assert_eq!(meter.feed(data.as_bytes()), forgetful.feed(data.as_bytes()), "{}", data);
        }
    }
}

/// Pieces of output, some of them empty, by their kind.
fn pieces() -> impl Strategy<Value = Vec<(usize, String)>> {
    prop::collection::vec((0..3_usize, "[a-z \"\\\\é\n]{0,6}"), 0..12)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

proptest! {
    /// Whatever an Anthropic stream carries, its tokens are the deltas that show something, its usage joins the prompt of
    /// its first event with the output of its last, and only its closing event ends it.
    #[test]
    fn an_anthropic_stream_counts_what_it_shows(pieces in pieces(), input in 1..9999_u64, output in 0..9999_u64) {
        let mut meter = TokenMeter::new();
        let start = format!(
            r#"{{"type":"message_start","message":{{"content":[],"usage":{{"input_tokens":{input},"output_tokens":1}}}}}}"#
        );
        let opened = meter.feed(start.as_bytes());
        prop_assert!(opened.tokens == 0 && !opened.done);
        for (kind, text) in &pieces {
            let (name, member) =
                [("text_delta", "text"), ("thinking_delta", "thinking"), ("input_json_delta", "partial_json")][*kind];
            let data = format!(
                r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"{name}","{member}":{}}}}}"#, quoted(text)
            );
            let chunk = meter.feed(data.as_bytes());
            prop_assert_eq!(chunk.tokens, u32::from(!text.is_empty()), "{}", data);
            prop_assert!(!chunk.done && !chunk.error && chunk.usage.is_none());
        }
        let signature = br#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"x"}}"#;
        prop_assert_eq!(meter.feed(signature).tokens, 0);
        let delta = format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":"tool_use"}},"usage":{{"output_tokens":{output}}}}}"#
        );
        let counted = meter.feed(delta.as_bytes());
        prop_assert_eq!(counted.finish, Some(FinishReason::ToolCalls));
        let usage = counted.usage.unwrap_or_default();
        prop_assert_eq!((usage.prompt_tokens, usage.completion_tokens), (input, output));
        let stop = meter.feed(br#"{"type":"message_stop"}"#);
        prop_assert!(!counted.done && stop.done);
    }

    /// The same for the Responses API, whose last event has the whole usage.
    #[test]
    fn a_responses_stream_counts_what_it_shows(pieces in pieces(), input in 0..9999_u64, output in 0..9999_u64) {
        let mut meter = TokenMeter::new();
        let opened = meter.feed(br#"{"type":"response.created","response":{"status":"in_progress","usage":null}}"#);
        prop_assert!(opened.tokens == 0 && !opened.done);
        for (kind, text) in &pieces {
            let name = ["output_text", "reasoning_text", "function_call_arguments"][*kind];
            let data = format!(r#"{{"delta":{},"type":"response.{name}.delta","item_id":"i"}}"#, quoted(text));
            let chunk = meter.feed(data.as_bytes());
            prop_assert_eq!(chunk.tokens, u32::from(!text.is_empty()), "{}", data);
            let whole = format!(r#"{{"type":"response.{name}.done","text":{}}}"#, quoted(text));
            prop_assert_eq!(meter.feed(whole.as_bytes()).tokens, 0);
            prop_assert!(!chunk.done && !chunk.error && chunk.usage.is_none());
        }
        let last = format!(
            r#"{{"type":"response.completed","response":{{"usage":{{"input_tokens":{input},"output_tokens":{output}}}}}}}"#
        );
        let closed = meter.feed(last.as_bytes());
        let usage = closed.usage.unwrap_or_default();
        prop_assert!(closed.done && closed.tokens == 0);
        prop_assert_eq!((usage.prompt_tokens, usage.completion_tokens), (input, output));
    }
}
