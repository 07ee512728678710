//! The OpenAI surface of one instance.

use crate::support::{Engine, events, read};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_completion_has_the_text_the_length_and_the_usage_asked_for() {
    let engine = Engine::start("").await;
    let body = json!({"model": "tiny", "prompt": "one two three", "max_tokens": 5});
    let (status, answer) = engine.post_with("/v1/completions", &[("x-request-id", "abc")], &body).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["id"], "cmpl-abc");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert!(!answer["choices"][0]["text"].as_str().unwrap().is_empty());
    assert_eq!(answer["usage"]["prompt_tokens"], 3);
    assert_eq!(answer["usage"]["completion_tokens"], 5);
    assert_eq!(answer["kv_transfer_params"], Value::Null);
    assert_eq!(engine.complete(&body).await["choices"], answer["choices"], "the same prompt has the same answer");
    engine.stop().await;
}

#[tokio::test]
async fn a_chat_stream_is_role_tokens_end_usage() {
    let engine = Engine::start("").await;
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, "stream": true,
        "stream_options": {"include_usage": true}});
    let events = engine.stream("/v1/chat/completions", &body).await;
    assert_eq!(events.len(), 6);
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    for event in &events[1..4] {
        assert_eq!(event["choices"][0]["finish_reason"], Value::Null);
    }
    assert_eq!(events[4]["choices"][0]["finish_reason"], "length");
    assert_eq!(events[5]["choices"], json!([]));
    assert_eq!(events[5]["usage"]["completion_tokens"], 4);
    engine.stop().await;
}

#[tokio::test]
async fn streamed_text_is_the_text_of_the_document() {
    let engine = Engine::start("").await;
    for extra in [json!({}), json!({"stop": [" the", "an"]}), json!({"n": 3})] {
        let mut body = json!({"prompt": "tell me", "max_tokens": 120});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let document = engine.complete(&body).await;
        body["stream"] = json!(true);
        let events = engine.stream("/v1/completions", &body).await;
        for choice in document["choices"].as_array().unwrap() {
            let mut of = events.iter().map(|event| &event["choices"][0]).filter(|c| c["index"] == choice["index"]);
            let text: String = of.clone().map(|c| c["text"].as_str().unwrap()).collect();
            assert_eq!(text, choice["text"].as_str().unwrap());
            let last = of.next_back().unwrap();
            assert_eq!(last["finish_reason"], choice["finish_reason"]);
            assert_eq!(last["stop_reason"], choice["stop_reason"]);
        }
    }
    engine.stop().await;
}

#[tokio::test]
async fn some_tokens_have_no_text_and_are_counted_all_the_same() {
    let engine = Engine::start("--zero-latency").await;
    let body = json!({"prompt": "go on", "max_tokens": 600, "stream": true,
        "stream_options": {"include_usage": true, "continuous_usage_stats": true}});
    let events = engine.stream("/v1/completions", &body).await;
    let (usage, tokens) = events.split_last().unwrap();
    assert!(tokens.iter().any(|event| event["choices"][0]["text"] == ""));
    for (event, count) in tokens.iter().zip(1..) {
        assert_eq!(event["usage"]["completion_tokens"], count);
    }
    assert_eq!(usage["usage"]["completion_tokens"], 600);
    engine.stop().await;
}

