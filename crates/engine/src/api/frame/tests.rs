use super::*;
use serde_json::{Value, json};

const ENDING: Ending<'_> = Ending { reason: "length", stop: None };

const TERMS: Terms<'_> = Terms {
    api: Api::Completions,
    dialect: Dialect::Vllm,
    id: "cmpl-pd-False-0",
    model: "tiny",
    created: 1_795_332_896,
    prompt: 402,
    continuous: None,
};

fn frame(api: Api) -> Frame {
    match api {
        Api::ChatCompletions => {
            Frame::new(Terms { api, id: "chatcmpl-pd-True-0", created: 1_795_332_897, ..TERMS }, None)
        }
        _ => Frame::new(Terms { api, ..TERMS }, None),
    }
}

/// A call of the function `look`, whose argument is `at`.
fn tools() -> Tools {
    Tools { name: "look".to_owned(), argument: "at".to_owned(), seed: 1 }
}

/// A stream of three tokens that ends in this way.
fn stream(mut frame: Frame, ending: Ending<'_>) -> String {
    let usage = Usage { prompt: 4, completion: 3, cached: None };
    rendered(|out| {
        frame.open(out);
        frame.first(0, out);
        frame.token(0, ("", " a"), 1, out);
        frame.token(0, ("", ""), 2, out);
        frame.last(0, (" é", " b"), ending, 3, out);
        frame.end(usage, true, out);
    })
}

