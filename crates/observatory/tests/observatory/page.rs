//! The page, and stores that are somewhere else.

use http::{Request, StatusCode, header};
use proxy::{Body, Client, ClientConfig, Target};
use serde_json::json;

use crate::support::{append, ask, get, now, post, start};

#[tokio::test]
async fn the_page_is_served_with_what_it_loads_and_nothing_else() {
    let running = start(&[]).await;
    let index = get(&running, "/").await;
    assert_eq!(index.status, StatusCode::OK);
    let script = index.body.split('"').find(|word| word.ends_with(".js")).unwrap_or_else(|| panic!("{}", index.body));
    assert_eq!(get(&running, script.trim_start_matches('.')).await.status, StatusCode::OK);
    assert_eq!(get(&running, "/dashboards/candor-overview.json").await.json()["uid"], "candor-overview");
    assert_eq!(get(&running, "/dashboards/none.json").await.status, StatusCode::NOT_FOUND);
    assert_eq!(post(&running, "/", &[]).await.status, StatusCode::NOT_FOUND);
    running.shutdown().await;
}

#[tokio::test]
async fn a_browser_may_load_nothing_from_elsewhere() {
    let running = start(&[]).await;
    let target = Target::parse(&format!("http://{}", running.addr)).unwrap();
    let request = Request::get("/").body(Body::Empty).unwrap();
    let response = Client::new(ClientConfig::default()).send(&target, request).await.unwrap();
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self';"), "{policy}");
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-cache");
    drop(response);
    running.shutdown().await;
}

#[tokio::test]
async fn the_page_needs_no_token_and_its_questions_do() {
    let running = start(&["--token=sesame"]).await;
    for path in ["/", "/dashboards/vllm-dashboard.json", "/page/config.json"] {
        assert_eq!(get(&running, path).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(get(&running, "/api/v1/labels").await.status, StatusCode::UNAUTHORIZED);
    running.shutdown().await;
}

#[tokio::test]
async fn the_page_is_told_since_when_there_is_data_and_how_often() {
    let running = start(&["--scrape-interval=250ms", "--scrape-timeout=250ms"]).await;
    let config = get(&running, "/page/config.json").await.json();
    let since = config["since"].as_i64().unwrap();
    assert!((now() / 1000 - since) < 60, "{config}");
    assert_eq!(config["prometheus"], "this observatory");
    assert_eq!(config["scrape"], 0.25);
    running.shutdown().await;
}

#[tokio::test]
async fn another_prometheus_is_asked_in_ones_stead() {
    let store = start(&[]).await;
    append(&store, &[("__name__", "up"), ("job", "far away")], &[(now(), 1.0)]);
    let url = format!("--prometheus-url=http://{}", store.addr);
    let front = start(&[&url]).await;
    assert_eq!(get(&front, "/api/v1/label/job/values").await.data(), json!(["far away"]));
    let series = post(&front, "/api/v1/series", &[("match[]", "up")]).await;
    assert_eq!(series.data(), json!([{"__name__": "up", "job": "far away"}]));
    let wrong = get(&front, "/api/v1/series").await;
    assert_eq!((wrong.status, &wrong.json()["errorType"]), (StatusCode::BAD_REQUEST, &json!("bad_data")));
    let config = get(&front, "/page/config.json").await.json();
    assert_eq!(config["prometheus"], format!("http://{}", store.addr));
    assert_eq!(config.get("since"), None, "nobody knows since when the other has data");
    assert_eq!(config.get("scrape"), None, "nor how often it scrapes");
    front.shutdown().await;
    store.shutdown().await;
}

#[tokio::test]
async fn one_that_does_not_answer_is_named_and_the_token_stays_here() {
    let store = start(&[]).await;
    let url = format!("--prometheus-url=http://{}", store.addr);
    let front = start(&[&url, "--token=sesame"]).await;
    assert_eq!(get(&front, "/api/v1/labels").await.status, StatusCode::UNAUTHORIZED);
    let addr = store.addr;
    store.shutdown().await;
    let request = Request::get("/api/v1/labels").header(header::AUTHORIZATION, "Bearer sesame");
    let answer = ask(&front, request.body(Body::Empty).unwrap()).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(answer.json()["error"].as_str().unwrap().contains(&addr.to_string()), "{}", answer.body);
    front.shutdown().await;
}
