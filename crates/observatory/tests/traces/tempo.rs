//! Tempo's API as Grafana's data source asks it, over real sockets.

use http::StatusCode;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use serde_json::{Value, json};

use crate::support::{asking, export, get, post, search, start};

const JSON: (&str, &str) = ("content-type", "application/json");
const ANY: &str = "application/json";

#[tokio::test]
async fn real_vllms_spans_as_tempo_gave_them_back_are_accepted_and_found() {
    let running = start(&[]).await;
    let saved: Value = serde_json::from_str(include_str!("../fixtures/vllm/trace.json")).unwrap();
    let answer = post(running.addr, "/v1/traces", &[JSON], saved["trace"].to_string()).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "{}".to_owned()));

    let query =
        "{name=\"llm_request\"} | select(span.gen_ai.latency.time_to_first_token, span.gen_ai.usage.prompt_tokens)";
    let found = search(running.addr, query).await;
    assert_eq!(found.len(), 1, "both engines' spans are of one trace");
    assert_eq!(found[0]["spanSet"]["matched"], 2);
    assert_eq!(found[0]["rootTraceName"], "<root span not yet received>");
    let prefill = "{resource.service.name=\"vllm-prefill\" && span.gen_ai.latency.time_to_first_token > 0.18}";
    assert_eq!(search(running.addr, prefill).await.len(), 1);

    let id = found[0]["traceID"].as_str().unwrap();
    let again = get(running.addr, &format!("/api/v2/traces/{id}"), ANY).await.json();
    assert_eq!(again["trace"], saved["trace"], "what goes in comes out");
    running.shutdown().await;
}

#[tokio::test]
async fn a_trace_comes_as_json_or_protobuf_and_an_unknown_one_not_at_all() {
    let running = start(&[]).await;
    post(running.addr, "/v1/traces", &[JSON], export("shop", 0xabc, &["a", "b"]).to_string()).await;
    let answer = get(running.addr, "/api/traces/abc", "application/protobuf").await;
    assert_eq!(answer.headers["content-type"], "application/protobuf");
    let trace = TracesData::decode(answer.body.as_ref()).unwrap();
    assert_eq!(trace.resource_spans[0].scope_spans[0].spans.len(), 2);
    // Version 2 has it in field 1 of an envelope.
    let enveloped = get(running.addr, "/api/v2/traces/00000000000000000000000000000abc", "application/protobuf").await;
    assert_eq!(enveloped.body[0], 0x0a);
    assert!(enveloped.body.ends_with(&answer.body));
    for path in ["/api/traces/abd", "/api/v2/traces/abd"] {
        assert_eq!(get(running.addr, path, ANY).await.status, StatusCode::NOT_FOUND);
    }
    let answer = get(running.addr, "/api/traces/nonsense", ANY).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
    running.shutdown().await;
}

#[tokio::test]
async fn the_checks_and_completions_of_a_data_source_are_answered() {
    let running = start(&[]).await;
    post(running.addr, "/v1/traces", &[JSON], export("shop", 1, &["a", "b"]).to_string()).await;
    assert_eq!(get(running.addr, "/api/echo", ANY).await.text(), "echo");
    assert_eq!(get(running.addr, "/api/status/buildinfo", ANY).await.json()["version"], "3.0.3");
    let scopes = get(running.addr, "/api/v2/search/tags?scope=resource", ANY).await.json();
    assert_eq!(scopes["scopes"], json!([{"name": "resource", "tags": ["service.name"]}]));
    let values = |path: &'static str, filter: &'static str| async move {
        let path = if filter.is_empty() { path.to_owned() } else { asking(path, &[("q", filter)]) };
        get(running.addr, &path, ANY).await.json()["tagValues"].clone()
    };
    let word = |value: &str| json!({"type": "string", "value": value});
    assert_eq!(values("/api/v2/search/tag/name/values", "").await, json!([word("a"), word("b")]));
    // While somebody types, a filter is unfinished.
    let unfinished = "{ name = \"b\" && resource.cluster = }";
    assert_eq!(values("/api/v2/search/tag/name/values", unfinished).await, json!([word("b")]));
    assert_eq!(values("/api/search/tag/service.name/values", "").await, json!(["shop"]));
    assert_eq!(values("/api/v2/search/tag/resource.service.name/values", "").await, json!([word("shop")]));
    let old = get(running.addr, "/api/search?tags=service.name%3DSHO%20name%3Da&minDuration=400ms", ANY).await.json();
    assert_eq!(old["traces"].as_array().unwrap().len(), 1);
    let short = get(running.addr, "/api/search?tags=service.name%3Dshop&maxDuration=400ms", ANY).await.json();
    assert_eq!(short["traces"], json!([]));
    running.shutdown().await;
}

#[tokio::test]
async fn wrong_questions_are_told_apart_from_empty_answers() {
    let running = start(&[]).await;
    let cases = [
        ("/api/search?q=%7B", "parse error at line 1, col 2"),
        ("/api/search?q=%7B%7D%7Crate()", "metrics query"),
        ("/api/search?start=20&end=10", "start must be before end"),
        ("/api/search?start=soon&end=10", "invalid start"),
        ("/api/search?limit=-1", "invalid limit"),
        ("/api/metrics/query_range?q=%7B%7D%7Crate()&start=1&end=90000&step=1s", "steps"),
        ("/api/metrics/query_range?q=%7B%7D%7Crate()&step=never", "invalid step"),
        ("/api/v2/search/tag/no%20such/values", "tag name is not valid"),
    ];
    for (path, why) in cases {
        let answer = get(running.addr, path, ANY).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.text());
        assert!(answer.text().contains(why), "{path}: {}", answer.text());
    }
    assert_eq!(post(running.addr, "/api/search", &[], "").await.status, StatusCode::METHOD_NOT_ALLOWED);
    running.shutdown().await;
}

#[tokio::test]
async fn another_tempo_answers_where_one_is_named() {
    let behind = start(&[]).await;
    post(behind.addr, "/v1/traces", &[JSON], export("there", 0xabc, &["a"]).to_string()).await;
    let running = start(&[&format!("--tempo-url=http://{}", behind.addr)]).await;
    assert_eq!(search(running.addr, "{resource.service.name=\"there\"}").await.len(), 1);
    let answer = get(running.addr, "/api/traces/abc", "application/protobuf").await;
    assert_eq!(answer.headers["content-type"], "application/protobuf");
    behind.shutdown().await;
    assert_eq!(get(running.addr, "/api/search", ANY).await.status, StatusCode::BAD_GATEWAY);
    running.shutdown().await;
}
