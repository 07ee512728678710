//! Every PromQL expression of every dashboard that is handed out, and samples for what they ask about.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use promql_parser::label::MatchOp;
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;

use super::samples::Series;

/// What stands for the variables of the dashboards.
const VARIABLES: [(&str, &str); 9] = [
    ("$__rate_interval", "2m"),
    ("$__interval_ms", "30000"),
    ("$__interval", "30s"),
    ("$__range_s", "3600"),
    ("$__range", "1h"),
    ("$namespace", "default|other"),
    ("$model", "tiny|.*"),
    ("$infer_type", ".*"),
    ("$connector", "nixlv2|.+"),
];

/// All expressions, once each, with values for the variables.
pub(super) fn expressions() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/observability");
    let mut expressions = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            gather(&serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap(), &mut expressions);
        }
    }
    let filled = expressions.into_iter().map(|expr: String| {
        let filled = VARIABLES.iter().fold(expr, |expr, (name, value)| {
            let braced = format!("${{{}}}", &name[1..]);
            expr.replace(&braced, value).replace(name, value)
        });
        assert!(!filled.contains("$_") && !filled.contains("${"), "a variable without a value: {filled}");
        filled
    });
    filled.collect()
}

/// `expr` of every target in a dashboard.
fn gather(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            into.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|value| gather(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| gather(value, into)),
        _ => {}
    }
}

#[derive(Default)]
struct Selectors(Vec<VectorSelector>);

impl ExprVisitor for Selectors {
    type Error = String;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, String> {
        match expr {
            Expr::VectorSelector(selector) => self.0.push(selector.clone()),
            Expr::MatrixSelector(selector) => self.0.push(selector.vs.clone()),
            _ => {}
        }
        Ok(true)
    }
}

/// Series of every metric that is asked about, with every value of a label that is asked for.
pub(super) fn samples(expressions: &BTreeSet<String>) -> Vec<Series> {
    let mut asked: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for expr in expressions {
        let mut selectors = Selectors::default();
        walk_expr(&mut selectors, &parser::parse(expr).unwrap_or_else(|error| panic!("{expr}: {error}"))).unwrap();
        for selector in selectors.0 {
            let labels = asked.entry(selector.name.unwrap_or_default()).or_default();
            for matcher in selector.matchers.matchers {
                let values = labels.entry(matcher.name).or_default();
                match matcher.op {
                    MatchOp::Equal => drop(values.insert(matcher.value)),
                    // The words of an alternation of words.
                    MatchOp::Re(_) => {
                        values.extend(matcher.value.split('|').filter(|word| is_word(word)).map(str::to_owned));
                    }
                    _ => {}
                }
            }
        }
    }
    let mut series = Vec::new();
    for (name, labels) in &asked {
        let labels = labels.iter().map(|(name, values)| {
            let mut values: Vec<String> = values.iter().filter(|value| !value.is_empty()).cloned().collect();
            values.truncate(4);
            values.push(format!("a-{name}"));
            (name.clone(), values)
        });
        let mut labels: BTreeMap<String, Vec<String>> = labels.collect();
        labels.entry("instance".to_owned()).or_insert_with(|| vec!["i0".to_owned(), "i1".to_owned()]);
        if name.ends_with("_bucket") {
            labels.insert("le".to_owned(), ["1", "5", "20", "100", "+Inf"].map(str::to_owned).to_vec());
        }
        all_of(name, &labels, &mut series);
    }
    series
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

/// A series for each combination of values, forty at most.
fn all_of(name: &str, labels: &BTreeMap<String, Vec<String>>, into: &mut Vec<Series>) {
    let combinations = labels.values().map(Vec::len).product::<usize>().min(40);
    for number in 0..combinations {
        let mut rest = number;
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        // The bounds of a histogram vary fastest, so that no histogram is cut.
        let (bounds, others): (Vec<_>, Vec<_>) = labels.iter().partition(|(name, _)| *name == "le");
        for (label, values) in bounds.into_iter().chain(others) {
            pairs.push((label, &values[rest % values.len()]));
            rest /= values.len();
        }
        let bucket = labels.get("le").map_or(0, |bounds| number % bounds.len());
        let gauge = !["_bucket", "_sum", "_count", "_total"].iter().any(|suffix| name.ends_with(suffix));
        into.push(Series::new(name, &pairs, |scrape| {
            let wave = (scrape * 31 + number as i64 * 17) % 97;
            let grown = (scrape % 200) * (3 + number as i64 % 5 + 2 * bucket as i64) + wave / 50;
            Some(if gauge { wave as f64 / 10.0 } else { grown as f64 })
        }));
    }
}
