//! The catalogue for people (`candor metrics`) and for programs (`candor metrics --json`).

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Component, Label, Metric, all};

/// A text table, one block per component.
pub fn table() -> String {
    let mut text = String::new();
    for component in [Component::Gateway, Component::Sidecar, Component::Engine, Component::Every] {
        let _ = writeln!(text, "# {}", component.as_str());
        for metric in all().filter(|metric| metric.component == component) {
            row(&mut text, metric);
        }
        text.push('\n');
    }
    text
}

fn row(text: &mut String, metric: &Metric) {
    let labels: Vec<_> = metric.labels.iter().map(label).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(", ")) };
    let _ = writeln!(text, "{}{labels}  {}  {}", metric.name, metric.kind.as_str(), metric.unit.as_str());
    let _ = writeln!(text, "    {}", metric.help);
    let _ = writeln!(text, "    observed: {}", metric.observed);
    if !metric.buckets.is_empty() {
        let bounds: Vec<_> = metric.buckets.iter().map(f64::to_string).collect();
        let _ = writeln!(text, "    buckets: {}", bounds.join(" "));
    }
}

fn label(label: &Label) -> String {
    if label.values.is_empty() { label.name.to_owned() } else { format!("{}={}", label.name, label.values.join("|")) }
}

/// A JSON array, one object per metric: `name, type, unit, labels, buckets, help, observed, component`.
pub fn json() -> Value {
    all().map(object).collect()
}

fn object(metric: &Metric) -> Value {
    let labels: Vec<_> =
        metric.labels.iter().map(|label| json!({ "name": label.name, "values": label.values })).collect();
    json!({
        "name": metric.name,
        "type": metric.kind.as_str(),
        "unit": metric.unit.as_str(),
        "labels": labels,
        "buckets": metric.buckets,
        "help": metric.help,
        "observed": metric.observed,
        "component": metric.component.as_str(),
    })
}
