use super::*;
use crate::span::Value;
use crate::trace::{SpanId, TraceFlags, TraceId};

fn request() -> ClientRequest {
    let (trace, span) = (TraceId::from_bytes([1; 16]).unwrap(), SpanId::from_bytes([2; 8]).unwrap());
    ClientRequest {
        context: TraceContext::new(trace, span, TraceFlags::SAMPLED, None),
        request_id: "audit-1-1".to_owned(),
        path: "/v1/completions".to_owned(),
        model: "m".to_owned(),
        streaming: true,
        status: Some(200),
        tokens: 7,
        sent: Moment::from_nanos(1_000),
        first_token: Some(65_000_000),
        ended: 125_000_000,
        outcome: "completed",
        error: None,
    }
}

#[test]
fn the_span_is_the_root_that_the_request_named_and_lasts_as_long_as_the_stopwatch_says() {
    let span = assemble(request());
    assert_eq!((span.context.span_id.to_bytes(), span.parent), ([2; 8], None));
    assert_eq!(span.end.nanos_since(span.start), 125_000_000);
    assert_eq!(span.events[0].at.nanos_since(span.start), 65_000_000);
    assert_eq!(span.get("candor.client.ttft_ms"), Some(&Value::Double(65.0)));
    assert_eq!(span.get("candor.client.ttft_us"), Some(&Value::Int(65_000)));
    assert_eq!(span.status, Status::Unset);
}

#[test]
fn what_did_not_come_is_absent_and_a_failure_is_an_error() {
    let why = Some("connection reset".to_owned());
    let span = assemble(ClientRequest { first_token: None, status: None, outcome: "failed", error: why, ..request() });
    assert_eq!(span.get("candor.client.ttft_ms"), None);
    assert_eq!(span.get("http.response.status_code"), None);
    assert_eq!((span.events.len(), span.status), (0, Status::Error("connection reset".into())));
}
