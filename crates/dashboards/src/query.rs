//! The forms of query that mean what they say. Grafana's variables are filled in by whoever renders.

/// Labels that a scrape adds, whatever the metric: the namespace of the target.
pub(crate) const NAMESPACE: &str = r#"namespace=~"$namespace""#;
/// A gateway's metrics.
pub(crate) const GATEWAY: &str = r#"namespace=~"$namespace",model=~"$model""#;
/// A sidecar's metrics.
pub(crate) const SIDECAR: &str = r#"namespace=~"$namespace",connector=~"$connector""#;
/// An engine's metrics; the type of the instance is a label of the scrape.
pub(crate) const ENGINE: &str = r#"namespace=~"$namespace",model_name=~"$model",infer_type=~"$infer_type""#;

/// `metric{filter}`.
pub(crate) fn select(metric: &str, filter: &str) -> String {
    format!("{metric}{{{filter}}}")
}

/// Growth per second of each series.
pub(crate) fn rate(metric: &str, filter: &str) -> String {
    format!("rate({}[$__rate_interval])", select(metric, filter))
}

/// Growth per second of all series together.
pub(crate) fn total_rate(metric: &str, filter: &str) -> String {
    format!("sum({})", rate(metric, filter))
}

/// Growth per second by a label.
pub(crate) fn rate_by(labels: &str, metric: &str, filter: &str) -> String {
    format!("sum by ({labels}) ({})", rate(metric, filter))
}

/// Sum over instances, by a label.
pub(crate) fn sum_by(labels: &str, metric: &str, filter: &str) -> String {
    format!("sum by ({labels}) ({})", select(metric, filter))
}

/// A quantile of a histogram, over all its series.
pub(crate) fn quantile(quantile: &str, metric: &str, filter: &str) -> String {
    quantile_by(quantile, "le", metric, filter)
}

/// A quantile of a histogram; `labels` begins with `le`.
pub(crate) fn quantile_by(quantile: &str, labels: &str, metric: &str, filter: &str) -> String {
    format!("histogram_quantile({quantile}, {})", rate_by(labels, &format!("{metric}_bucket"), filter))
}

/// The mean of what a histogram observed.
pub(crate) fn mean(metric: &str, filter: &str) -> String {
    format!("{} / {}", total_rate(&format!("{metric}_sum"), filter), total_rate(&format!("{metric}_count"), filter))
}

/// The mean of what a histogram observed, by a label.
pub(crate) fn mean_by(labels: &str, metric: &str, filter: &str) -> String {
    let part = |suffix: &str| rate_by(labels, &format!("{metric}_{suffix}"), filter);
    format!("{} / {}", part("sum"), part("count"))
}

/// The share of observations up to a bound that is one of the buckets'. Prometheus' text format writes `500`, OpenMetrics
/// `500.0`; older servers store what they read.
pub(crate) fn share_below(bound: u32, metric: &str, filter: &str) -> String {
    let below = total_rate(&format!("{metric}_bucket"), &format!(r#"{filter},le=~"{bound}(\\.0)?""#));
    format!("{below} / {}", total_rate(&format!("{metric}_count"), filter))
}

/// Where nothing of a kind has happened there is no series for it; while `witness` is reported, that means zero.
pub(crate) fn or_zero(expr: &str, witness: &str, filter: &str) -> String {
    format!("{expr} or 0 * count({})", select(witness, filter))
}

/// How many observations fell into each bucket.
pub(crate) fn heat(metric: &str, filter: &str) -> String {
    format!("sum by (le) (increase({}[$__rate_interval]))", select(&format!("{metric}_bucket"), filter))
}

/// TraceQL: the coordinator's decode spans, which carry the numbers of a request.
pub(crate) const DECODE_SPANS: &str = r#"{resource.service.name="llm-d-pd-proxy" && name="llm_d.pd_proxy.decode" && span.llm_d.pd_proxy.connector=~"$connector" && span.gen_ai.request.model=~"$model"}"#;
/// TraceQL: what decode engines say of themselves. vLLM's spans name no model, so none can be asked for.
pub(crate) const DECODE_ENGINE_SPANS: &str = r#"{resource.service.name=~"(vllm|sglang)-decode" && name="llm_request"}"#;

/// An attribute of the coordinator's spans.
pub(crate) fn attribute(name: &str) -> String {
    format!("span.llm_d.pd_proxy.{name}")
}

/// The mean of an attribute of the coordinator's decode spans over time.
pub(crate) fn mean_attribute(name: &str) -> String {
    format!("{DECODE_SPANS} | avg_over_time({})", attribute(name))
}
