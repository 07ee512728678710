use super::*;
use http::StatusCode;

const LIMITS: Limits = Limits { max_model_len: 100, max_choices: 4 };

fn parse(api: Api, body: &str) -> Result<Request, Refusal> {
    Request::parse(api, body.as_bytes(), LIMITS)
}

fn completion(members: &str) -> Result<Request, Refusal> {
    parse(Api::Completions, &format!(r#"{{"prompt": "one two three"{members}}}"#))
}

fn refusal(members: &str) -> String {
    let refusal = completion(members).unwrap_err();
    assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
    refusal.to_json()
}

#[test]
fn defaults_are_vllms() {
    let request = completion("").unwrap();
    assert_eq!((request.prompt.len(), request.max_tokens, request.n), (3, 16, 1));
    assert!(!request.stream && !request.include_usage && !request.ignore_eos);
    let chat = parse(Api::ChatCompletions, r#"{"messages": [{"role": "user", "content": "one two"}]}"#).unwrap();
    assert_eq!(chat.max_tokens, 100 - chat.prompt.len() as u32, "chat may use all the room there is");
}

#[test]
fn prompts_come_as_text_tokens_or_parts() {
    let prompt = |body| parse(Api::Completions, body).unwrap().prompt;
    assert_eq!(prompt(r#"{"prompt": [5, 6]}"#), [5, 6]);
    assert_eq!(prompt(r#"{"prompt": ["one two"]}"#), prompt(r#"{"prompt": "one two"}"#));
    assert_eq!(prompt(r#"{"prompt": "a\u0062"}"#), prompt(r#"{"prompt": "ab"}"#));
    let chat = |body| parse(Api::ChatCompletions, body).unwrap().prompt;
    let plain = chat(r#"{"messages": [{"role": "user", "content": "hi"}]}"#);
    assert_eq!(chat(r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}"#), plain);
    let image = r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "x"}}]}]}"#;
    assert_eq!(chat(image).len(), plain.len() + 1);
}

#[test]
fn min_tokens_above_max_tokens_is_refused() {
    assert!(
        refusal(r#", "max_tokens": 1, "min_tokens": 5"#)
            .contains("min_tokens must be less than or equal to max_tokens=1, got 5.")
    );
    assert!(completion(r#", "max_tokens": 5, "min_tokens": 5"#).is_ok());
}

#[test]
fn wrong_requests_are_refused_with_the_reason() {
    assert!(refusal(r#", "max_tokens": 98"#).contains("maximum context length is 100 tokens"));
    assert!(refusal(r#", "max_tokens": 0"#).contains("at least 1"));
    assert!(refusal(r#", "n": 9"#).contains("between 1 and 4"));
    assert!(refusal(r#", "max_tokens": "many""#).contains("invalid type"));
    assert!(refusal(r#", "stream": "#).contains("expected value"));
    let empty = parse(Api::Completions, r#"{"prompt": ""}"#).unwrap_err().to_json();
    assert!(empty.contains("cannot be empty"));
    assert!(parse(Api::ChatCompletions, "{}").unwrap_err().to_json().contains("messages"));
}

#[test]
fn kv_transfer_params_hold_or_pull() {
    let kv = |value: &str| completion(&format!(r#", "kv_transfer_params": {value}"#)).unwrap().kv;
    let prefill = r#"{"do_remote_decode": true, "do_remote_prefill": false, "remote_engine_id": null,
        "remote_block_ids": null, "remote_host": null, "remote_port": null}"#;
    assert_eq!(kv(prefill), KvParams::Hold);
    let decode = r#"{"do_remote_prefill": true, "do_remote_decode": false, "remote_block_ids": [[1, 2]],
        "remote_engine_id": "e", "remote_request_id": "r", "remote_host": "127.0.0.1", "remote_port": 5600, "new_member": []}"#;
    let lease = Lease { address: "127.0.0.1:5600".into(), engine_id: "e".into(), request_id: "r".into() };
    assert_eq!(kv(decode), KvParams::Pull(Some(lease)));
    assert_eq!(kv(r#"{"do_remote_prefill": true}"#), KvParams::Pull(None));
    assert_eq!(kv("null"), KvParams::None);
    assert_eq!(kv("{}"), KvParams::None);
}

#[test]
fn a_room_needs_a_host() {
    let room = |members| completion(members).unwrap().bootstrap;
    let expected = Bootstrap { address: "h:8998".into(), room: u64::MAX >> 1 };
    assert_eq!(room(r#", "bootstrap_host": "h", "bootstrap_room": 9223372036854775807"#), Some(expected));
    assert_eq!(room(r#", "bootstrap_room": 1"#), None);
}

#[test]
fn a_salt_changes_what_is_shared() {
    assert_ne!(completion(r#", "cache_salt": "a""#).unwrap().salt, completion("").unwrap().salt);
}
