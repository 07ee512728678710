//! The catalogue for people (`candor metrics`), for programs (`--json`) and for the documentation (`--markdown`).

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Component, Label, Metric, all};

/// The order of the reference.
const COMPONENTS: [Component; 7] = [
    Component::Gateway,
    Component::Scheduler,
    Component::Sidecar,
    Component::Relay,
    Component::Engine,
    Component::Observatory,
    Component::Every,
];

/// A text table, one block per component.
pub fn table() -> String {
    let mut text = String::new();
    for component in COMPONENTS {
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
        let _ = writeln!(text, "    buckets: {}", bounds(metric, " "));
    }
}

fn label(label: &Label) -> String {
    if label.values.is_empty() { label.name.to_owned() } else { format!("{}={}", label.name, label.values.join("|")) }
}

/// The reference page, `docs/metrics.md`.
pub fn markdown() -> String {
    let mut text = String::from(PREAMBLE);
    for component in COMPONENTS {
        let _ = writeln!(text, "\n## {}{}\n", component.as_str()[..1].to_uppercase(), &component.as_str()[1..]);
        let of = |metric: &&Metric| metric.component == component;
        text.push_str("| metric | type | unit | labels | meaning | observed |\n|---|---|---|---|---|---|\n");
        all().filter(of).for_each(|metric| markdown_row(&mut text, metric));
        let with_buckets: Vec<_> = all().filter(of).filter(|metric| !metric.buckets.is_empty()).collect();
        if !with_buckets.is_empty() {
            text.push_str("\n| histogram | upper bounds |\n|---|---|\n");
        }
        for metric in with_buckets {
            let _ = writeln!(text, "| `{}` | {} |", metric.name, bounds(metric, ", "));
        }
    }
    text
}

const PREAMBLE: &str = "# Metrics

Every metric that Candor exposes, as `candor metrics --markdown` prints it from the catalogue in the code; `--json` prints
the same for programs. A label with a closed set of values shows them.

A scrape answers in OpenMetrics, with exemplars, or in the Prometheus text format, as its `Accept` header asks. At most
1,000 label sets of a metric are kept; more are folded into `_overflow` and counted in `telemetry_overflow_total`.
";

fn markdown_row(text: &mut String, metric: &Metric) {
    // A bar would end the cell.
    let cell = |text: &str| text.replace('|', "\\|");
    let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{}`", cell(&self::label(label)))).collect();
    let (labels, unit) = (labels.join(", "), metric.unit.as_str());
    let (kind, help, observed) = (metric.kind.as_str(), cell(metric.help), cell(metric.observed));
    let _ = writeln!(text, "| `{}` | {kind} | {unit} | {labels} | {help} | {observed} |", metric.name);
}

fn bounds(metric: &Metric, separator: &str) -> String {
    metric.buckets.iter().map(f64::to_string).collect::<Vec<_>>().join(separator)
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
