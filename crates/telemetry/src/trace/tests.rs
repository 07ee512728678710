use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::{IdGenerator, TRACEPARENT, TRACESTATE, TraceContext, TraceFlags, TraceId};

const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn extract(traceparent: &str) -> Option<TraceContext> {
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, HeaderValue::from_str(traceparent).unwrap());
    TraceContext::extract(&headers)
}

#[test]
fn reads_and_writes_version_00() {
    let context = extract(VALID).unwrap();
    assert_eq!(context.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(context.span_id.to_string(), "00f067aa0ba902b7");
    assert!(context.is_sampled());
    assert_eq!(context.traceparent(), VALID);
}

#[test]
fn rejects_what_the_recommendation_rejects() {
    for bad in [
        "",
        "00",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01extra",
        "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        assert_eq!(extract(bad), None, "{bad}");
    }
}

#[test]
fn a_later_version_is_read_and_answered_in_ours() {
    let context = extract("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings").unwrap();
    assert_eq!(context.traceparent(), VALID);
}

#[test]
fn keeps_the_random_flag_and_clears_unknown_ones() {
    let context = extract("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff").unwrap();
    assert_eq!(context.flags.byte(), 3);
    assert_eq!(context.flags.with_sampled(false), TraceFlags::RANDOM);
    assert_eq!(context.child().flags, context.flags);
}

#[test]
fn two_traceparents_are_none() {
    let mut headers = HeaderMap::new();
    headers.append(TRACEPARENT, HeaderValue::from_static(VALID));
    headers.append(TRACEPARENT, HeaderValue::from_static(VALID));
    assert_eq!(TraceContext::extract(&headers), None);
}

#[test]
fn joins_tracestate_and_drops_a_broken_one_alone() {
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, HeaderValue::from_static(VALID));
    headers.append(TRACESTATE, HeaderValue::from_static("rojo=00f067aa0ba902b7"));
    headers.append(TRACESTATE, HeaderValue::from_static("congo=t61rcWkgMzE"));
    let context = TraceContext::extract(&headers).unwrap();
    assert_eq!(context.state.as_ref().unwrap(), "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");

    headers.append(TRACESTATE, HeaderValue::from_static("no equals sign"));
    let context = TraceContext::extract(&headers).unwrap();
    assert_eq!(context.state, None);
    context.inject(&mut headers);
    assert!(!headers.contains_key(TRACESTATE), "a dropped state must not be forwarded");
}

#[test]
fn a_root_is_random_and_a_child_stays_in_its_trace() {
    let root = TraceContext::root(true);
    assert_eq!(root.flags.byte(), 3);
    let child = root.child();
    assert_eq!(child.trace_id, root.trace_id);
    assert_ne!(child.span_id, root.span_id);
    assert_ne!(TraceContext::root(true).trace_id, root.trace_id);
}

#[test]
fn seeded_ids_repeat() {
    let mut one = IdGenerator::from_seed(7);
    let mut two = IdGenerator::from_seed(7);
    assert_eq!(one.trace_id(), two.trace_id());
    assert_eq!(one.span_id(), two.span_id());
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_again(id in 1_u128.., span in 1_u64.., byte: u8) {
        let trace_id = TraceId::from_bytes(id.to_be_bytes()).unwrap();
        let span_id = super::SpanId::from_bytes(span.to_be_bytes()).unwrap();
        let context = TraceContext::new(trace_id, span_id, TraceFlags::from_byte(byte), None);
        let mut headers = HeaderMap::new();
        context.inject(&mut headers);
        prop_assert_eq!(TraceContext::extract(&headers), Some(context));
    }

    #[test]
    fn no_header_value_panics(value in "[ -~]{0,80}") {
        let _ = extract(&value);
    }

    #[test]
    fn one_changed_byte_never_yields_another_trace(at in 0_usize..55, to in 0x21_u8..0x7f) {
        let mut bytes = VALID.as_bytes().to_vec();
        bytes[at] = to;
        let text = String::from_utf8(bytes).unwrap();
        if let Some(context) = extract(&text) {
            let written = context.traceparent();
            prop_assert_eq!(&written.to_str().unwrap()[3..52], &text[3..52]);
        }
    }
}
