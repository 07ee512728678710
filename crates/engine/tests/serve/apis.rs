//! The other APIs of an instance: responses, messages, embeddings, and calls of tools in all of them.

use crate::support::{Engine, read};
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// The events of a stream whose events have names, without the end marker.
async fn named_events(engine: &Engine, path: &str, body: &Value) -> Vec<Value> {
    let response = engine.send(Method::POST, path, &[], body.to_string()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let text = read(response.into_body()).await.unwrap();
    let mut events = Vec::new();
    for event in text.split_terminator("\n\n").filter(|event| *event != "data: [DONE]") {
        let (name, data) = event.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["type"], name.strip_prefix("event: ").unwrap());
        events.push(data);
    }
    events
}

#[tokio::test]
async fn responses_and_messages_say_the_same_streamed_or_not() {
    let engine = Engine::start("").await;
    for (path, body, text) in [
        ("/v1/responses", json!({"input": "tell me", "max_output_tokens": 6}), "/output/0/content/0/text"),
        (
            "/v1/messages",
            json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 6, "system": "be brief"}),
            "/content/0/text",
        ),
    ] {
        let mut body = body;
        let (status, document) = engine.post(path, &body).await;
        assert_eq!(status, StatusCode::OK, "{document}");
        assert_eq!(document["usage"]["output_tokens"], 6);
        body["stream"] = json!(true);
        let events = named_events(&engine, path, &body).await;
        let deltas =
            events.iter().filter_map(|event| event["delta"].as_str().or_else(|| event["delta"]["text"].as_str()));
        assert_eq!(deltas.collect::<String>(), document.pointer(text).unwrap().as_str().unwrap());
    }
    engine.stop().await;
}

#[tokio::test]
async fn a_tool_is_called_until_its_result_is_given() {
    let engine = Engine::start("").await;
    let schema = json!({"type": "object", "properties": {"a": {}, "city": {}}, "required": ["city"]});
    let user = json!({"role": "user", "content": "weather?"});
    let mut chat = json!({"messages": [user], "tools": [
        {"type": "function", "function": {"name": "weather", "parameters": schema}}]});
    let (_, answer) = engine.post("/v1/chat/completions", &chat).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    let call = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(call["name"], "weather");
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    assert!(!arguments["city"].as_str().unwrap().is_empty());
    chat["messages"].as_array_mut().unwrap().push(json!({"role": "tool", "content": "rain", "tool_call_id": "x"}));
    chat["max_tokens"] = json!(3);
    let (_, answer) = engine.post("/v1/chat/completions", &chat).await;
    assert!(answer["choices"][0]["message"]["content"].is_string(), "{answer}");
    chat["tool_choice"] = json!({"type": "function", "function": {"name": "nothing"}});
    let (status, answer) = engine.post("/v1/chat/completions", &chat).await;
    assert_eq!((status.as_u16(), &answer["error"]["param"]), (400, &json!("tool_choice")));

    let message = json!({"messages": [user], "max_tokens": 50, "tools": [{"name": "weather", "input_schema": schema}]});
    let (_, answer) = engine.post("/v1/messages", &message).await;
    assert_eq!((&answer["stop_reason"], &answer["content"][0]["name"]), (&json!("tool_use"), &json!("weather")));
    assert!(answer["content"][0]["input"]["city"].is_string());
    let response =
        json!({"input": "weather?", "tools": [{"type": "function", "name": "weather", "parameters": schema}]});
    let (_, answer) = engine.post("/v1/responses", &response).await;
    assert_eq!((&answer["output"][0]["type"], &answer["status"]), (&json!("function_call"), &json!("completed")));
    engine.stop().await;
}

#[tokio::test]
async fn embeddings_take_their_turn_and_have_one_vector_per_text() {
    let engine = Engine::start("").await;
    let body = json!({"model": "tiny", "input": ["one two", "three"], "dimensions": 8});
    let (status, answer) = engine.post_with("/v1/embeddings", &[("x-request-id", "e")], &body).await;
    assert_eq!((status, answer["id"].as_str()), (StatusCode::OK, Some("embd-e")), "{answer}");
    assert_eq!(answer["data"][1]["embedding"].as_array().unwrap().len(), 8);
    assert_eq!(answer["usage"]["prompt_tokens"], 3);
    let base64 = json!({"input": "one two", "encoding_format": "base64"});
    let (_, answer) = engine.post("/v1/embeddings", &base64).await;
    assert!(answer["data"][0]["embedding"].is_string());
    assert_eq!(engine.metric("vllm:prompt_tokens_total").await, 5.0);
    let (status, answer) = engine.post("/v1/embeddings", &json!({"input": "x", "model": "other"})).await;
    assert_eq!((status.as_u16(), &answer["error"]["type"]), (404, &json!("NotFoundError")));
    engine.stop().await;
}

#[tokio::test]
async fn anthropics_api_has_anthropics_errors() {
    let engine = Engine::start("").await;
    let (status, answer) = engine.post("/v1/messages", &json!({"messages": [{"role": "user", "content": "hi"}]})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!((&answer["type"], &answer["error"]["type"]), (&json!("error"), &json!("BadRequestError")));
    engine.stop().await;
}
