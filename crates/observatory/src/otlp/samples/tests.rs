use serde_json::json;

use super::json::metrics;
use super::names::{Kind, family, label};
use super::*;
use crate::metrics::store::{Limits, Selected};

#[test]
fn names_are_made_as_prometheus_wants_them() {
    let cases = [
        ("http.server.request.duration", "s", Kind::Histogram, "http_server_request_duration_seconds"),
        ("http.server.active_requests", "{request}", Kind::Gauge, "http_server_active_requests"),
        ("requests", "1", Kind::Counter, "requests_total"),
        ("requests.total", "{request}", Kind::Counter, "requests_total"),
        ("cpu.utilization", "1", Kind::Gauge, "cpu_utilization_ratio"),
        ("disk.io", "By/s", Kind::Gauge, "disk_io_bytes_per_second"),
        ("latency_ms", "ms", Kind::Gauge, "latency_ms_milliseconds"),
        ("2xx", "", Kind::Counter, "_2xx_total"),
        ("vllm:num_requests_running", "", Kind::Gauge, "vllm:num_requests_running"),
    ];
    for (name, unit, kind, wanted) in cases {
        assert_eq!(family(name, unit, kind), wanted);
    }
    assert_eq!(
        ["service.name", "9lives", "__own", "a-b"].map(label),
        ["service_name", "key_9lives", "key__own", "a_b"]
    );
}

fn sample_store() -> Store {
    let retention = std::time::Duration::from_secs(3600);
    Store::new(Limits { retention, max_bytes: 1 << 24, max_series: 1000 })
}

fn now() -> u64 {
    clock::now().unix_nanos()
}

fn everything(store: &Store) -> Vec<Selected> {
    store.select(&[], 0, i64::MAX, usize::MAX).unwrap()
}

fn export(points: &serde_json::Value) -> ExportMetricsServiceRequest {
    let resource = json!({"attributes": [
        {"key": "service.name", "value": {"stringValue": "shop"}},
        {"key": "service.instance.id", "value": {"stringValue": "a"}},
        {"key": "host.name", "value": {"stringValue": "box"}},
    ]});
    let body = json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": points}]}]});
    metrics(&body).unwrap()
}

#[test]
fn a_histogram_becomes_buckets_sum_and_count_of_its_sender() {
    let point = json!({
        "timeUnixNano": now().to_string(), "count": "5", "sum": 2.5, "bucketCounts": ["1", "3", "1"],
        "explicitBounds": [0.1, 1], "attributes": [{"key": "http.route", "value": {"stringValue": "/"}}],
    });
    let request = export(&json!([{
        "name": "http.duration", "unit": "s", "description": "how long",
        "histogram": {"aggregationTemporality": 2, "dataPoints": [point]},
    }]));
    let samples = sample_store();
    assert_eq!(store(&samples, &request), Partial::default());
    let mut found: Vec<(String, f64)> =
        everything(&samples).iter().map(|series| (series.labels.to_string(), series.samples[0].value)).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let of =
        |name: &str, le: &str| format!("{{__name__=\"{name}\", http_route=\"/\", instance=\"a\", job=\"shop\"{le}}}");
    let wanted = [
        (of("http_duration_seconds_bucket", ", le=\"+Inf\""), 5.0),
        (of("http_duration_seconds_bucket", ", le=\"0.1\""), 1.0),
        (of("http_duration_seconds_bucket", ", le=\"1\""), 4.0),
        (of("http_duration_seconds_count", ""), 5.0),
        (of("http_duration_seconds_sum", ""), 2.5),
        ("{__name__=\"target_info\", host_name=\"box\", instance=\"a\", job=\"shop\"}".to_owned(), 1.0),
    ];
    assert_eq!(found, wanted);
    assert_eq!(samples.metadata()["http_duration_seconds"].kind, "histogram");
}

#[test]
fn what_cannot_be_kept_truly_is_refused_by_name() {
    let point = json!({"timeUnixNano": now().to_string(), "asInt": "3"});
    let sum = |temporality: u8| json!({"name": "jobs", "sum": {"aggregationTemporality": temporality, "isMonotonic": true, "dataPoints": [point]}});
    let samples = sample_store();
    let partial = store(&samples, &export(&json!([sum(1), sum(2)])));
    assert_eq!(partial.rejected, 1);
    assert!(partial.message.contains("delta"), "{partial:?}");
    let jobs =
        everything(&samples).into_iter().find(|series| series.labels.to_string().contains("jobs_total")).unwrap();
    assert_eq!(jobs.samples[0].value, 3.0);
}