/// The data of a stream's events, without the end marker.
fn events(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// All strings at `pointer`, joined.
fn joined(events: &[Value], pointer: &str) -> String {
    events.iter().filter_map(|event| event.pointer(pointer)?.as_str()).collect()
}

fn rendered(render: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    render(&mut out);
    String::from_utf8(out).unwrap()
}

// The expected texts are those of a real vLLM 0.32 (shared samples, vllm/nixl-exchange.txt).

#[test]
fn completion_chunks_are_a_real_vllms() {
    let mut frame = frame(Api::Completions);
    assert_eq!(rendered(|out| frame.first(0, out)), "");
    assert_eq!(
        rendered(|out| frame.token(0, ("", ""), 1, out)),
        concat!(
            r#"data: {"id":"cmpl-pd-False-0","object":"text_completion","created":1795332896,"model":"tiny","choices":["#,
            r#"{"index":0,"text":"","logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,"token_ids":null}]}"#,
            "\n\n"
        )
    );
    let usage = Usage { prompt: 402, completion: 12, cached: None };
    assert_eq!(
        rendered(|out| frame.end(usage, true, out)),
        concat!(
            r#"data: {"id":"cmpl-pd-False-0","object":"text_completion","created":1795332896,"model":"tiny","choices":[],"#,
            r#""usage":{"prompt_tokens":402,"total_tokens":414,"completion_tokens":12},"system_fingerprint":"vllm-0.32.0-80fa74aa"}"#,
            "\n\ndata: [DONE]\n\n"
        )
    );
}

#[test]
fn chat_chunks_are_a_real_vllms() {
    let mut frame = frame(Api::ChatCompletions);
    let head = r#"data: {"id":"chatcmpl-pd-True-0","object":"chat.completion.chunk","created":1795332897,"model":"tiny","choices":["#;
    assert_eq!(
        rendered(|out| frame.first(0, out)),
        format!(
            "{head}{}\n\n",
            r#"{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null}"#
        )
    );
    assert_eq!(
        rendered(|out| frame.token(0, ("", ""), 1, out)),
        format!(
            "{head}{}\n\n",
            r#"{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":null,"token_ids":null}]}"#
        )
    );
}

#[test]
fn documents_are_a_real_vllms() {
    let usage = Usage { prompt: 402, completion: 1, cached: None };
    let document = frame(Api::Completions).document(&[(String::new(), ENDING)], usage, Some("{}"));
    assert_eq!(
        String::from_utf8(document).unwrap(),
        concat!(
            r#"{"id":"cmpl-pd-False-0","object":"text_completion","created":1795332896,"model":"tiny","choices":[{"index":0,"text":"","logprobs":null,"#,
            r#""finish_reason":"length","stop_reason":null,"token_ids":null,"prompt_logprobs":null,"prompt_token_ids":null,"routed_experts":null}],"#,
            r#""service_tier":null,"system_fingerprint":"vllm-0.32.0-80fa74aa","usage":{"prompt_tokens":402,"total_tokens":403,"completion_tokens":1,"#,
            r#""prompt_tokens_details":null,"completion_tokens_details":null},"kv_transfer_params":{},"ec_transfer_params":null,"metrics":null}"#
        )
    );
    let usage = Usage { prompt: 417, completion: 1, cached: None };
    let document = frame(Api::ChatCompletions).document(&[(String::new(), ENDING)], usage, None);
    assert_eq!(
        String::from_utf8(document).unwrap(),
        concat!(
            r#"{"id":"chatcmpl-pd-True-0","object":"chat.completion","created":1795332897,"model":"tiny","choices":[{"index":0,"message":{"role":"assistant","#,
            r#""content":"","refusal":null,"annotations":null,"audio":null,"function_call":null,"reasoning":null},"logprobs":null,"finish_reason":"length","#,
            r#""stop_reason":null,"token_ids":null,"routed_experts":null}],"service_tier":null,"system_fingerprint":"vllm-0.32.0-80fa74aa","usage":"#,
            r#"{"prompt_tokens":417,"total_tokens":418,"completion_tokens":1,"prompt_tokens_details":null,"completion_tokens_details":null},"#,
            r#""prompt_logprobs":null,"prompt_token_ids":null,"prompt_text":null,"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}"#
        )
    );
}

#[test]
fn every_rendering_is_json_in_every_dialect() {
    let stopped = Ending { reason: "stop", stop: Some("\"\\\n") };
    let usage = Usage { prompt: 4, completion: 2, cached: Some(3) };
    for (api, dialect) in [
        (Api::Completions, Dialect::Vllm),
        (Api::ChatCompletions, Dialect::Vllm),
        (Api::Completions, Dialect::Sglang),
        (Api::ChatCompletions, Dialect::Sglang),
    ] {
        let terms = Terms { api, dialect, id: "a\"b", model: "m\\n", created: 1, prompt: 4, continuous: Some(4) };
        let mut frame = Frame::new(terms, None);
        let stream = rendered(|out| {
            frame.first(1, out);
            frame.token(1, (" é", " the"), 1, out);
            frame.last(1, (" é", "\u{fffd}"), stopped, 2, out);
            frame.end(usage, true, out);
        });
        for event in stream.strip_suffix("data: [DONE]\n\n").unwrap().split_terminator("\n\n") {
            let json: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(json["id"], "a\"b");
            assert_eq!(json["usage"]["prompt_tokens"], 4);
        }
        let document = frame.document(&[("x\n".to_owned(), stopped), (String::new(), ENDING)], usage, None);
        let json: Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(json["choices"][1]["finish_reason"], "length");
        assert_eq!(json["usage"]["prompt_tokens_details"]["cached_tokens"], 3);
    }
}

const STOPPED: Ending<'_> = Ending { reason: "stop", stop: None };

#[test]
fn a_chat_call_grows_argument_by_argument_and_is_whole_json_when_it_ends_by_itself() {
    for dialect in [Dialect::Vllm, Dialect::Sglang] {
        let frame = || Frame::new(Terms { api: Api::ChatCompletions, dialect, ..TERMS }, Some(tools()));
        let chunks = events(&stream(frame(), STOPPED));
        let call = &chunks[1]["choices"][0]["delta"]["tool_calls"][0];
        assert_eq!((&call["function"]["name"], &call["type"]), (&json!("look"), &json!("function")));
        let arguments = joined(&chunks, "/choices/0/delta/tool_calls/0/function/arguments");
        assert_eq!(arguments, "{\"at\":\" a é b\"}");
        assert!(chunks.iter().any(|chunk| chunk["choices"][0]["finish_reason"] == "tool_calls"));
        let document = frame().document(&[(" a é b".to_owned(), STOPPED)], Usage::default(), None);
        let document: Value = serde_json::from_slice(&document).unwrap();
        let whole = &document["choices"][0]["message"];
        assert_eq!(whole["content"], Value::Null);
        assert_eq!(whole["tool_calls"][0]["function"]["arguments"], arguments);
        assert_eq!(whole["tool_calls"][0]["id"], call["id"]);

        let cut = events(&stream(frame(), ENDING));
        let arguments = joined(&cut, "/choices/0/delta/tool_calls/0/function/arguments");
        assert_eq!(arguments, "{\"at\":\" a é b", "a call that meets the limit is cut off");
        assert!(cut.iter().any(|chunk| chunk["choices"][0]["finish_reason"] == "length"));
    }
}

#[test]
fn a_message_is_a_block_of_text_between_its_head_and_its_usage() {
    let frame = || Frame::new(Terms { api: Api::Messages, id: "msg_1", ..TERMS }, None);
    let text = stream(frame(), ENDING);
    assert!(text.starts_with("event: message_start\ndata: {"));
    assert!(text.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\ndata: [DONE]\n\n"));
    let events = events(&text);
    let delta = "content_block_delta";
    assert_eq!(
        types(&events),
        ["message_start", "content_block_start", delta, delta, "content_block_stop", "message_delta", "message_stop"]
    );
    assert_eq!(joined(&events, "/delta/text"), " a é b");
    assert_eq!(events[0]["message"]["usage"], json!({"input_tokens": 402, "output_tokens": 0}));
    assert_eq!(events[5]["delta"]["stop_reason"], "max_tokens");
    assert_eq!(events[5]["usage"], json!({"input_tokens": 4, "output_tokens": 3}));
    let stopped = Ending { reason: "stop", stop: Some("x") };
    let document = frame().document(&[("hi".to_owned(), stopped)], Usage::default(), None);
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["content"], json!([{"type": "text", "text": "hi"}]));
    assert_eq!((&document["stop_reason"], &document["stop_sequence"]), (&json!("stop_sequence"), &json!("x")));
}

#[test]
fn a_message_can_use_a_tool() {
    let frame = || Frame::new(Terms { api: Api::Messages, id: "msg_1", ..TERMS }, Some(tools()));
    let events = events(&stream(frame(), STOPPED));
    assert_eq!(events[1]["content_block"]["type"], "tool_use");
    assert_eq!(joined(&events, "/delta/partial_json"), "{\"at\":\" a é b\"}");
    let document = frame().document(&[(" a".to_owned(), STOPPED)], Usage::default(), None);
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["content"][0]["input"], json!({"at": " a"}));
    assert_eq!(document["stop_reason"], "tool_use");
}

