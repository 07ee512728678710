use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Otlp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use telemetry::clock::Moment;

use super::block::BLOCK_SPANS;
use super::model::TraceId;
use super::*;

/// `count` spans from number `first` on, `per_trace` to a trace, each with a text that no other has.
fn batch(first: u64, count: u64, per_trace: u64) -> Vec<ResourceSpans> {
    let spans = (first..first + count).map(|number| Span {
        trace_id: u128::from(number / per_trace + 1).to_be_bytes().to_vec(),
        span_id: (number + 1).to_be_bytes().to_vec(),
        name: "work".to_owned(),
        start_time_unix_nano: number * 1000,
        end_time_unix_nano: number * 1000 + 500,
        attributes: vec![KeyValue {
            key: "id".to_owned(),
            value: Some(AnyValue { value: Some(Otlp::StringValue(format!("request-{number:020}"))) }),
            ..KeyValue::default()
        }],
        ..Span::default()
    });
    let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
    vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }]
}

fn seconds(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

/// Every index of the store points at what it says, and nothing else.
fn check(store: &SpanStore) {
    let stored = store.read();
    let stats = stored.stats();
    let all: Vec<_> = stored.blocks().flat_map(|(first, block)| (first..).zip(block.spans())).collect();
    assert_eq!(all.len(), stats.spans);
    let traces: std::collections::BTreeSet<TraceId> = all.iter().map(|(_, span)| span.trace).collect();
    assert_eq!(traces.len(), stats.traces);
    for (number, span) in &all {
        assert!(stored.trace(span.trace).contains(number));
        assert_eq!(stored.span(*number).map(|(_, found)| found.id), Some(span.id));
    }
    for trace in traces {
        assert!(
            stored.trace(trace).iter().all(|&number| stored.span(number).is_some_and(|(_, span)| span.trace == trace))
        );
    }
}

#[test]
fn the_oldest_go_first_when_there_is_no_more_room_and_it_says_how_many() {
    let limits = Limits { max_bytes: 2 << 20, ..Limits::default() };
    let store = SpanStore::new(limits);
    for round in 0..40 {
        store.insert(&batch(round * 500, 500, 3), seconds(1));
        assert!(store.stats().bytes <= limits.max_bytes);
    }
    let stats = store.stats();
    assert_eq!(stats.spans as u64 + stats.evicted, 20_000);
    assert!(stats.evicted > 0 && stats.spans > BLOCK_SPANS, "{stats:?}");
    check(&store);
    let oldest = store.read().blocks().next().map(|(_, block)| block.spans()[0].id.0);
    assert_eq!(oldest, Some(stats.evicted + 1));
}

#[test]
fn spans_leave_when_they_have_been_here_long_enough_whatever_their_clock_said() {
    let store = SpanStore::new(Limits { retention: Duration::from_secs(60), ..Limits::default() });
    store.insert(&batch(0, 10, 3), seconds(100));
    store.prune(seconds(160));
    assert_eq!(store.stats().spans, 10);
    store.prune(seconds(161));
    assert_eq!((store.stats().spans, store.stats().expired, store.stats().traces), (0, 10, 0));
    store.insert(&batch(10, 5, 3), seconds(162));
    assert_eq!(store.stats().spans, 5, "and it goes on");
    check(&store);
}

#[test]
fn what_comes_in_goes_out_as_it_was() {
    let store = SpanStore::new(Limits::default());
    let sent = batch(0, 3, 3);
    store.insert(&sent, seconds(1));
    let trace = trace_data(&store.read(), TraceId(1)).unwrap();
    let spans = |groups: &[ResourceSpans]| {
        let spans = groups.iter().flat_map(|group| &group.scope_spans).flat_map(|scoped| scoped.spans.clone());
        spans.map(|span| Span { status: None, ..span }).collect::<Vec<_>>()
    };
    assert_eq!(spans(&trace.resource_spans), spans(&sent));
    assert!(trace_data(&store.read(), TraceId(9)).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_indexes_are_true_after_any_inserts_and_drops(steps in prop::collection::vec((1..1500_u64, 1..9_u64, 0..40_u64), 1..12)) {
        let store = SpanStore::new(Limits { retention: Duration::from_secs(60), max_bytes: 1 << 20, ..Limits::default() });
        let (mut next, mut now) = (0, 1);
        for (count, per_trace, pause) in steps {
            store.insert(&batch(next, count, per_trace), seconds(now));
            (next, now) = (next + count, now + pause);
            store.prune(seconds(now));
            check(&store);
        }
        let stats = store.stats();
        prop_assert_eq!(stats.spans as u64 + stats.evicted + stats.expired, next);
    }
}
