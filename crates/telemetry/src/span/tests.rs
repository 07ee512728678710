use std::sync::Arc;

use http::HeaderMap;

use super::{Sampler, SpanKind, SpanQueue, SpanRecord, Tracer, Value};
use crate::clock::Moment;
use crate::metrics::Counter;
use crate::trace::{TRACEPARENT, TraceContext};

fn span(tracer: &Tracer) -> SpanRecord {
    let at = Moment::from_nanos(7);
    tracer.start(None).record("span", "scope", SpanKind::Internal, (at, at))
}

#[test]
fn a_full_queue_drops_and_counts_and_never_waits() {
    let dropped = Counter::default();
    let queue = Arc::new(SpanQueue::new(3, 2, dropped.clone()));
    let tracer = Tracer::new(Some(Arc::clone(&queue)), &Sampler::default());
    for _ in 0..5 {
        tracer.finish(span(&tracer));
    }
    assert_eq!(dropped.get(), 2);
    assert!(queue.has_batch());
    assert_eq!((queue.take_batch().len(), queue.take_batch().len(), queue.take_batch().len()), (2, 1, 0));
}

#[test]
fn nothing_is_read_or_written_where_contexts_are_not_propagated() {
    for queue in [None, Some(Arc::new(SpanQueue::new(1, 1, Counter::default())))] {
        let tracer = Tracer::new(queue, &Sampler::default()).propagating(false);
        let incoming = TraceContext::root(true);
        let started = tracer.start(Some(incoming.clone()));
        assert_ne!(started.context.trace_id, incoming.trace_id);
        assert_eq!(started.parent, None);
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, incoming.traceparent());
        for context in [&started.context, &tracer.child(&started).context] {
            context.inject(&mut headers);
        }
        assert_eq!(headers[TRACEPARENT], incoming.traceparent(), "the client's own header is one like any other");
    }
}

#[test]
fn without_an_exporter_contexts_pass_unchanged() {
    let tracer = Tracer::new(None, &Sampler::default());
    let incoming = TraceContext::root(true);
    let started = tracer.start(Some(incoming.clone()));
    assert_eq!(started.context, incoming);
    assert_eq!(tracer.child(&started).context, incoming);
    assert!(!started.is_recorded());
}

#[test]
fn what_is_not_sampled_says_so_downstream() {
    let queue = Arc::new(SpanQueue::new(1, 1, Counter::default()));
    let tracer = Tracer::new(Some(queue), &Sampler::ratio(true, 0.0));
    let started = tracer.start(None);
    assert!(!started.is_recorded() && !started.context.is_sampled());
    assert_eq!(started.exemplar(Moment::from_nanos(0)), None);
}

#[test]
fn a_latency_is_there_in_both_units() {
    let queue = Arc::new(SpanQueue::new(1, 1, Counter::default()));
    let mut span = span(&Tracer::new(Some(queue), &Sampler::default()));
    span.set_latency(("x_ms", "x_us"), Some(65_432_600));
    span.set_latency(("y_ms", "y_us"), None);
    assert_eq!(span.get("x_ms"), Some(&Value::Double(65.4326)));
    assert_eq!(span.get("x_us"), Some(&Value::Int(65_433)));
    assert_eq!(span.get("y_ms"), None);
}