#[test]
fn a_response_is_numbered_from_its_creation_to_its_completion() {
    let frame = || Frame::new(Terms { api: Api::Responses, id: "resp_1", ..TERMS }, None);
    let text = stream(frame(), STOPPED);
    assert!(text.starts_with("event: response.created\ndata: {") && !text.contains("[DONE]"));
    let events = events(&text);
    for (event, number) in events.iter().zip(0..) {
        assert_eq!(event["sequence_number"], number);
    }
    let delta = "response.output_text.delta";
    assert_eq!(
        types(&events),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            delta,
            delta,
            delta,
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed"
        ]
    );
    assert_eq!(joined(&events, "/delta"), " a é b");
    let whole = &events[10]["response"];
    assert_eq!(whole["output"][0]["content"][0]["text"], " a é b");
    assert_eq!((&whole["usage"]["input_tokens"], &whole["usage"]["output_tokens"]), (&json!(4), &json!(3)));
    let document = frame().document(&[("hi".to_owned(), ENDING)], Usage::default(), None);
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["status"], "incomplete");
    assert_eq!(document["output"][0]["content"][0]["text"], "hi");
}

#[test]
fn a_response_can_call_a_function() {
    let frame = Frame::new(Terms { api: Api::Responses, id: "resp_1", ..TERMS }, Some(tools()));
    let events = events(&stream(frame, STOPPED));
    assert_eq!(events[2]["item"]["type"], "function_call");
    assert_eq!(joined(&events, "/delta"), "{\"at\":\" a é b\"}");
    let item = &events.last().unwrap()["response"]["output"][0];
    assert_eq!((&item["name"], &item["arguments"]), (&json!("look"), &json!("{\"at\":\" a é b\"}")));
}

#[test]
fn what_the_token_meter_counts_is_what_was_generated() {
    for api in [Api::Completions, Api::ChatCompletions, Api::Messages, Api::Responses] {
        for calls in [None, Some(tools()).filter(|_| api != Api::Completions)] {
            let text = stream(Frame::new(Terms { api, ..TERMS }, calls), STOPPED);
            let mut meter = ::openai::TokenMeter::new();
            let (mut tokens, mut usage, mut done) = (0, None, false);
            for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
                let chunk = meter.feed(data.as_bytes());
                assert!(!chunk.malformed && !chunk.error, "{data}");
                tokens += chunk.tokens;
                usage = chunk.usage.or(usage);
                done |= chunk.done;
            }
            let usage = usage.unwrap();
            assert!(done, "{api:?}");
            assert_eq!((usage.prompt_tokens, usage.completion_tokens), (4, 3), "{api:?}");
            // The second token of three has no text: an event is the least that it can be counted by, where one is sent.
            assert!((2..=3).contains(&tokens), "{api:?}: {tokens}");
        }
    }
}
