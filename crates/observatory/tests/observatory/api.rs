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

#[tokio::test]
async fn answers_queries_in_the_shapes_of_prometheus() {
    let running = start(&[]).await;
    let at = now() / 1000 * 1000;
    append(&running, &[("__name__", "a"), ("job", "x")], &[(at - 60_000, 1.5), (at - 30_000, f64::NAN), (at, 3.0)]);
    let time = (at / 1000).to_string();
    let query = async |query: &str| post(&running, "/api/v1/query", &[("query", query), ("time", &time)]).await.data();
    let seconds = at / 1000;
    assert_eq!(
        query("a").await,
        json!({"resultType": "vector", "result": [{"metric": {"__name__": "a", "job": "x"}, "value": [seconds, "3"]}]})
    );
    assert_eq!(query("1/3").await, json!({"resultType": "scalar", "result": [seconds, "0.3333333333333333"]}));
    assert_eq!(query("\"x\\\"y\"").await, json!({"resultType": "string", "result": [seconds, "x\"y"]}));
    let values = query("a[1m]").await["result"][0]["values"].clone();
    assert_eq!(values, json!([[seconds - 60, "1.5"], [seconds - 30, "NaN"], [seconds, "3"]]));
    let start = (seconds - 60).to_string();
    let path = format!("/api/v1/query_range?query=a%2B1&start={start}&end={time}&step=30s");
    assert_eq!(
        get(&running, &path).await.data(),
        json!({"resultType": "matrix", "result": [
            {"metric": {"job": "x"}, "values": [[seconds - 60, "2.5"], [seconds - 30, "NaN"], [seconds, "4"]]},
        ]})
    );
    let formatted = get(&running, "/api/v1/format_query?query=a%20%2B%20%20b").await.data();
    assert_eq!(formatted, "a + b");
    for empty in ["/api/v1/rules", "/api/v1/alerts"] {
        assert_eq!(get(&running, empty).await.status, StatusCode::OK);
    }
    running.shutdown().await;
}

#[tokio::test]
async fn a_query_that_asks_for_too_much_is_told_so() {
    let running = start(&["--query-max-samples=100", "--query-timeout=5s"]).await;
    let range = |more: &str| format!("/api/v1/query_range?query=vector(1)&{more}");
    for (path, status, kind) in [
        (range("start=0&end=11001&step=1"), StatusCode::BAD_REQUEST, "bad_data"),
        (range("start=0&end=10&step=0"), StatusCode::BAD_REQUEST, "bad_data"),
        (range("start=10&end=0&step=1"), StatusCode::BAD_REQUEST, "bad_data"),
        (range("start=0&end=10"), StatusCode::BAD_REQUEST, "bad_data"),
        (
            "/api/v1/query?query=max_over_time(vector(1)[1h:1s])".to_owned(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "execution",
        ),
        ("/api/v1/query?query=vector(1)&timeout=0".to_owned(), StatusCode::SERVICE_UNAVAILABLE, "timeout"),
        ("/api/v1/query?query=mad_over_time(a[5m])".to_owned(), StatusCode::BAD_REQUEST, "bad_data"),
    ] {
        let answer = get(&running, &path).await;
        assert_eq!((answer.status, &answer.json()["errorType"]), (status, &json!(kind)), "{path}: {}", answer.body);
    }
    running.shutdown().await;
}
