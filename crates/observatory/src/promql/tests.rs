use std::time::Duration;

use super::*;
use crate::metrics::store::{Limits as StoreLimits, STALE};

const NOW: i64 = 1_700_000_000_000;

/// Labels, and samples at seconds after [`NOW`].
type Series<'a> = (&'a [(&'a str, &'a str)], &'a [(i64, f64)]);

fn store(series: &[Series<'_>]) -> Store {
    let store =
        Store::new(StoreLimits { retention: Duration::from_secs(86_400), max_bytes: 1 << 30, max_series: 1000 });
    let mut appender = store.appender(NOW + 1_000_000);
    for (labels, samples) in series {
        for (at, value) in *samples {
            appender.append(labels, Sample { at: NOW + at * 1000, value: *value }).unwrap();
        }
    }
    drop(appender);
    store
}

fn vector(store: &Store, expr: &str, at: i64) -> Vec<(String, f64)> {
    match Query::parse(expr).unwrap().instant(store, NOW + at * 1000, Limits::default()).unwrap() {
        Instant::Vector(vector) => vector.into_iter().map(|(labels, value)| (labels.to_string(), value)).collect(),
        other => panic!("{expr}: {other:?}"),
    }
}

fn value(store: &Store, expr: &str, at: i64) -> f64 {
    let vector = vector(store, expr, at);
    assert_eq!(vector.len(), 1, "{expr}: {vector:?}");
    vector[0].1
}

#[test]
fn a_sample_is_current_for_five_minutes_unless_its_series_has_ended() {
    let store = store(&[(&[("__name__", "a")], &[(0, 1.0)]), (&[("__name__", "b")], &[(0, 1.0), (10, STALE)])]);
    assert_eq!(value(&store, "a", 300), 1.0);
    assert!(vector(&store, "a", 301).is_empty());
    assert_eq!(value(&store, "b", 9), 1.0);
    assert!(vector(&store, "b", 10).is_empty());
    assert_eq!(value(&store, "count_over_time(b[1m])", 20), 1.0, "a marker is no sample");
}

#[test]
fn what_is_not_supported_is_named() {
    let store = store(&[]);
    for (expr, named) in [
        ("histogram_fraction(0, 1, a)", "`histogram_fraction`"),
        ("sort_by_label(a, \"b\")", "`sort_by_label`"),
        ("mad_over_time(a[5m])", "`mad_over_time`"),
        ("a{b=\"c\" or d=\"e\"}", "`or` between matchers"),
        ("limitk(2, a)", "`limitk`"),
        ("a + fill(0) b", "`fill`"),
    ] {
        let result = Query::parse(expr).and_then(|query| query.instant(&store, NOW, Limits::default()));
        let error = result.expect_err(expr);
        assert!(matches!(error, QueryError::Unsupported(_)), "{expr}: {error:?}");
        assert!(error.to_string().contains(named), "{expr}: {error}");
    }
}

#[test]
fn a_query_has_limits() {
    let samples: Vec<(i64, f64)> = (0..1000).map(|at| (at, at as f64)).collect();
    let store = store(&[(&[("__name__", "a")], &samples)]);
    let run = |expr: &str, limits: Limits| Query::parse(expr).unwrap().instant(&store, NOW + 999_000, limits);
    let few = Limits { max_samples: 500, ..Limits::default() };
    assert_eq!(run("sum_over_time(a[1h])", few), Err(QueryError::TooManySamples));
    assert_eq!(run("max_over_time(vector(1)[1d:1s])", few), Err(QueryError::TooManySamples));
    assert!(run("sum_over_time(a[5m])", few).is_ok());
    let none = Limits { timeout: Duration::ZERO, ..Limits::default() };
    assert_eq!(run("a", none), Err(QueryError::TimedOut));
}

#[test]
fn series_that_become_the_same_are_an_error() {
    let store = store(&[(&[("__name__", "a")], &[(0, 1.0)]), (&[("__name__", "b")], &[(0, 1.0)])]);
    let run = |expr: &str| Query::parse(expr).unwrap().instant(&store, NOW, Limits::default());
    let same = Err(QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned()));
    assert_eq!(run("abs({__name__=~\"a|b\"})"), same);
    assert_eq!(run("sum_over_time({__name__=~\"a|b\"}[5m])"), same);
    assert_eq!(run("-{__name__=~\"a|b\"}"), same);
    assert!(run("sum({__name__=~\"a|b\"})").is_ok());
}

#[test]
fn an_instant_result_is_in_the_order_asked_for() {
    let series: [Series<'_>; 4] = [
        (&[("__name__", "a"), ("g", "x"), ("i", "1")], &[(0, 2.0)]),
        (&[("__name__", "a"), ("g", "y"), ("i", "2")], &[(0, f64::NAN)]),
        (&[("__name__", "a"), ("g", "x"), ("i", "3")], &[(0, 3.0)]),
        (&[("__name__", "a"), ("g", "y"), ("i", "4")], &[(0, 1.0)]),
    ];
    let store = store(&series);
    let values =
        |expr: &str| -> Vec<String> { vector(&store, expr, 0).iter().map(|(_, value)| value.to_string()).collect() };
    assert_eq!(values("sort(a)"), ["1", "2", "3", "NaN"]);
    assert_eq!(values("sort_desc(a)"), ["3", "2", "1", "NaN"]);
    assert_eq!(values("topk(2, a)"), ["3", "2"]);
    assert_eq!(values("bottomk(3, a)"), ["1", "2", "3"]);
    assert_eq!(values("topk by (g) (1, a)"), ["3", "1"]);
    assert_eq!(values("topk(4, a)"), ["3", "2", "1", "NaN"]);
}

#[test]
fn numbers_are_written_as_prometheus_writes_them() {
    for (value, text) in [
        (1.0, "1"),
        (0.5, "0.5"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (1e-7, "1e-7"),
        (1.5e21, "1.5e+21"),
        (1e20, "100000000000000000000"),
        (0.0, "0"),
    ] {
        assert_eq!(number::json(value), text);
    }
}
