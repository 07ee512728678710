//! Paths, parameters, answers and errors of the Prometheus API.

use http::{Request, StatusCode, header};
use proxy::Body;
use serde_json::json;

use crate::support::{append, ask, get, now, post, start};

#[tokio::test]
async fn tells_what_there_is() {
    let running = start(&[]).await;
    let at = now();
    append(&running, &[("__name__", "up"), ("job", "a")], &[(at, 1.0)]);
    append(&running, &[("__name__", "up"), ("job", "b")], &[(at - 60_000, 1.0)]);
    assert_eq!(get(&running, "/api/v1/labels").await.data(), json!(["__name__", "job"]));
    assert_eq!(get(&running, "/api/v1/label/job/values").await.data(), json!(["a", "b"]));
    let recent = format!("/api/v1/label/job/values?start={}", (at - 1000) as f64 / 1000.0);
    assert_eq!(get(&running, &recent).await.data(), json!(["a"]));
    let series = post(&running, "/api/v1/series", &[("match[]", "up{job=~\"b|c\"}")]).await;
    assert_eq!(series.data(), json!([{"__name__": "up", "job": "b"}]));
    let one = get(&running, "/api/v1/label/job/values?limit=1").await.json();
    assert_eq!((&one["data"], &one["warnings"]), (&json!(["a"]), &json!(["results truncated due to limit"])));
    assert_eq!(get(&running, "/api/v1/status/buildinfo").await.data()["version"], "2.42.0");
    assert_eq!(get(&running, "/api/v1/metadata").await.data(), json!({}));
    assert!(running.shutdown().await.complete);
}

#[tokio::test]
async fn says_whose_fault_it_is() {
    let running = start(&[]).await;
    for (path, status, kind) in [
        ("/api/v1/series", StatusCode::BAD_REQUEST, "bad_data"),
        ("/api/v1/series?match[]=up{", StatusCode::BAD_REQUEST, "bad_data"),
        ("/api/v1/series?match[]=up&start=soon", StatusCode::BAD_REQUEST, "bad_data"),
        ("/api/v1/series?match[]=up&start=2&end=1", StatusCode::BAD_REQUEST, "bad_data"),
        ("/api/v1/label/a-b/values", StatusCode::BAD_REQUEST, "bad_data"),
        ("/api/v1/nothing", StatusCode::NOT_FOUND, "not_found"),
    ] {
        let path = path.replace('{', "%7B");
        let answer = get(&running, &path).await;
        assert_eq!(answer.status, status, "{path}");
        let body = answer.json();
        assert_eq!((&body["status"], &body["errorType"]), (&json!("error"), &json!(kind)), "{path}");
        assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{path}");
    }
    running.shutdown().await;
}

#[tokio::test]
async fn a_token_is_asked_for() {
    let running = start(&["--token=sesame"]).await;
    assert_eq!(get(&running, "/api/v1/labels").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(get(&running, "/healthz").await.status, StatusCode::OK);
    for (token, status) in
        [("sesame", StatusCode::OK), ("sesamf", StatusCode::UNAUTHORIZED), ("", StatusCode::UNAUTHORIZED)]
    {
        let request = Request::get("/api/v1/labels").header(header::AUTHORIZATION, format!("Bearer {token}"));
        assert_eq!(ask(&running, request.body(Body::Empty).unwrap()).await.status, status, "{token}");
    }
    running.shutdown().await;
}
