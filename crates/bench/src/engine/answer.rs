//! The null engine's canned answers: OpenAI chat shapes as vLLM sends them, framed once at start.

use std::fmt::Write as _;
use std::sync::LazyLock;

/// Marks the engine's own time in the first token: from the request's last byte to just before this token is written,
/// in ns. The load subtracts it from its stopwatch; what is left is the way there and back.
pub(crate) const DWELL: &str = "dwell_ns=";
/// Begins every token-bearing chunk's text, and nothing else.
pub(crate) const TOKEN: &str = "\"content\":\" ";

const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
const CHUNK_OPEN: &str =
    r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"bench","choices":["#;
const ROLE: &str = r#"{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}"#;
const USAGE: &str = r#""usage":{"prompt_tokens":9,"total_tokens":"#;

/// A whole answer to a request that does not stream.
pub(crate) static COMPLETION: LazyLock<Vec<u8>> = LazyLock::new(|| completion("null"));

/// The answer of a nixlv2 prefill leg.
pub(crate) static PREFILL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    completion(
        r#"{"do_remote_prefill":true,"do_remote_decode":false,"remote_engine_id":"bench-0","remote_block_ids":[1,2,3,4],"remote_request_id":"chatcmpl-bench","remote_host":"127.0.0.1","remote_port":5600,"tp_size":1}"#,
    )
});

/// The list of models, for proxies that ask.
pub(crate) static MODELS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    json(
        200,
        r#"{"object":"list","data":[{"id":"bench","object":"model","created":1700000000,"owned_by":"bench","root":"bench","parent":null,"max_model_len":8192}]}"#,
    )
});

static PLAIN_TOKEN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut out = Vec::new();
    push_chunk(&mut out, &token_event(&format!("{TOKEN}token"), "null"));
    out
});

fn completion(kv_transfer_params: &str) -> Vec<u8> {
    json(
        200,
        &format!(
            r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"bench","choices":[{{"index":0,"message":{{"role":"assistant","content":" token token token token"}},"logprobs":null,"finish_reason":"length","stop_reason":null}}],{USAGE}13,"completion_tokens":4}},"kv_transfer_params":{kv_transfer_params}}}"#
        ),
    )
}

/// A complete response with a JSON body.
pub(crate) fn json(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// The head of a stream, sent when the request has been read, as vLLM does.
pub(crate) fn push_stream_head(out: &mut Vec<u8>) {
    out.extend_from_slice(STREAM_HEAD.as_bytes());
}

/// The role chunk, which carries no token and travels with the first one.
pub(crate) fn push_role(out: &mut Vec<u8>) {
    push_chunk(out, &format!("{CHUNK_OPEN}{ROLE}]}}\n\n"));
}

/// The first token, which carries the engine's own time.
pub(crate) fn push_first_token(out: &mut Vec<u8>, dwell_ns: u64, last: bool) {
    push_chunk(out, &token_event(&format!("{TOKEN}{DWELL}{dwell_ns:012}"), finish_reason(last)));
}

/// Any later token.
pub(crate) fn push_token(out: &mut Vec<u8>, last: bool) {
    if last {
        push_chunk(out, &token_event(&format!("{TOKEN}token"), finish_reason(last)));
    } else {
        out.extend_from_slice(&PLAIN_TOKEN);
    }
}

/// The end of a stream: usage where it was asked for, `[DONE]`, the last chunk.
pub(crate) fn push_end(out: &mut Vec<u8>, tokens: u32, include_usage: bool) {
    if include_usage {
        let total = u64::from(tokens) + 9;
        push_chunk(out, &format!("{CHUNK_OPEN}],{USAGE}{total},\"completion_tokens\":{tokens}}}}}\n\n"));
    }
    push_chunk(out, "data: [DONE]\n\n");
    out.extend_from_slice(b"0\r\n\r\n");
}

fn finish_reason(last: bool) -> &'static str {
    if last { "\"length\"" } else { "null" }
}

fn token_event(content: &str, finish_reason: &str) -> String {
    format!(
        "{CHUNK_OPEN}{{\"index\":0,\"delta\":{{{content}\"}},\"logprobs\":null,\"finish_reason\":{finish_reason}}}]}}\n\n"
    )
}

fn push_chunk(out: &mut Vec<u8>, event: &str) {
    let mut size = String::with_capacity(8);
    // Writing to a String cannot fail.
    let _ = write!(size, "{:x}\r\n", event.len());
    out.extend_from_slice(size.as_bytes());
    out.extend_from_slice(event.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Message, Role};

    #[test]
    fn a_stream_is_well_formed_and_counts_its_tokens() {
        let mut out = Vec::new();
        push_stream_head(&mut out);
        push_role(&mut out);
        push_first_token(&mut out, 1_234, false);
        push_token(&mut out, false);
        push_token(&mut out, true);
        push_end(&mut out, 3, true);
        let mut message = Message::new(Role::Response);
        assert_eq!(message.feed(&out), Ok(out.len()));
        assert!(message.is_done());
        let text = std::str::from_utf8(message.body()).unwrap();
        assert_eq!(text.matches(TOKEN).count(), 3);
        assert!(text.contains("dwell_ns=000000001234"));
        let events: Vec<&str> =
            text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
        assert_eq!(events.len(), 6, "role, three tokens, usage, done");
        for event in &events[..5] {
            serde_json::from_str::<serde_json::Value>(event).unwrap();
        }
        assert_eq!(events[5], "[DONE]");
    }

    #[test]
    fn canned_answers_are_json_with_their_length() {
        for answer in [&*COMPLETION, &*PREFILL, &*MODELS] {
            let mut message = Message::new(Role::Response);
            assert_eq!(message.feed(answer), Ok(answer.len()));
            assert!(message.is_done());
            serde_json::from_slice::<serde_json::Value>(message.body()).unwrap();
        }
    }
}
