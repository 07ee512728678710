//! What the dashboards ask: every expression of every panel, and the series that those expressions are about.
//!
//! The dashboards come from the process itself, which serves the files that Grafana imports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

/// The dashboards, by the names of their files.
const FILES: [&str; 7] = [
    "candor-overview",
    "llumnix-cms-dashboard",
    "llumnix-component-dashboard",
    "llumnix-lrs-dashboard",
    "llumnix-request-dashboard",
    "pd-coordinator-metrics",
    "vllm-dashboard",
];

/// Where the process has them.
pub(super) fn paths() -> impl Iterator<Item = String> {
    FILES.iter().map(|file| format!("/dashboards/{file}.json"))
}

/// Distance of two points of a chart over an hour, in seconds, and the window of a rate that goes with it.
pub(super) const STEP: u64 = 15;

/// What stands for the variables: as a reader who chose nothing sees them.
const VARIABLES: [(&str, &str); 9] = [
    ("$__rate_interval", "1m"),
    ("$__interval_ms", "15000"),
    ("$__interval", "15s"),
    ("$__range_s", "3600"),
    ("$__range", "1h"),
    ("$namespace", ".*"),
    ("$model", ".*"),
    ("$infer_type", ".*"),
    ("$connector", ".*"),
];

/// A question of a panel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Question {
    /// PromQL.
    Samples(String),
    /// TraceQL that counts.
    Spans(String),
    /// TraceQL that finds traces.
    Traces(String),
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Samples(text) | Self::Spans(text) | Self::Traces(text)) = self;
        f.write_str(text)
    }
}

impl Question {
    /// Its path over the hour that ends at `end`, Unix seconds.
    pub(super) fn path(&self, end: u64) -> String {
        let start = end - 3600;
        match self {
            Self::Samples(expr) => {
                format!("/api/v1/query_range?query={}&start={start}&end={end}&step={STEP}", escaped(expr))
            }
            Self::Spans(query) => {
                format!("/api/metrics/query_range?q={}&start={start}&end={end}&step={STEP}s", escaped(query))
            }
            Self::Traces(query) => format!("/api/search?q={}&start={start}&end={end}&limit=20", escaped(query)),
        }
    }

    /// Whether an answer has anything in it.
    pub(super) fn is_answered(&self, answer: &[u8]) -> bool {
        let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return false };
        let found = match self {
            Self::Samples(_) => &answer["data"]["result"],
            Self::Spans(_) => &answer["series"],
            Self::Traces(_) => &answer["traces"],
        };
        found.as_array().is_some_and(|found| !found.is_empty())
    }
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
        escaped
    })
}

/// The questions of a dashboard, each once.
pub(super) fn questions(dashboard: &Value) -> BTreeSet<Question> {
    let mut found = BTreeSet::new();
    gather(dashboard, &mut found);
    found
}

fn gather(value: &Value, into: &mut BTreeSet<Question>) {
    match value {
        Value::Object(members) => {
            let text = |name: &str| members.get(name).and_then(Value::as_str);
            if let Some(expr) = text("expr") {
                into.insert(Question::Samples(filled(expr)));
            }
            if let (Some("traceql"), Some(query)) = (text("queryType"), text("query")) {
                let query = filled(query);
                let counts = query.contains("_over_time(") || query.contains("rate(");
                into.insert(if counts { Question::Spans(query) } else { Question::Traces(query) });
            }
            members.values().for_each(|value| gather(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| gather(value, into)),
        _ => {}
    }
}

fn filled(text: &str) -> String {
    VARIABLES.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("${{{}}}", &name[1..]), value).replace(name, value)
    })
}

/// Metrics that are asked about, each with the values that are asked for of its labels; a label may be asked for without one.
pub(super) type Asked = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Adds what an expression asks about. Selectors of the dashboards all have braces, and no brace stands in a text.
pub(super) fn asked(expr: &str, into: &mut Asked) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    for (at, _) in expr.match_indices('{') {
        let name = expr[..at].rsplit(|c| !is_name(c)).next().unwrap_or_default();
        let matchers = expr[at + 1..].split('}').next().unwrap_or_default();
        let labels = into.entry(name.to_owned()).or_default();
        for matcher in matchers.split(',') {
            let Some((label, value)) = matcher.split_once('=') else { continue };
            let values = labels.entry(label.trim_end_matches('!').to_owned()).or_default();
            if let Some(value) = value.strip_prefix('"').filter(|_| !label.ends_with('!')) {
                values.insert(value.trim_end_matches('"').to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_dashboard_that_is_handed_out_is_asked() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/observability");
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut dashboards: Vec<String> =
            names.filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect();
        dashboards.sort();
        assert_eq!(dashboards, FILES);
    }

    #[test]
    fn questions_are_gathered_with_values_for_their_variables() {
        let dashboard = json!({"panels": [{"targets": [
            {"expr": "rate(a_total{namespace=~\"$namespace\"}[$__rate_interval])"},
            {"queryType": "traceql", "query": "{name=\"x\"} | rate()"},
            {"queryType": "traceql", "query": "{name=\"x\"} | select(span.y)"},
            {"query": "label_values(a_total, namespace)"},
        ]}]});
        let found: Vec<Question> = questions(&dashboard).into_iter().collect();
        let samples = Question::Samples("rate(a_total{namespace=~\".*\"}[1m])".to_owned());
        let spans = Question::Spans("{name=\"x\"} | rate()".to_owned());
        let traces = Question::Traces("{name=\"x\"} | select(span.y)".to_owned());
        assert_eq!(found, [samples, spans, traces]);
        assert!(found[0].path(7200).ends_with("%5B1m%5D%29&start=3600&end=7200&step=15"), "{}", found[0].path(7200));
        assert!(
            found[0].is_answered(br#"{"data":{"result":[{}]}}"#) && !found[0].is_answered(br#"{"data":{"result":[]}}"#)
        );
    }

    #[test]
    fn what_an_expression_asks_about_is_found() {
        let mut found = Asked::new();
        asked("sum(a:b{x=\"1\",y=~\".*\"}) / on () c_total{z!=\"2\"} + a:b{x=\"3\"}", &mut found);
        let values = |metric: &str, label: &str| found[metric][label].iter().cloned().collect::<Vec<_>>();
        assert_eq!(values("a:b", "x"), ["1", "3"]);
        assert!(values("a:b", "y").is_empty() && values("c_total", "z").is_empty());
    }
}