#[tokio::test]
async fn answers_end_by_themselves_unless_told_to_ignore_it() {
    let engine = Engine::start("--mean-output-tokens 5 --zero-latency").await;
    let body = |extra: &str| -> Value {
        serde_json::from_str(&format!(r#"{{"prompt": "x", "max_tokens": 1000{extra}}}"#)).unwrap()
    };
    let length = |answer: Value| answer["usage"]["completion_tokens"].as_u64().unwrap();
    let answer = engine.complete(&body("")).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert!(length(answer) < 1000);
    assert_eq!(length(engine.complete(&body(r#", "ignore_eos": true"#)).await), 1000);
    assert!(length(engine.complete(&body(r#", "min_tokens": 900"#)).await) >= 900);
    engine.stop().await;
}

#[tokio::test]
async fn the_head_is_there_long_before_the_first_token_and_the_role_is_not() {
    let engine = Engine::start("--prefill-base 300ms").await;
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, "stream": true});
    let started = telemetry::clock::now();
    let response = engine.send(Method::POST, "/v1/chat/completions", &[], body.to_string()).await.unwrap();
    let state = engine.state().await;
    assert_eq!(state["running"], 1, "the prompt is still being computed when the head has come: {state:#}");
    let mut body = response.into_body();
    let first = proxy::body::next_frame(&mut body).await.unwrap().unwrap().into_data().unwrap();
    assert!(telemetry::clock::now() - started >= std::time::Duration::from_millis(300));
    let first = String::from_utf8_lossy(&first).into_owned();
    assert!(first.contains("\"role\":\"assistant\"") && first.matches("data: ").count() >= 2, "{first}");
    drop(body);
    engine.stop().await;
}

#[tokio::test]
async fn wrong_requests_are_refused_as_vllm_does() {
    let engine = Engine::start("").await;
    let refused = [
        ("/v1/completions", json!({"prompt": "x", "max_tokens": 1, "min_tokens": 3}), 400, "BadRequestError"),
        ("/v1/completions", json!({"prompt": "x", "max_tokens": 5000}), 400, "BadRequestError"),
        ("/v1/completions", json!({"prompt": ""}), 400, "BadRequestError"),
        ("/v1/completions", json!([1]), 400, "BadRequestError"),
        ("/v1/completions", json!({"prompt": "x", "model": "other"}), 404, "NotFoundError"),
        ("/v1/nowhere", json!({}), 404, "NotFoundError"),
    ];
    for (path, body, status, kind) in refused {
        let (got, answer) = engine.post(path, &body).await;
        assert_eq!((got.as_u16(), answer["error"]["type"].as_str()), (status, Some(kind)), "{body} {answer}");
        assert_eq!(answer["error"]["code"], status);
    }
    let response = engine.send(Method::POST, "/v1/completions", &[], "{\"prompt\": ".to_owned()).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    drop(response);
    assert_eq!(engine.get("/v1/completions").await.0, StatusCode::METHOD_NOT_ALLOWED);
    engine.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let engine = Engine::start("--max-body-bytes 100").await;
    let (status, _) = engine.post("/v1/completions", &json!({"prompt": "x".repeat(200)})).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    engine.stop().await;
}

#[tokio::test]
async fn models_health_and_tokenize() {
    let engine = Engine::start("--served-model-name a b --startup 200ms").await;
    assert_eq!(engine.get("/health").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let models: Value = serde_json::from_str(&engine.get("/v1/models").await.1).unwrap();
    assert_eq!(models["data"][1]["id"], "b");
    let (_, tokens) = engine.post("/tokenize", &json!({"prompt": "one two"})).await;
    assert_eq!(tokens["count"], 2);
    while engine.get("/ping").await.0 != StatusCode::OK {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    engine.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_is_felt_and_counted() {
    let engine = Engine::start("--decode-step 5ms").await;
    for stream in [true, false] {
        let body = json!({"prompt": "x", "max_tokens": 4000, "stream": stream}).to_string();
        let mut socket = tokio::net::TcpStream::connect(engine.addr()).await.unwrap();
        let head = format!("POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(head.as_bytes()).await.unwrap();
        if stream {
            let mut some = [0; 64];
            socket.read_exact(&mut some).await.unwrap();
        }
        engine.waits_for("running request", |state| state["running"] == 1).await;
        drop(socket);
        engine.comes_to_rest().await;
    }
    let scrape = engine.scrape().await;
    let aborted = scrape.value("vllm:request_success_total", &[("finished_reason", "abort")]);
    assert_eq!(aborted, Some(2.0));
    engine.stop().await;
}

#[tokio::test]
async fn metrics_and_span_tell_what_happened() {
    let engine = Engine::start("--role prefill").await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let body = json!({"prompt": "one two three", "max_tokens": 4, "top_p": 0.5});
    engine.post_with("/v1/completions", &[("traceparent", &parent), ("x-request-id", "r")], &body).await;
    let scrape = engine.scrape().await;
    let labels = [("engine", "0"), ("model_name", "tiny")];
    for (name, value) in [
        ("vllm:prompt_tokens_total", 3.0),
        ("vllm:generation_tokens_total", 4.0),
        ("vllm:time_to_first_token_seconds_count", 1.0),
        ("vllm:inter_token_latency_seconds_count", 3.0),
        ("vllm:iteration_tokens_total_sum", 7.0),
        ("vllm:e2e_request_latency_seconds_count", 1.0),
        ("vllm:num_requests_running", 0.0),
        ("vllm:kv_cache_usage_perc", 0.0),
    ] {
        assert_eq!(scrape.value(name, &labels), Some(value), "{name}");
    }
    let ttft = scrape.value("vllm:time_to_first_token_seconds_sum", &labels).unwrap();
    assert!(ttft >= 0.002, "{ttft}");
    let spans = engine.spans.clone();
    engine.stop().await;
    let spans = spans.take();
    let [span] = spans.as_slice() else { panic!("{} spans", spans.len()) };
    assert_eq!(span.name, "llm_request");
    assert_eq!(span.context.trace_id.to_string(), trace);
    assert_eq!(span.parent.unwrap().to_string(), "00f067aa0ba902b7");
    let text = format!("{:?}", span.attributes);
    for expected in ["gen_ai.latency.time_to_first_token", "cmpl-r", "gen_ai.usage.completion_tokens"] {
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn many_streams_share_the_steps() {
    let engine = std::sync::Arc::new(Engine::start("").await);
    let mut streams = tokio::task::JoinSet::new();
    for index in 0..40 {
        let engine = std::sync::Arc::clone(&engine);
        streams.spawn(async move {
            let body = json!({"prompt": format!("number {index}"), "max_tokens": 20, "stream": true});
            engine.stream("/v1/completions", &body).await.len()
        });
    }
    while let Some(events) = streams.join_next().await {
        assert_eq!(events.unwrap(), 20);
    }
    let steps = engine.state().await["totals"]["steps"].as_u64().unwrap();
    assert!(steps < 40 * 20 / 2, "{steps} steps for 800 tokens: nothing was batched");
    std::sync::Arc::into_inner(engine).unwrap().stop().await;
}

#[tokio::test]
async fn sglang_has_its_own_manners() {
    let engine = Engine::start("--dialect sglang").await;
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, "stream": true});
    let response = engine.send(Method::POST, "/v1/chat/completions", &[], body.to_string()).await.unwrap();
    let events = events(&read(response.into_body()).await.unwrap());
    assert_eq!(events.len(), 4, "role, two tokens, end");
    assert_eq!(events[3]["choices"][0]["finish_reason"], "length");
    assert_eq!(events[3]["choices"][0]["matched_stop"], Value::Null);
    let scrape = engine.scrape().await;
    assert!(scrape.samples.iter().any(|sample| sample.name.starts_with("sglang:")));
    assert!(!scrape.samples.iter().any(|sample| sample.name.starts_with("vllm:")));
    engine.stop().await;
}
