//! `candor-rules.yaml`: what somebody should be woken for, as a `PrometheusRule`.

use serde::Serialize;

/// One alert. Its runbook is the section of `docs/runbooks.md` that has its name.
struct Alert {
    name: &'static str,
    expr: &'static str,
    lasts: &'static str,
    severity: &'static str,
    summary: &'static str,
    description: &'static str,
}

const ALERTS: &[Alert] = &[
    Alert {
        name: "CandorRequestsFail",
        expr: r#"sum by (namespace, model) (rate(request_outcome_total{outcome="failed"}[5m])) / sum by (namespace, model) (rate(request_outcome_total{outcome!="cancelled"}[5m])) > 0.01"#,
        lasts: "5m",
        severity: "critical",
        summary: "More than 1 % of requests fail",
        description: "{{ $value | humanizePercentage }} of the requests for {{ $labels.model }} fail.",
    },
    Alert {
        name: "CandorTtftSlow",
        expr: "histogram_quantile(0.95, sum by (namespace, model, le) (rate(request_ttft_milliseconds_bucket[5m]))) > 2000",
        lasts: "10m",
        severity: "warning",
        summary: "One client in twenty waits over two seconds for a first token",
        description: "The 95th percentile of the TTFT of {{ $labels.model }} is {{ $value | printf \"%.0f\" }} ms.",
    },
    Alert {
        name: "CandorRequestsPending",
        expr: "sum by (namespace) (gateway_pending_requests) > 100",
        lasts: "5m",
        severity: "warning",
        summary: "Requests wait in the gateway without an instance",
        description: "{{ $value }} requests have no instance yet.",
    },
    Alert {
        name: "CandorSchedulingFails",
        expr: "sum by (namespace) (rate(scheduler_scheduling_failed_total[5m])) / sum by (namespace) (rate(scheduler_scheduling_total[5m])) > 0.01",
        lasts: "5m",
        severity: "critical",
        summary: "The scheduler finds no place for requests",
        description: "{{ $value | humanizePercentage }} of the placements fail.",
    },
    Alert {
        name: "CandorInstanceStatusOld",
        expr: "instance_status_age_seconds > 10",
        lasts: "1m",
        severity: "warning",
        summary: "An instance's status no longer arrives",
        description: "The last status of {{ $labels.infer_type }} instance {{ $labels.instance_id }} is {{ $value | humanizeDuration }} old.",
    },
    Alert {
        name: "CandorImbalance",
        expr: "scheduler_instance_imbalance_ratio > 3",
        lasts: "15m",
        severity: "warning",
        summary: "One instance carries three times the mean load",
        description: "{{ $labels.infer_type }} instances, by {{ $labels.metric }}: {{ $value | printf \"%.1f\" }} times the mean.",
    },
    Alert {
        name: "CandorKvTransferSlow",
        expr: "histogram_quantile(0.95, sum by (namespace, connector, le) (rate(pd_proxy_kv_transfer_overhead_milliseconds_bucket[5m]))) > 200",
        lasts: "10m",
        severity: "warning",
        summary: "KV transfers hold first tokens back",
        description: "The 95th percentile of the KV transfer overhead over {{ $labels.connector }} is {{ $value | printf \"%.0f\" }} ms.",
    },
    Alert {
        name: "CandorPrefillRetries",
        expr: "sum by (namespace, connector, reason) (rate(pd_proxy_prefill_retries_total[5m])) > 0.1",
        lasts: "10m",
        severity: "warning",
        summary: "Prefill attempts have to be repeated",
        description: "{{ $value | printf \"%.2f\" }} retries per second over {{ $labels.connector }}: {{ $labels.reason }}.",
    },
    Alert {
        name: "CandorTargetsRefused",
        expr: "sum by (namespace, reason) (increase(pd_proxy_denied_total[10m])) > 0",
        lasts: "0s",
        severity: "warning",
        summary: "Prefill targets are refused by the allow-list",
        description: "{{ $value | printf \"%.0f\" }} in ten minutes: {{ $labels.reason }}.",
    },
    Alert {
        name: "CandorCacheFull",
        expr: "vllm:kv_cache_usage_perc > 0.97",
        lasts: "10m",
        severity: "warning",
        summary: "An engine's KV cache is full",
        description: "{{ $labels.infer_type }} instance {{ $labels.instance }} uses {{ $value | humanizePercentage }} of its KV cache.",
    },
    Alert {
        name: "CandorSpansLost",
        expr: r#"sum by (namespace, outcome) (rate(telemetry_spans_total{outcome!="exported"}[5m])) > 0"#,
        lasts: "10m",
        severity: "warning",
        summary: "Spans are lost",
        description: "{{ $value | printf \"%.1f\" }} spans per second are {{ $labels.outcome }}.",
    },
    Alert {
        name: "CandorLabelsFolded",
        expr: "sum by (namespace, metric) (increase(telemetry_overflow_total[1h])) > 0",
        lasts: "0s",
        severity: "info",
        summary: "A metric has too many label sets",
        description: "Label sets of {{ $labels.metric }} are folded into _overflow.",
    },
    Alert {
        name: "CandorRuntimeStarved",
        expr: "tokio_loop_lag_seconds > 0.05",
        lasts: "5m",
        severity: "warning",
        summary: "A process gets too little CPU to be exact",
        description: "Timers of {{ $labels.job }} {{ $labels.instance }} fire {{ $value | humanizeDuration }} late.",
    },
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Serialize)]
struct Metadata {
    name: &'static str,
    labels: Labels,
}

#[derive(Serialize)]
struct Labels {
    #[serde(rename = "app.kubernetes.io/part-of")]
    part_of: &'static str,
}

#[derive(Serialize)]
struct Spec {
    groups: [Group; 1],
}

#[derive(Serialize)]
struct Group {
    name: &'static str,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
struct Rule {
    alert: &'static str,
    expr: &'static str,
    #[serde(rename = "for")]
    lasts: &'static str,
    labels: Severity,
    annotations: Annotations,
}

#[derive(Serialize)]
struct Severity {
    severity: &'static str,
}

#[derive(Serialize)]
struct Annotations {
    summary: &'static str,
    description: &'static str,
    runbook_url: String,
}

/// The file's content.
pub(crate) fn yaml() -> String {
    let rules = ALERTS.iter().map(Alert::rule).collect();
    let resource = Resource {
        api_version: "monitoring.coreos.com/v1",
        kind: "PrometheusRule",
        metadata: Metadata { name: "candor", labels: Labels { part_of: "llumnix" } },
        spec: Spec { groups: [Group { name: "candor", rules }] },
    };
    // The types above hold nothing that YAML cannot say.
    serde_yaml_ng::to_string(&resource).unwrap_or_default()
}

impl Alert {
    fn rule(&self) -> Rule {
        let annotations = Annotations {
            summary: self.summary,
            description: self.description,
            runbook_url: format!("docs/runbooks.md#{}", self.name.to_lowercase()),
        };
        Rule {
            alert: self.name,
            expr: self.expr,
            lasts: self.lasts,
            labels: Severity { severity: self.severity },
            annotations,
        }
    }
}
