//! The APIs besides chat and completions.

use serde_json::json;

use crate::support::{Engine, Gateway, count, put_tokenizer};

const MESSAGES: &str = "/v1/messages";

/// A body that every API takes.
const ANY: &str = r#"{"model":"tiny","stream":true,"max_tokens":3,"messages":[],"input":"x","prompt":"x"}"#;

#[tokio::test]
async fn a_typed_stream_passes_as_it_is_and_its_usage_is_counted() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let streams = [
        (
            MESSAGES,
            concat!(
                "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":7,\"output_tokens\":0}}}\n\n",
                "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n",
                "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":1}}\n\n",
                "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            ),
        ),
        (
            "/v1/responses",
            concat!(
                "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"usage\":null}}\n\n",
                "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n",
                "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n",
            ),
        ),
    ];
    for (total, (path, stream)) in (1..).zip(streams) {
        let mut client = gateway.client().await;
        client.post(path, ANY).await;
        let mut call = engine.call().await;
        assert_eq!(call.body, ANY, "{path}: nothing is to be asked for that the API has no member for");
        call.open().await;
        call.send(stream).await;
        call.end().await;
        assert_eq!(client.answer().await.text(), stream);
        let scrape = gateway.settled(total).await;
        assert_eq!(count(&scrape, "tiny", 200), total);
        let sum = |name| scrape.sum(name, &[]).unwrap();
        assert_eq!(
            (sum("request_input_tokens_total"), sum("request_output_tokens_total")),
            (7.0 * total as f64, total as f64)
        );
        assert_eq!(sum("request_ttft_milliseconds_count"), total as f64);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_its_apis_error_event() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    for (path, shape) in [
        (MESSAGES, r#"{"type":"error","error":{"type":"api_error","message":"#),
        ("/v1/responses", r#"{"type":"error","message":"#),
        ("/v1/chat/completions", r#"{"error":{"message":"#),
    ] {
        let mut client = gateway.client().await;
        client.post(path, ANY).await;
        let mut call = engine.call().await;
        call.open().await;
        call.send("data: {\"type\":\"ping\"}\n\n").await;
        call.close();
        let (rest, _) = {
            client.head().await;
            client.rest().await
        };
        assert!(rest.contains(&format!("event: error\ndata: {shape}")), "{path}: {rest}");
    }
}

#[tokio::test]
async fn embeddings_go_to_an_engine_and_are_never_a_stream() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    let body = r#"{"model":"tiny","input":["a","b"],"stream":true}"#;
    client.post("/v1/embeddings", body).await;
    let call = engine.call().await;
    assert_eq!(call.body, body);
    call.answer(200, r#"{"data":[],"usage":{"prompt_tokens":9,"total_tokens":9}}"#).await;
    assert_eq!(client.answer().await.status(), 200);
    let scrape = gateway.settled(1).await;
    assert_eq!(scrape.sum("request_input_tokens_total", &[]), Some(9.0));
    assert_eq!(scrape.sum("request_output_tokens_total", &[]), Some(0.0));
}

#[tokio::test]
async fn every_api_answers_every_mistake_in_its_own_shape_with_id_and_timing() {
    let gateway =
        Gateway::with(|args| args.with("neutral-endpoints", "127.0.0.1:1").with("max-body-bytes", "300")).await;
    let long = format!(r#"{{"model":"tiny","prompt":"{}"}}"#, "x".repeat(400));
    let mistakes = [
        ("POST", "", 400, "invalid_body"),
        ("POST", "{", 400, "invalid_body"),
        ("POST", "[]", 400, "invalid_body"),
        ("POST", r#"{"model":1}"#, 400, "invalid_body"),
        ("POST", r#"{"stream":"yes"}"#, 400, "invalid_body"),
        ("POST", &long, 413, "body_too_large"),
        ("POST", ANY, 503, "connect"),
        ("GET", "", 405, "method_not_allowed"),
        ("DELETE", "", 405, "method_not_allowed"),
    ];
    let apis = ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", MESSAGES];
    for (path, (method, body, status, code)) in apis.iter().flat_map(|path| mistakes.map(|mistake| (*path, mistake))) {
        let mut client = gateway.client().await;
        client.send(method, path, "x-request-id: mine\r\n", body).await;
        let answer = client.answer().await;
        let shown = format!("{method} {path} {body}: {}", answer.text());
        assert_eq!(answer.status(), status, "{shown}");
        assert_eq!(answer.head.get("x-request-id"), Some("mine"), "{shown}");
        assert!(answer.head.get("server-timing").unwrap().contains("total;dur="), "{shown}");
        assert!(answer.head.get("x-candor-error").is_some(), "{shown}");
        if path == MESSAGES {
            assert_eq!(answer.json()["type"], "error", "{shown}");
        } else {
            answer.error();
            assert!(answer.json()["error"]["code"].as_str().unwrap().contains(code), "{shown}");
        }
    }
}

#[tokio::test]
async fn anthropic_clients_get_errors_that_they_can_read() {
    let gateway = Gateway::neutral(&["127.0.0.1:1"]).await;
    for (method, body, status, kind) in [
        ("POST", "{", 400, "invalid_request_error"),
        ("POST", r#"{"model":1}"#, 400, "invalid_request_error"),
        ("POST", ANY, 503, "overloaded_error"),
        ("GET", "", 405, "invalid_request_error"),
    ] {
        let mut client = gateway.client().await;
        client.send(method, MESSAGES, "", body).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), status, "{}", answer.text());
        assert_eq!((&answer.json()["type"], &answer.json()["error"]["type"]), (&json!("error"), &json!(kind)));
        assert!(answer.head.get("x-candor-error").is_some());
    }
}

#[tokio::test]
async fn tokens_are_an_engines_to_make() {
    let mut engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    let mut client = gateway.client().await;
    client.send("POST", "/tokenize", "x-request-id: t\r\nauthorization: Bearer k\r\n", r#"{"prompt":"a b"}"#).await;
    let call = engine.call().await;
    assert_eq!((call.head.start.as_str(), &call.body[..]), ("POST /tokenize HTTP/1.1", &br#"{"prompt":"a b"}"#[..]));
    assert_eq!((call.head.get("x-request-id"), call.head.get("authorization")), (Some("t"), Some("Bearer k")));
    call.answer(200, r#"{"count":2,"tokens":[1,2]}"#).await;
    let answer = client.answer().await;
    assert_eq!(answer.json()["count"], 2);
    assert_eq!(answer.head.get("x-request-id"), Some("t"));

    let dead = Gateway::neutral(&["127.0.0.1:1"]).await;
    let mut client = dead.client().await;
    client.send("POST", "/tokenize", "", "{}").await;
    let answer = client.answer().await;
    assert_eq!(answer.status(), 503);
    answer.error();
}

#[tokio::test]
async fn with_a_tokenizer_tokens_are_made_here_and_a_prompt_that_is_too_long_goes_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    put_tokenizer(dir.path());
    let template = dir.path().join("chat.jinja");
    std::fs::write(&template, "{{ messages[0].role }} {{ messages[0].content }}").unwrap();
    let mut engine = Engine::start().await;
    let gateway = Gateway::with(|args| {
        let args = args.with("neutral-endpoints", engine.addr.to_string()).with("max-model-len", "4");
        let args = args.with("tokenizer-path", dir.path().to_str().unwrap());
        args.with("chat-template", template.to_str().unwrap())
    })
    .await;
    let post = async |path: &str, body: &str| {
        let mut client = gateway.client().await;
        client.post(path, body).await;
        client.answer().await
    };
    let answer = post("/tokenize", r#"{"prompt":"hi you hi"}"#).await.json();
    assert_eq!(
        (&answer["tokens"], &answer["count"], &answer["max_model_len"]),
        (&json!([1, 0, 1]), &json!(3), &json!(4))
    );
    let answer = post("/tokenize", r#"{"messages":[{"role":"user","content":"hi"}]}"#).await.json();
    assert_eq!(answer["tokens"], json!([0, 1]));
    let wrong = post("/tokenize", "{}").await;
    assert_eq!(wrong.status(), 400);
    wrong.error();
    for path in ["/v1/completions", "/v1/messages"] {
        let body =
            r#"{"model":"tiny","prompt":"a b c d","messages":[{"role":"user","content":"a b c"}],"max_tokens":1}"#;
        let refused = post(path, body).await;
        assert_eq!(refused.status(), 400, "{path}");
        assert!(
            refused.text().contains("the model's longest context is 4 tokens, and the prompt has 4"),
            "{}",
            refused.text()
        );
    }
    assert!(engine.is_idle());
    let mut client = gateway.client().await;
    client.post("/v1/completions", r#"{"model":"tiny","prompt":"a b c"}"#).await;
    engine.call().await.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
}
