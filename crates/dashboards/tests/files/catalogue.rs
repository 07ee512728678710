//! Every query asks for what somebody observes, by labels that it has.

use std::collections::BTreeSet;

use promql_parser::parser::{Expr, LabelModifier, VectorSelector};
use telemetry::catalogue::{self, Component, Kind, Metric};

use super::support::boards;

/// Labels that a scrape adds to every series.
const OF_TARGETS: &[&str] = &["namespace", "job", "instance"];

/// A selector, and the labels that are asked of it: matched, or grouped by in an aggregation around it.
type Asked = (VectorSelector, BTreeSet<String>);

fn asked(query: &str) -> Vec<Asked> {
    let parsed = promql_parser::parser::parse(query).unwrap_or_else(|fault| panic!("{query}: {fault}"));
    let mut found = Vec::new();
    walk(&parsed, &BTreeSet::new(), &mut found);
    found
}

/// Aggregations hand their labels down to what is inside them; what is beside them has nothing to do with those.
fn walk(expr: &Expr, grouped: &BTreeSet<String>, found: &mut Vec<Asked>) {
    let mut select = |selector: &VectorSelector| {
        let matched = selector.matchers.matchers.iter().map(|matcher| matcher.name.clone());
        found.push((selector.clone(), matched.chain(grouped.iter().cloned()).collect()));
    };
    match expr {
        Expr::VectorSelector(selector) => select(selector),
        Expr::MatrixSelector(matrix) => select(&matrix.vs),
        Expr::Aggregate(aggregate) => {
            let mut grouped = grouped.clone();
            if let Some(LabelModifier::Include(labels) | LabelModifier::Exclude(labels)) = &aggregate.modifier {
                grouped.extend(labels.labels.iter().cloned());
            }
            walk(&aggregate.expr, &grouped, found);
        }
        Expr::Binary(binary) => {
            walk(&binary.lhs, grouped, found);
            walk(&binary.rhs, grouped, found);
        }
        Expr::Call(call) => call.args.args.iter().for_each(|argument| walk(argument, grouped, found)),
        Expr::Paren(inner) => walk(&inner.expr, grouped, found),
        Expr::Unary(inner) => walk(&inner.expr, grouped, found),
        Expr::Subquery(inner) => walk(&inner.expr, grouped, found),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => {}
        other => panic!("what is {other}?"),
    }
}

/// The metric of a series' name.
fn metric(series: &str) -> Option<&'static Metric> {
    let of_histogram = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|end| catalogue::find(series.strip_suffix(end)?).filter(|metric| metric.kind == Kind::Histogram));
    of_histogram.or_else(|| catalogue::find(series).filter(|metric| metric.kind != Kind::Histogram))
}

fn has(metric: &Metric, label: &str) -> bool {
    let of_engines = metric.component == Component::Engine && label == "infer_type";
    let of_buckets = metric.kind == Kind::Histogram && label == "le";
    of_engines || of_buckets || OF_TARGETS.contains(&label) || metric.labels.iter().any(|known| known.name == label)
}

/// What is wrong with a query, if anything.
fn faults(query: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (selector, labels) in asked(query) {
        let name = selector.name.clone().unwrap_or_default();
        let Some(metric) = metric(&name) else {
            faults.push(format!("{name} is not in the catalogue"));
            continue;
        };
        let missing = labels.iter().filter(|label| !has(metric, label));
        faults.extend(missing.map(|label| format!("{name} has no label {label}")));
    }
    faults
}

#[test]
fn every_query_of_every_dashboard_asks_for_what_is_observed() {
    let mut found = 0;
    let mut wrong = Vec::new();
    for board in boards() {
        for (panel, query) in board.queries("expr") {
            found += 1;
            wrong.extend(faults(&query).into_iter().map(|fault| format!("{panel}: {fault}")));
        }
    }
    assert!(found > 150, "only {found} queries");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_alert_asks_for_what_is_observed() {
    let rules = super::rules::alerts();
    let wrong: Vec<String> = rules.iter().flat_map(|rule| faults(rule["expr"].as_str().unwrap())).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_name_and_a_wrong_label_are_found() {
    assert_eq!(faults("rate(request_totals[1m])"), ["request_totals is not in the catalogue"]);
    assert_eq!(faults("sum(request_total) / sum(request_totals)"), ["request_totals is not in the catalogue"]);
    assert_eq!(faults("sum by (pod) (request_total)"), ["request_total has no label pod"]);
    assert_eq!(
        faults(r#"request_ttft_milliseconds_sum{connector="x"}"#),
        ["request_ttft_milliseconds_sum has no label connector"]
    );
}
