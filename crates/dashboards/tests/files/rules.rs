//! The alerts, judged by Prometheus' own `promtool`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::support::root;

/// The resource's spec: what Prometheus itself reads.
fn spec() -> Value {
    let file = dashboards::files().into_iter().find(|file| file.name == "candor-rules.yaml").unwrap();
    let resource: Value = serde_yaml_ng::from_str(&file.text).unwrap();
    assert_eq!(
        (&resource["apiVersion"], &resource["kind"]),
        (&json!("monitoring.coreos.com/v1"), &json!("PrometheusRule"))
    );
    resource["spec"].clone()
}

/// Every alert.
pub fn alerts() -> Vec<Value> {
    spec()["groups"][0]["rules"].as_array().unwrap().clone()
}

fn promtool(directory: &Path, words: &[&str]) {
    let output = Command::new("promtool")
        .args(words)
        .current_dir(directory)
        .output()
        .expect("promtool is missing: install Debian's package `prometheus`");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {words:?}: {said}");
}

/// Series with their values, one a minute.
type Series = &'static [(&'static str, &'static str)];

/// For each alert: series that must fire it, and series that must not.
const CASES: &[(&str, Series, Series)] = &[
    (
        "CandorRequestsFail",
        &[
            (r#"request_outcome_total{namespace="n",model="m",outcome="failed"}"#, "0+2x40"),
            (r#"request_outcome_total{namespace="n",model="m",outcome="completed"}"#, "0+98x40"),
        ],
        &[
            (r#"request_outcome_total{namespace="n",model="m",outcome="failed"}"#, "0+1x40"),
            (r#"request_outcome_total{namespace="n",model="m",outcome="completed"}"#, "0+199x40"),
        ],
    ),
    (
        "CandorTtftSlow",
        &[
            (r#"request_ttft_milliseconds_bucket{namespace="n",model="m",le="2000"}"#, "0+90x40"),
            (r#"request_ttft_milliseconds_bucket{namespace="n",model="m",le="5000"}"#, "0+100x40"),
            (r#"request_ttft_milliseconds_bucket{namespace="n",model="m",le="+Inf"}"#, "0+100x40"),
        ],
        &[
            (r#"request_ttft_milliseconds_bucket{namespace="n",model="m",le="2000"}"#, "0+96x40"),
            (r#"request_ttft_milliseconds_bucket{namespace="n",model="m",le="+Inf"}"#, "0+100x40"),
        ],
    ),
    (
        "CandorRequestsPending",
        &[(r#"gateway_pending_requests{namespace="n"}"#, "101x40")],
        &[(r#"gateway_pending_requests{namespace="n"}"#, "100x40")],
    ),
    (
        "CandorSchedulingFails",
        &[
            (r#"scheduler_scheduling_failed_total{namespace="n",error_type="no_available_endpoint"}"#, "0+2x40"),
            (r#"scheduler_scheduling_total{namespace="n"}"#, "0+100x40"),
        ],
        &[
            (r#"scheduler_scheduling_failed_total{namespace="n",error_type="no_available_endpoint"}"#, "0x40"),
            (r#"scheduler_scheduling_total{namespace="n"}"#, "0+100x40"),
        ],
    ),
    (
        "CandorInstanceStatusOld",
        &[(r#"instance_status_age_seconds{namespace="n",instance_id="a",infer_type="decode"}"#, "11x40")],
        &[(r#"instance_status_age_seconds{namespace="n",instance_id="a",infer_type="decode"}"#, "1x40")],
    ),
    (
        "CandorImbalance",
        &[(r#"scheduler_instance_imbalance_ratio{namespace="n",infer_type="decode",metric="requests"}"#, "4x40")],
        &[(r#"scheduler_instance_imbalance_ratio{namespace="n",infer_type="decode",metric="requests"}"#, "1.4x40")],
    ),
    (
        "CandorKvTransferSlow",
        &[
            (
                r#"pd_proxy_kv_transfer_overhead_milliseconds_bucket{namespace="n",connector="nixlv2",le="200"}"#,
                "0+90x40",
            ),
            (
                r#"pd_proxy_kv_transfer_overhead_milliseconds_bucket{namespace="n",connector="nixlv2",le="500"}"#,
                "0+100x40",
            ),
            (
                r#"pd_proxy_kv_transfer_overhead_milliseconds_bucket{namespace="n",connector="nixlv2",le="+Inf"}"#,
                "0+100x40",
            ),
        ],
        &[
            (
                r#"pd_proxy_kv_transfer_overhead_milliseconds_bucket{namespace="n",connector="nixlv2",le="5"}"#,
                "0+100x40",
            ),
            (
                r#"pd_proxy_kv_transfer_overhead_milliseconds_bucket{namespace="n",connector="nixlv2",le="+Inf"}"#,
                "0+100x40",
            ),
        ],
    ),
    (
        "CandorPrefillRetries",
        &[(r#"pd_proxy_prefill_retries_total{namespace="n",connector="nixlv2",reason="status"}"#, "0+12x40")],
        &[(r#"pd_proxy_prefill_retries_total{namespace="n",connector="nixlv2",reason="status"}"#, "0+1x40")],
    ),
    (
        "CandorTargetsRefused",
        &[(r#"pd_proxy_denied_total{namespace="n",connector="nixlv2",reason="not_allowed"}"#, "0x10 1x30")],
        &[(r#"pd_proxy_denied_total{namespace="n",connector="nixlv2",reason="not_allowed"}"#, "5x40")],
    ),
    (
        "CandorCacheFull",
        &[(r#"vllm:kv_cache_usage_perc{namespace="n",infer_type="decode",instance="i"}"#, "0.99x40")],
        &[(r#"vllm:kv_cache_usage_perc{namespace="n",infer_type="decode",instance="i"}"#, "0.9x40")],
    ),
    (
        "CandorSpansLost",
        &[(r#"telemetry_spans_total{namespace="n",outcome="dropped"}"#, "0+1x40")],
        &[(r#"telemetry_spans_total{namespace="n",outcome="exported"}"#, "0+1x40")],
    ),
    (
        "CandorLabelsFolded",
        &[(r#"telemetry_overflow_total{namespace="n",metric="request_total"}"#, "0x10 1x30")],
        &[(r#"telemetry_overflow_total{namespace="n",metric="request_total"}"#, "0x40")],
    ),
    (
        "CandorRuntimeStarved",
        &[(r#"tokio_loop_lag_seconds{namespace="n",job="gateway",instance="i"}"#, "0.06x40")],
        &[(r#"tokio_loop_lag_seconds{namespace="n",job="gateway",instance="i"}"#, "0.004x40")],
    ),
];

/// When each case is looked at: every `for` is over, and no series has ended.
const WHEN: &str = "17m";

fn input(series: &[(&str, &str)]) -> Vec<Value> {
    series.iter().map(|(series, values)| json!({ "series": series, "values": values })).collect()
}

#[test]
fn promtool_accepts_the_rules() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("rules.yaml"), spec().to_string()).unwrap();
    promtool(directory.path(), &["check", "rules", "rules.yaml"]);
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("rules.yaml"), spec().to_string()).unwrap();
    // Whether an alert fires is what its own series `ALERTS` says; its texts are not repeated here.
    let count = |name: &str| format!("count(ALERTS{{alertname=\"{name}\",alertstate=\"firing\"}})");
    let test = |name: &str, series: &[(&str, &str)], samples: Value| {
        json!({
            "interval": "1m", "input_series": input(series),
            "promql_expr_test": [{ "expr": count(name), "eval_time": WHEN, "exp_samples": samples }],
        })
    };
    let tests: Vec<Value> = CASES
        .iter()
        .flat_map(|(name, fires, quiet)| {
            [test(name, fires, json!([{ "labels": "{}", "value": 1 }])), test(name, quiet, json!([]))]
        })
        .collect();
    let file = json!({ "rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests });
    fs::write(directory.path().join("tests.yaml"), file.to_string()).unwrap();
    promtool(directory.path(), &["test", "rules", "tests.yaml"]);
}

#[test]
fn every_alert_has_a_case_and_a_runbook() {
    let runbooks = fs::read_to_string(root().join("docs/runbooks.md")).unwrap();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert!(CASES.iter().any(|(case, ..)| *case == name), "{name} is not tested");
        assert!(runbooks.contains(&format!("\n## {name}\n")), "{name} has no section in docs/runbooks.md");
        assert_eq!(alert["annotations"]["runbook_url"], format!("docs/runbooks.md#{}", name.to_lowercase()));
    }
}
