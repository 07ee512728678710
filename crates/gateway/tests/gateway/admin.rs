//! Everything that concerns no single request.

use crate::support::{Engine, Gateway};

#[tokio::test]
async fn health_answers_whatever_becomes_of_the_engines() {
    let gateway = Gateway::neutral(&["127.0.0.1:1"]).await;
    let answer = gateway.get("/healthz").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json()["status"], "ok");
}

#[tokio::test]
async fn readiness_needs_an_engine_that_answers() {
    let dead = Gateway::neutral(&["127.0.0.1:1"]).await;
    let answer = dead.get("/readyz").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.json()["status"], "no engine answers");

    let engine = Engine::start().await;
    let alive = Gateway::before(&engine).await;
    let answer = alive.get("/readyz").await;
    assert_eq!((answer.status(), answer.json()["answering"].as_u64()), (200, Some(1)));
}

#[tokio::test]
async fn models_are_the_union_of_what_engines_serve() {
    let (first, second) = (Engine::start().await, Engine::start().await);
    first.serve(&["tiny", "large"]);
    second.serve(&["tiny", "other"]);
    let gateway = Gateway::neutral(&[first.addr, second.addr]).await;
    let answer = gateway.get("/v1/models").await;
    assert_eq!(answer.status(), 200);
    let json = answer.json();
    let names: Vec<_> = json["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["large", "other", "tiny"]);
    assert_eq!(json["data"][0]["owned_by"], "vllm", "what the engine said of a model is kept");
}

#[tokio::test]
async fn models_of_engines_that_are_gone_are_an_error_in_openai_shape() {
    let gateway = Gateway::neutral(&["127.0.0.1:1"]).await;
    let answer = gateway.get("/v1/models").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.head.get("x-candor-error"), Some("schedule"));
    answer.error();
}

#[tokio::test]
async fn one_engine_of_two_is_enough_for_the_list() {
    let engine = Engine::start().await;
    let gateway = Gateway::neutral(&["127.0.0.1:1".parse().unwrap(), engine.addr]).await;
    assert_eq!(gateway.get("/v1/models").await.json()["data"][0]["id"], "tiny");
}

#[tokio::test]
async fn settings_are_shown_with_where_they_came_from_and_without_secrets() {
    let gateway =
        Gateway::with(|args| args.with("neutral-endpoints", "127.0.0.1:1").with("engine-api-key", "sesame")).await;
    let answer = gateway.get("/config").await;
    assert!(!answer.text().contains("sesame"));
    let json = answer.json();
    let setting = |name: &str| {
        let settings = json["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["name"] == name).unwrap().clone()
    };
    assert_eq!(setting("engine-api-key")["value"], "***");
    assert_eq!(setting("neutral-endpoints")["source"], "flag");
    assert_eq!(setting("max-body-bytes")["value"], "67108864");
    assert_eq!(setting("max-body-bytes")["source"], "default");
    assert_eq!(setting("inject-routing-delay")["value"], serde_json::Value::Null);
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for() {
    let gateway = Gateway::neutral(&["127.0.0.1:1"]).await;
    let plain = gateway.get("/metrics").await;
    assert!(plain.head.get("content-type").unwrap().starts_with("text/plain"));
    assert!(plain.text().contains("# TYPE request_ttft_milliseconds histogram"));
    let mut client = gateway.client().await;
    client.send("GET", "/metrics", "accept: application/openmetrics-text; version=1.0.0\r\n", "").await;
    let open = client.answer().await;
    assert!(open.head.get("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(open.text().ends_with("# EOF\n"));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let gateway = Gateway::neutral(&["127.0.0.1:1"]).await;
    let mut client = gateway.client().await;
    for (method, path, status, allow) in [
        ("GET", "/", 404, None),
        ("POST", "/v1/chat/completions/", 404, None),
        ("POST", "/v1/files", 404, None),
        ("GET", "/v1/embeddings", 405, Some("POST")),
        ("OPTIONS", "/v1/completions", 405, Some("POST")),
        ("GET", "/v1/chat/completions", 405, Some("POST")),
        ("PUT", "/v1/completions", 405, Some("POST")),
        ("POST", "/v1/models", 405, Some("GET, HEAD")),
        ("DELETE", "/metrics", 405, Some("GET, HEAD")),
    ] {
        client.send(method, path, "", "").await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), status, "{method} {path}");
        assert_eq!(answer.head.get("allow"), allow, "{method} {path}");
        assert_eq!(answer.head.get("x-candor-error"), Some("receive"));
        answer.error();
    }
}

#[tokio::test]
async fn every_answer_has_an_id_and_its_timing() {
    let engine = Engine::start().await;
    let gateway = Gateway::before(&engine).await;
    for path in ["/healthz", "/readyz", "/metrics", "/config", "/openapi.json", "/v1/models", "/nowhere"] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.head.get("x-request-id").map(str::len), Some(36), "{path}");
        assert!(answer.head.get("server-timing").unwrap().contains("total;dur="), "{path}");
    }
}

#[tokio::test]
async fn what_the_description_says_is_what_is_served() {
    let gateway = Gateway::neutral(&["127.0.0.1:1"]).await;
    let document = gateway.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for (path, operations) in paths {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            let mut client = gateway.client().await;
            client.send(method, path, "", "").await;
            let status = client.head().await.status();
            let described = &operations[method.to_lowercase()];
            assert_eq!(status != 405, described.is_object(), "{method} {path}: {status}");
            let responses = &described["responses"];
            assert!(status == 405 || responses[status.to_string()].is_object(), "{method} {path}: {status}");
        }
    }
}
