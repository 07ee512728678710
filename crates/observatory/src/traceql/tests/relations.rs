//! Relations between spans, and pipelines, on a tree that is known.

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use telemetry::clock::Moment;

use crate::traceql::parse;
use crate::traceql::search::{Bounds, search};
use crate::traces::{Limits, SpanStore};

/// Spans of one trace: name and parent by number (0 is none), numbered from 1.
fn tree(spans: &[(&str, u64)]) -> SpanStore {
    let spans = spans.iter().enumerate().map(|(number, (name, parent))| Span {
        trace_id: vec![1; 16],
        span_id: (number as u64 + 1).to_be_bytes().to_vec(),
        parent_span_id: if *parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
        name: (*name).to_owned(),
        start_time_unix_nano: 1000 + number as u64,
        end_time_unix_nano: 2000,
        ..Span::default()
    });
    let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
    let store = SpanStore::new(Limits::default());
    store.insert(&[ResourceSpans { scope_spans, ..ResourceSpans::default() }], Moment::from_nanos(1));
    store
}

/// The numbers of the spans in each spanset that a query leaves.
fn found(store: &SpanStore, query: &str) -> Vec<Vec<u64>> {
    let bounds = Bounds { start: 0, end: u64::MAX, traces: 10, spans: 100, shortest: 0, longest: u64::MAX };
    let found = search(&store.read(), &parse(query).unwrap(), &bounds);
    let sets = found.traces.iter().flat_map(|trace| &trace.sets);
    sets.map(|set| set.spans.iter().map(|span| span.id.0).collect()).collect()
}

#[test]
fn relations_hold_as_their_signs_say() {
    // 1 a ─ 2 b ─ 3 c
    //     ├ 4 b
    //     └ 5 c ─ 6 b
    let store = tree(&[("a", 0), ("b", 1), ("c", 2), ("b", 1), ("c", 1), ("b", 5)]);
    let cases: [(&str, &[u64]); 18] = [
        ("{name=\"a\"} > {name=\"b\"}", &[2, 4]),
        ("{name=\"a\"} >> {name=\"b\"}", &[2, 4, 6]),
        ("{name=\"b\"} < {name=\"a\"}", &[1]),
        ("{name=\"b\"} << {name=\"c\"}", &[5]),
        ("{name=\"b\"} ~ {name=\"c\"}", &[5]),
        ("{name=\"b\"} ~ {name=\"b\"}", &[2, 4]),
        ("{name=\"a\"} !> {name=\"b\"}", &[6]),
        ("{name=\"c\"} !>> {name=\"b\"}", &[2, 4]),
        ("{name=\"b\"} !< {name=\"c\"}", &[3]),
        ("{name=\"b\"} !~ {name=\"c\"}", &[3]),
        ("{name=\"none\"} !> {name=\"c\"}", &[3, 5]),
        ("{name=\"b\"} &> {name=\"c\"}", &[2, 3]),
        ("{name=\"c\"} &>> {name=\"b\"}", &[5, 6]),
        ("{name=\"b\"} &~ {name=\"c\"}", &[2, 4, 5]),
        ("{name=\"a\"} && {name=\"c\"}", &[1, 3, 5]),
        ("{nestedSetParent < 0}", &[1]),
        ("{childCount = 3 || span:parentID = \"5\"}", &[1, 6]),
        ("{nestedSetLeft > 1 && nestedSetRight = 3}", &[]),
    ];
    for (query, wanted) in cases {
        let wanted: Vec<Vec<u64>> = if wanted.is_empty() { Vec::new() } else { vec![wanted.to_vec()] };
        assert_eq!(found(&store, query), wanted, "{query}");
    }
}

#[test]
fn spans_that_claim_to_be_above_each_other_end_in_an_answer() {
    let store = tree(&[("a", 2), ("b", 1), ("c", 3), ("d", 99)]);
    assert_eq!(found(&store, "{name=\"a\"} >> {}"), [[1, 2]]);
    assert_eq!(found(&store, "{} << {}"), [[1, 2]]);
    assert_eq!(found(&store, "{} > {name=\"c\"}"), Vec::<Vec<u64>>::new(), "nobody is its own parent");
    assert_eq!(found(&store, "{nestedSetLeft = 0}"), [[1, 2, 3, 4]]);
}

#[test]
fn pipelines_split_join_and_compare() {
    let store = tree(&[("a", 0), ("b", 1), ("b", 1), ("c", 1)]);
    assert_eq!(found(&store, "{} | by(name)"), [vec![1], vec![2, 3], vec![4]]);
    assert_eq!(found(&store, "{} | by(name) | count() = 1"), [vec![1], vec![4]]);
    assert_eq!(found(&store, "{} | by(name) | count() = 1 | coalesce()"), [[1, 4]]);
    assert_eq!(found(&store, "({} | by(name) | count() > 1) && {name=\"a\"}"), [[1, 2, 3]]);
    assert_eq!(found(&store, "{} | max(duration) > 999ns").len(), 1);
    assert_eq!(found(&store, "{} | max(duration) - min(duration) > 3ns").len(), 0);
    assert_eq!(found(&store, "{} | avg(.none) > 0").len(), 0);
    assert_eq!(found(&store, "{ !(name = \"a\") }").len(), 0, "Tempo's trap");
    assert_eq!(found(&store, "{ !(name = \"a\" || name = \"b\") }"), [[4]]);
}

#[test]
fn compare_counts_the_values_of_those_selected_and_of_the_others() {
    use crate::traceql::Literal;
    use crate::traceql::metrics::{Window, run};

    let store = tree(&[("a", 0), ("b", 1), ("b", 1), ("c", 1)]);
    let query = parse("{} | compare({name = \"b\"}, 1)").unwrap();
    let answer = run(&store.read(), &query, &Window::instant(0, 10_000), 0).unwrap();
    let text = |value: &Literal| value.to_string().replace('`', "");
    let named: Vec<(String, String, Option<f64>)> = answer
        .series
        .iter()
        .filter(|series| series.labels[1].0 == "name")
        .map(|series| (text(&series.labels[0].1), text(&series.labels[1].1), series.values[0]))
        .collect();
    let wanted = [
        ("baseline", "a", Some(1.0)),
        ("baseline_total", "nil", Some(2.0)),
        ("__too_many_values__", "nil", None),
        ("selection", "b", Some(2.0)),
        ("selection_total", "nil", Some(2.0)),
    ];
    assert_eq!(named, wanted.map(|(side, value, count)| (side.to_owned(), value.to_owned(), count)));
}
