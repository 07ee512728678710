use super::*;

const ENDING: Ending<'_> = Ending { reason: "length", stop: None };

fn frame(api: Api) -> Frame {
    let chat = api == Api::ChatCompletions;
    let (id, created) = if chat { ("chatcmpl-pd-True-0", 1_795_332_897) } else { ("cmpl-pd-False-0", 1_795_332_896) };
    Frame::new((api, Dialect::Vllm), id, "tiny", created, None)
}

fn rendered(render: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    render(&mut out);
    String::from_utf8(out).unwrap()
}

// The expected texts are those of a real vLLM 0.32 (shared samples, vllm/nixl-exchange.txt).

#[test]
fn completion_chunks_are_a_real_vllms() {
    let frame = frame(Api::Completions);
    assert_eq!(rendered(|out| frame.role(0, out)), "");
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
        rendered(|out| frame.usage(usage, out)),
        concat!(
            r#"data: {"id":"cmpl-pd-False-0","object":"text_completion","created":1795332896,"model":"tiny","choices":[],"#,
            r#""usage":{"prompt_tokens":402,"total_tokens":414,"completion_tokens":12},"system_fingerprint":"vllm-0.32.0-80fa74aa"}"#,
            "\n\n"
        )
    );
}

#[test]
fn chat_chunks_are_a_real_vllms() {
    let frame = frame(Api::ChatCompletions);
    let head = r#"data: {"id":"chatcmpl-pd-True-0","object":"chat.completion.chunk","created":1795332897,"model":"tiny","choices":["#;
    assert_eq!(
        rendered(|out| frame.role(0, out)),
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
        let frame = Frame::new((api, dialect), "a\"b", "m\\n", 1, Some(4));
        let stream = rendered(|out| {
            frame.role(1, out);
            frame.token(1, (" é", " the"), 1, out);
            frame.last(1, (" é", "\u{fffd}"), stopped, 2, out);
            frame.usage(usage, out);
        });
        for event in stream.split_terminator("\n\n") {
            let json: serde_json::Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(json["id"], "a\"b");
            assert_eq!(json["usage"]["prompt_tokens"], 4);
        }
        let document = frame.document(&[("x\n".to_owned(), stopped), (String::new(), ENDING)], usage, None);
        let json: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(json["choices"][1]["finish_reason"], "length");
        assert_eq!(json["usage"]["prompt_tokens_details"]["cached_tokens"], 3);
    }
}
