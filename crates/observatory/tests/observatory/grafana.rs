//! What Grafana's data sources ask, word for word as their plugins write it, and what those plugins read of the answers.
//!
//! The Prometheus plugin asks through its back end: queries and selectors as forms over POST, the rest over GET. The Tempo plugin
//! asks over GET, wants traces in protobuf, and reads answers about metrics strictly: a member that it does not know is a
//! failure, so these are read here by types that refuse unknown members, too.

use std::collections::BTreeMap;

use http::{Request, StatusCode, header};
use observatory::Running;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use proxy::{Body, Client, ClientConfig, Target, body};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::{append, get, now, post, post_json, start};

/// The envelope of Prometheus' API.
#[derive(Debug, Deserialize)]
struct Prometheus<T> {
    status: String,
    data: T,
}

fn read<T: DeserializeOwned>(body: &str) -> T {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// Asks as the plugin's back end does where the data source says POST.
async fn form<T: DeserializeOwned>(running: &Running, path: &str, form: &[(&str, &str)]) -> T {
    let answer = post(running, path, form).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
    let read: Prometheus<T> = read(&answer.body);
    assert_eq!(read.status, "success");
    read.data
}

async fn asked<T: DeserializeOwned>(running: &Running, path: &str) -> T {
    let answer = get(running, path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
    let read: Prometheus<T> = read(&answer.body);
    assert_eq!(read.status, "success");
    read.data
}

/// Seconds as the plugin writes a time.
fn seconds(millis: i64) -> String {
    (millis as f64 / 1000.0).to_string()
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Queried {
    result_type: String,
    result: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BuildInfo {
    version: String,
    revision: String,
    branch: String,
    build_user: String,
    build_date: String,
    go_version: String,
    /// Where there are any, the plugin takes the server for a Mimir with a ruler.
    #[serde(default)]
    features: BTreeMap<String, String>,
}

#[tokio::test]
async fn the_prometheus_plugins_health_check_passes() {
    let running = start(&[]).await;
    // At four seconds after 1970.
    let checked: Queried = form(&running, "/api/v1/query", &[("query", "1+1"), ("time", "4")]).await;
    assert_eq!((checked.result_type.as_str(), &checked.result), ("scalar", &json!([4, "2"])));
    let built: BuildInfo = asked(&running, "/api/v1/status/buildinfo").await;
    // Label values with selectors are asked for from 2.24 on.
    let level: Vec<u32> = built.version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!(level >= vec![2, 24, 0] && built.features.is_empty(), "{built:?}");
    assert!(built.revision.contains("candor"), "and says who it is");
    assert!([built.branch, built.build_user, built.build_date, built.go_version].iter().all(String::is_empty));
    running.shutdown().await;
}

/// Two services, one of them long gone.
async fn with_samples() -> (Running, i64) {
    let running = start(&[]).await;
    let at = now() / 1000 * 1000;
    let scrapes = |from: i64| (0..12).map(|scrape| (from + scrape * 10_000, scrape as f64)).collect::<Vec<_>>();
    append(&running, &[("__name__", "jobs_total"), ("job", "new"), ("zone", "a")], &scrapes(at - 120_000));
    append(&running, &[("__name__", "jobs_total"), ("job", "old"), ("zone", "b")], &scrapes(at - 7_200_000));
    (running, at)
}

#[tokio::test]
async fn the_prometheus_plugins_completion_finds_names_and_values() {
    let (running, at) = with_samples().await;
    let (start, end) = ((at / 1000 - 3600).to_string(), (at / 1000 + 1).to_string());
    let range = format!("limit=40000&start={start}&end={end}");
    let names: Vec<String> = asked(&running, &format!("/api/v1/label/__name__/values?{range}")).await;
    assert_eq!(names, ["jobs_total"]);
    let labels: Vec<String> =
        form(&running, "/api/v1/labels", &[("limit", "40000"), ("start", &start), ("end", &end)]).await;
    assert_eq!(labels, ["__name__", "job", "zone"]);
    let selector = [("match[]", "{__name__=\"jobs_total\"}"), ("start", &*start), ("end", &*end), ("limit", "40000")];
    let labels: Vec<String> = form(&running, "/api/v1/labels", &selector).await;
    assert_eq!(labels, ["__name__", "job", "zone"]);
    let path = format!("/api/v1/label/job/values?{range}&match%5B%5D=jobs_total%7Bzone%3D%22a%22%7D");
    let values: Vec<String> = asked(&running, &path).await;
    assert_eq!(values, ["new"], "in the time shown, and with the rest of the selector");
    // What it asks where it does not trust the others, and of variables.
    let all = [("match[]", "{__name__!=\"\"}"), ("start", &*start), ("end", &*end), ("limit", "40000")];
    let series: Vec<BTreeMap<String, String>> = form(&running, "/api/v1/series", &all).await;
    assert_eq!(series.len(), 1);
    assert_eq!(series[0]["job"], "new");
    let capped = post(&running, "/api/v1/series", &[("match[]", "jobs_total"), ("limit", "1")]).await;
    assert_eq!(capped.json()["warnings"], json!(["results truncated due to limit"]));
    running.shutdown().await;
}

#[derive(Debug, Deserialize)]
struct About {
    #[serde(rename = "type")]
    kind: String,
    help: String,
}

#[tokio::test]
async fn the_prometheus_plugins_hints_and_rules_are_answered() {
    use observatory::metrics::store::Metadata;
    let (running, _) = with_samples().await;
    let metadata = Metadata { kind: "counter".to_owned(), help: "Jobs.".to_owned(), unit: String::new() };
    running.state.metrics.appender(now()).describe("jobs_total", metadata);
    let families: BTreeMap<String, Vec<About>> = asked(&running, "/api/v1/metadata?limit=40000").await;
    let [About { kind, help }] = families["jobs_total"].as_slice() else { panic!("{families:?}") };
    assert_eq!((kind.as_str(), help.as_str()), ("counter", "Jobs."));
    let rules: BTreeMap<String, Vec<Value>> = asked(&running, "/api/v1/rules").await;
    assert!(rules["groups"].is_empty());
    let alerts: BTreeMap<String, Vec<Value>> = asked(&running, "/api/v1/alerts").await;
    assert!(alerts["alerts"].is_empty());
    running.shutdown().await;
}

/// Labels, and points: seconds and a text, which `NaN` and `+Inf` are, too.
#[derive(Debug, Deserialize)]
struct Line {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

#[tokio::test]
async fn the_prometheus_plugins_queries_give_frames() {
    let (running, at) = with_samples().await;
    let (start, end) = (seconds(at - 60_000), seconds(at));
    let range =
        [("query", "rate(jobs_total[1m])"), ("start", &*start), ("end", &*end), ("step", "15"), ("timeout", "60s")];
    let ranged: Queried = form(&running, "/api/v1/query_range", &range).await;
    assert_eq!(ranged.result_type, "matrix");
    let lines: Vec<Line> = serde_json::from_value(ranged.result).unwrap();
    assert_eq!((lines.len(), &*lines[0].metric["job"], lines[0].values.len()), (1, "new", 5));
    assert!(lines[0].values.iter().all(|(_, value)| value.parse::<f64>().is_ok()), "{lines:?}");
    let instant: Queried = form(&running, "/api/v1/query", &[("query", "jobs_total"), ("time", &*end)]).await;
    assert_eq!((instant.result_type.as_str(), instant.result.as_array().unwrap().len()), ("vector", 1));
    // A fault comes with the status that makes the plugin show its text.
    let fault = post(&running, "/api/v1/query_range", &[("query", "rate("), range[1], range[2], range[3]]).await;
    let told = fault.json();
    assert_eq!(
        (fault.status, &told["status"], &told["errorType"]),
        (StatusCode::BAD_REQUEST, &json!("error"), &json!("bad_data"))
    );
    assert!(told["error"].as_str().unwrap().contains("parse error"));
    running.shutdown().await;
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exemplars {
    series_labels: BTreeMap<String, String>,
    exemplars: Vec<OfSeries>,
}

#[derive(Debug, Deserialize)]
struct OfSeries {
    labels: BTreeMap<String, String>,
    value: String,
    timestamp: f64,
}

#[tokio::test]
async fn the_prometheus_plugins_exemplars_lead_to_traces() {
    use observatory::metrics::Labels;
    use observatory::metrics::store::Exemplar;
    let (running, at) = with_samples().await;
    let series = [("__name__", "jobs_total"), ("job", "new"), ("zone", "a")];
    let labels = Labels::new([("trace_id", "0af7651916cd43dd8448eb211c80319c")]);
    running.state.metrics.appender(at).exemplar(&series, Exemplar { labels, value: 0.25, at: at - 30_000 });
    let range = [("query", "rate(jobs_total[1m])"), ("start", &*seconds(at - 60_000)), ("end", &*seconds(at))];
    let found: Vec<Exemplars> = form(&running, "/api/v1/query_exemplars", &range).await;
    assert_eq!(found[0].series_labels["__name__"], "jobs_total");
    let OfSeries { labels, value, timestamp } = &found[0].exemplars[0];
    assert_eq!(labels["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!((value.parse::<f64>().unwrap(), *timestamp), (0.25, (at - 30_000) as f64 / 1000.0));
    running.shutdown().await;
}

/// One request: a gateway's span above one of an engine, a second ago.
async fn with_spans() -> (Running, u64) {
    let running = start(&[]).await;
    let at = now().unsigned_abs() / 1000;
    let attribute = |key: &str, value: Value| json!({"key": key, "value": value});
    let span = |id: u64, parent: &str, name: &str| {
        json!({
            "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": format!("{id:016x}"), "parentSpanId": parent,
            "name": name, "kind": 2, "status": {"code": 2 - id % 2},
            "startTimeUnixNano": ((at - 1) * 1_000_000_000).to_string(),
            "endTimeUnixNano": ((at - 1) * 1_000_000_000 + 250_000_000 * id).to_string(),
            "attributes": [attribute("tokens", json!({"intValue": (10 * id).to_string()})),
                           attribute("model", json!({"stringValue": "qwen3"}))],
        })
    };
    let group = |service: &str, span: Value| {
        json!({
            "resource": {"attributes": [attribute("service.name", json!({"stringValue": service}))]},
            "scopeSpans": [{"spans": [span]}],
        })
    };
    let groups = [group("gateway", span(1, "", "request")), group("engine", span(2, "0000000000000001", "decode"))];
    let answer = post_json(running.addr, "/v1/traces", json!({"resourceSpans": groups}).to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    (running, at)
}

#[derive(Debug, Deserialize)]
struct Scopes {
    scopes: Vec<Scope>,
}

#[derive(Debug, Deserialize)]
struct Scope {
    name: String,
    tags: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tags {
    tag_values: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
struct Tag {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

#[tokio::test]
async fn the_tempo_plugins_checks_and_completion_are_answered() {
    let (running, at) = with_spans().await;
    let echo = get(&running, "/api/echo").await;
    assert_eq!((echo.status, echo.body.as_str()), (StatusCode::OK, "echo"));
    let version = get(&running, "/api/status/buildinfo").await.json()["version"].clone();
    // TraceQL, scoped tags, trace by id over version 2 and metrics are asked for by version.
    assert!(version.as_str().is_some_and(|version| version.starts_with("3.")), "{version}");

    let all: Scopes = read(&get(&running, "/api/v2/search/tags?limit=5000").await.body);
    let of = |scope: &str| all.scopes.iter().find(|found| found.name == scope).map_or(&[][..], |found| &found.tags);
    assert_eq!(
        (of("resource"), of("span")),
        (&["service.name".to_owned()][..], &["model".to_owned(), "tokens".to_owned()][..])
    );
    assert!(
        ["duration", "name", "status", "kind"].iter().all(|name| of("intrinsic").iter().any(|found| found == name))
    );
    let one: Scopes = read(
        &get(&running, &format!("/api/v2/search/tags?scope=span&limit=5000&start={}&end={at}", at - 60)).await.body,
    );
    assert_eq!((one.scopes.len(), &*one.scopes[0].name), (1, "span"));

    let values = async |tag: &str, more: &str| -> Vec<(String, String)> {
        let answer = get(&running, &format!("/api/v2/search/tag/{tag}/values?limit=5000{more}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{tag}: {}", answer.body);
        read::<Tags>(&answer.body).tag_values.into_iter().map(|tag| (tag.kind, tag.value)).collect()
    };
    let typed = |kind: &str, values: &[&str]| {
        values.iter().map(|value| (kind.to_owned(), (*value).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(values("resource.service.name", "").await, typed("string", &["engine", "gateway"]));
    assert_eq!(values("span.tokens", "").await, typed("int", &["10", "20"]));
    assert_eq!(values("name", "&q=%7Bresource.service.name%3D%22engine%22%7D").await, typed("string", &["decode"]));
    assert_eq!(values("status", "").await, typed("keyword", &["ok", "error", "unset"]));
    assert_eq!(values("span.model", &format!("&start={}&end={}", at - 9000, at - 8000)).await, []);
    // A name with a character that a path cannot hold arrives encoded.
    assert_eq!(values("span.%22no%20such%22", "").await, []);
    running.shutdown().await;
}

#[derive(Debug, Deserialize)]
struct Searched {
    traces: Vec<Found>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Found {
    #[serde(rename = "traceID")]
    trace_id: String,
    root_service_name: String,
    root_trace_name: String,
    start_time_unix_nano: String,
    #[serde(default)]
    duration_ms: u32,
    span_set: FoundSet,
    span_sets: Vec<FoundSet>,
    service_stats: BTreeMap<String, BTreeMap<String, u32>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FoundSet {
    spans: Vec<FoundSpan>,
    matched: u32,
    #[serde(default)]
    attributes: Vec<KeyValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FoundSpan {
    #[serde(rename = "spanID")]
    span_id: String,
    #[serde(default)]
    name: String,
    start_time_unix_nano: String,
    duration_nanos: String,
    #[serde(default)]
    attributes: Vec<KeyValue>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyValue {
    key: String,
    value: BTreeMap<String, Value>,
}

#[tokio::test]
async fn the_tempo_plugins_search_fills_its_table() {
    let (running, at) = with_spans().await;
    let query = "%7B%20status%3Derror%20%7D%20%7C%20select(span.model%2C%20resource.service.name%2C%20name)";
    let path = format!("/api/search?q={query}&limit=20&spss=3&start={}&end={at}", at - 3600);
    let searched: Searched = read(&get(&running, &path).await.body);
    let [found] = searched.traces.as_slice() else { panic!("{searched:?}") };
    assert_eq!((&*found.trace_id, &*found.root_service_name), ("af7651916cd43dd8448eb211c80319c", "gateway"));
    assert_eq!((&*found.root_trace_name, found.duration_ms), ("request", 500));
    assert_eq!(found.start_time_unix_nano, format!("{}000000000", at - 1));
    assert_eq!(found.service_stats["engine"]["spanCount"], 1);
    assert_eq!((found.span_sets.len(), found.span_set.matched), (1, found.span_sets[0].matched));
    let set = &found.span_set;
    assert!(set.attributes.is_empty());
    assert_eq!(set.spans.len(), 1, "one of the two has failed");
    let span = &set.spans[0];
    assert_eq!(span.span_id.len(), 16);
    assert_eq!(span.start_time_unix_nano, found.start_time_unix_nano);
    assert!(span.duration_nanos.parse::<u64>().unwrap() >= 250_000_000 && !span.name.is_empty());
    let model = span.attributes.iter().find(|attribute| attribute.key == "model").unwrap();
    assert_eq!(model.value["stringValue"], "qwen3");
    running.shutdown().await;
}

/// What the plugin reads a trace by identity from.
#[derive(Clone, PartialEq, prost::Message)]
struct TraceById {
    #[prost(message, optional, tag = "1")]
    trace: Option<TracesData>,
}

#[tokio::test]
async fn the_tempo_plugin_gets_a_trace_in_protobuf_and_in_json() {
    let (running, at) = with_spans().await;
    let target = Target::parse(&format!("http://{}", running.addr)).unwrap();
    let fetched = async |path: String| {
        let request = Request::get(path).header(header::ACCEPT, "application/protobuf").body(Body::Empty).unwrap();
        let response = Client::new(ClientConfig::default()).send(&target, request).await.unwrap();
        let status = response.status();
        (status, body::collect(response.into_body(), 1 << 20).await.unwrap())
    };
    let id = "0af7651916cd43dd8448eb211c80319c";
    let (status, second) = fetched(format!("/api/v2/traces/{id}?start={}&end={at}", at - 3600)).await;
    assert_eq!(status, StatusCode::OK);
    let trace = TraceById::decode(second).unwrap().trace.unwrap();
    assert_eq!(
        trace.resource_spans.iter().flat_map(|group| &group.scope_spans).flat_map(|scoped| &scoped.spans).count(),
        2
    );
    // Where the second version is not there, the first one is asked, whose answer is the trace itself.
    let (status, first) = fetched(format!("/api/traces/{id}?start={}&end={at}", at - 3600)).await;
    assert_eq!((status, TracesData::decode(first).unwrap()), (StatusCode::OK, trace));
    let (status, _) = fetched(format!("/api/v2/traces/{id}0")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, _) = fetched("/api/v2/traces/abc".to_owned()).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "which the plugin tells from a failure");
    let json = get(&running, &format!("/api/v2/traces/{id}")).await.json();
    assert_eq!(json["trace"]["resourceSpans"].as_array().unwrap().len(), 2);
    running.shutdown().await;
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counted<T> {
    series: Vec<T>,
    metrics: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ranged {
    labels: Vec<KeyValue>,
    samples: Vec<Sample>,
    #[serde(default)]
    exemplars: Vec<TempoExemplar>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Instant {
    labels: Vec<KeyValue>,
    #[serde(default)]
    value: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sample {
    timestamp_ms: String,
    #[serde(default)]
    value: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TempoExemplar {
    labels: Vec<KeyValue>,
    #[serde(default)]
    value: f64,
    timestamp_ms: String,
}

#[tokio::test]
async fn the_tempo_plugins_metrics_give_frames() {
    let (running, at) = with_spans().await;
    let range = format!("start={}&end={at}&step=15s", at - 600);
    let query = "%7B%7D%20%7C%20count_over_time()%20by(resource.service.name)";
    let counted: Counted<Ranged> =
        read(&get(&running, &format!("/api/metrics/query_range?q={query}&{range}&exemplars=100")).await.body);
    assert_eq!(counted.series.len(), 2);
    for series in &counted.series {
        assert_eq!(series.labels[0].key, "resource.service.name");
        assert_eq!(series.samples.iter().map(|sample| sample.value).sum::<f64>(), 1.0);
        assert!(series.samples.iter().all(|sample| sample.timestamp_ms.parse::<u64>().is_ok()));
        let [exemplar] = series.exemplars.as_slice() else { panic!("{series:?}") };
        assert!(exemplar.labels.iter().any(|label| label.key == "trace:id"), "{exemplar:?}");
        assert!(exemplar.value >= 0.0 && exemplar.timestamp_ms.parse::<u64>().is_ok());
    }
    assert_eq!(counted.metrics["inspectedSpans"], "2");
    // The editor's zero switches exemplars off.
    let without: Counted<Ranged> =
        read(&get(&running, &format!("/api/metrics/query_range?q={query}&{range}&exemplars=0")).await.body);
    assert!(without.series.iter().all(|series| series.exemplars.is_empty()));
    let instant: Counted<Instant> =
        read(&get(&running, &format!("/api/metrics/query?q={query}&start={}&end={at}", at - 600)).await.body);
    assert_eq!(instant.series.iter().map(|series| series.value).sum::<f64>(), 2.0);
    assert!(instant.series.iter().all(|series| series.labels.len() == 1));
    let fault = get(&running, &format!("/api/metrics/query_range?q=%7B&{range}")).await;
    assert_eq!(fault.status, StatusCode::BAD_REQUEST);
    assert!(fault.body.contains("parse error"), "{}", fault.body);
    running.shutdown().await;
}
