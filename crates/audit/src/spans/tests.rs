use std::path::Path;

use super::Spans;

const LINE: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"vllm-decode"}}]},"scopeSpans":[{"scope":{"name":"x"},"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","parentSpanId":"00f067aa0ba902b7","name":"llm_request","kind":2,"startTimeUnixNano":"1","endTimeUnixNano":"3","events":[{"timeUnixNano":"2","name":"retry","attributes":[{"key":"target","value":{"stringValue":"a:1"}}]}],"attributes":[{"key":"gen_ai.latency.time_to_first_token","value":{"doubleValue":0.01}},{"key":"text","value":{"intValue":"134548"}},{"key":"plain","value":{"intValue":7}},{"key":"yes","value":{"boolValue":true}},{"key":"list","value":{"arrayValue":{"values":[{"intValue":"1"}]}}},{"key":"empty","value":{}}],"status":{"code":2,"message":"died"}}]}]}]}"#;

fn parse(text: &str) -> Result<Spans, super::SpansError> {
    let mut spans = Spans::default();
    spans.parse(text.as_bytes(), Path::new("spans.jsonl")).map(|()| spans)
}

#[test]
fn a_line_is_read_with_every_kind_of_attribute() {
    let spans = parse(&format!("{LINE}\n\n")).expect("one line");
    let [span] = spans.of_trace("0af7651916cd43dd8448eb211c80319c") else {
        panic!("not one span");
    };
    assert_eq!((&*span.service, span.name.as_str(), span.error), ("vllm-decode", "llm_request", true));
    assert_eq!(span.parent_span_id, "00f067aa0ba902b7");
    assert_eq!(span.number("gen_ai.latency.time_to_first_token"), Some(0.01));
    assert_eq!(span.number("text"), Some(134_548.0));
    assert_eq!(span.number("plain"), Some(7.0));
    assert_eq!(span.flag("yes"), Some(true));
    assert_eq!((span.number("list"), span.number("empty"), span.number("absent")), (None, None, None));
    assert_eq!((span.duration_ns, span.events[0].name.as_str()), (2, "retry"));
    assert_eq!(span.events[0].attributes, ["target"]);
    assert_eq!(spans.count(), 1);
    assert!(spans.of_trace("00").is_empty());
}

#[test]
fn spans_of_a_trace_are_gathered_over_lines() {
    let spans = parse(&format!("{LINE}\n{LINE}\n")).expect("two lines");
    assert_eq!(spans.of_trace("0af7651916cd43dd8448eb211c80319c").len(), 2);
}

#[test]
fn a_broken_line_is_named() {
    let said = parse(&format!("{LINE}\nnot json\n")).expect_err("line 2").to_string();
    assert!(said.starts_with("spans.jsonl line 2 "), "{said}");
}
