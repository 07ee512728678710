//! What arrives, and what is wrong with some of it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::json;

use crate::support::{export, get, post, search, start};

const JSON: (&str, &str) = ("content-type", "application/json");
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn message(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
}

fn span(trace: u8, name: &str) -> Span {
    Span { trace_id: vec![trace; 16], span_id: vec![1; 8], name: name.to_owned(), ..Span::default() }
}

/// A counter as `/metrics` shows it.
async fn counted(addr: std::net::SocketAddr, series: &str) -> f64 {
    let page = get(addr, "/metrics", "text/plain").await.text();
    let line = page.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("no {series} in:\n{page}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn every_port_takes_spans_packed_or_not_in_protobuf_and_json() {
    let running = start(&[]).await;
    let (main, others) = (running.addr, running.otlp.clone());
    for (number, addr) in [main, others[0], others[1]].into_iter().enumerate() {
        let body = export(&format!("json{number}"), 10 + number as u128, &["a"]).to_string();
        let answer = post(addr, "/v1/traces", &[JSON], body).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "{}".to_owned()));
        let body = packed(&message(vec![span(40 + number as u8, "packed")]).encode_to_vec());
        let answer = post(addr, "/v1/traces", &[PROTOBUF, ("content-encoding", "gzip")], body).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
        assert_eq!(answer.headers["content-type"], "application/x-protobuf");
        assert_eq!(search(main, &format!("{{resource.service.name=\"json{number}\"}}")).await.len(), 1);
    }
    assert_eq!(search(main, "{name=\"packed\"}").await.len(), 3);
    assert_eq!(post(others[1], "/api/search", &[], "").await.status, StatusCode::NOT_FOUND);
    running.shutdown().await;
}

#[tokio::test]
async fn a_span_without_identity_costs_the_others_nothing_and_is_told() {
    let running = start(&[]).await;
    let nameless = Span { trace_id: Vec::new(), ..span(1, "lost") };
    let body = message(vec![span(1, "kept"), nameless]).encode_to_vec();
    let answer = post(running.addr, "/v1/traces", &[PROTOBUF], body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text().contains("trace_id"), "{:?}", answer.text());
    assert_eq!(search(running.addr, "{}").await.len(), 1);
    let outcome = |name: &str| format!("observatory_spans_received_total{{outcome=\"{name}\"}}");
    assert_eq!(counted(running.addr, &outcome("rejected")).await, 1.0);
    assert_eq!(counted(running.addr, &outcome("stored")).await, 1.0);
    let partial = "observatory_otlp_requests_total{signal=\"traces\",outcome=\"partial\"}";
    assert_eq!(counted(running.addr, partial).await, 1.0);
    running.shutdown().await;
}

/// A request, and how it is refused: status and part of the reason.
type Refused = (&'static [(&'static str, &'static str)], Vec<u8>, StatusCode, &'static str);

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_a_reason() {
    const GZIP: (&str, &str) = ("content-encoding", "gzip");
    let running = start(&[]).await;
    let bomb = packed(&vec![0; 40 << 20]);
    let cases: [Refused; 7] = [
        (&[PROTOBUF], b"no protobuf at all".to_vec(), StatusCode::BAD_REQUEST, "protobuf"),
        (&[JSON], b"{".to_vec(), StatusCode::BAD_REQUEST, "not JSON"),
        (&[JSON], br#"{"resourceSpans": 3}"#.to_vec(), StatusCode::BAD_REQUEST, "resourceSpans"),
        (&[JSON, GZIP], b"plain".to_vec(), StatusCode::BAD_REQUEST, "gzip"),
        (&[PROTOBUF, GZIP], bomb, StatusCode::PAYLOAD_TOO_LARGE, "exceeds"),
        (&[JSON, ("content-encoding", "br")], b"{}".to_vec(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "br"),
        (&[("content-type", "text/html")], b"{}".to_vec(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "text/html"),
    ];
    let refused = cases.len() as f64;
    for (headers, body, status, why) in cases {
        let answer = post(running.addr, "/v1/traces", headers, body).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(why), "{why}: {:?}", answer.text());
    }
    let series = "observatory_otlp_requests_total{signal=\"traces\",outcome=\"refused\"}";
    assert_eq!(counted(running.addr, series).await, refused);
    let answer = post(running.addr, "/v1/traces", &[JSON], export("well", 1, &["a"]).to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "the others go on");
    running.shutdown().await;
}

#[tokio::test]
async fn a_broken_call_is_refused_with_grpcs_own_status() {
    const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    const GRPC: (&str, &str) = ("content-type", "application/grpc");
    let running = start(&[]).await;
    let framed = |flag: u8, length: u32, message: &[u8]| [&[flag], &length.to_be_bytes()[..], message].concat();
    let sound = message(vec![span(1, "a")]).encode_to_vec();
    let length = sound.len() as u32;
    let cases = [
        ("", Vec::new(), "3", "prefix"),
        ("", framed(0, length + 1, &sound), "3", "length"),
        ("", framed(0, u32::MAX, &sound), "3", "length"),
        ("", framed(1, length, &sound), "3", "compressed"),
        ("gzip", framed(1, length, &sound), "3", "gzip"),
        ("", framed(0, 4, b"junk"), "3", "protobuf"),
        ("snappy", framed(1, length, &sound), "12", "snappy"),
    ];
    let refused = cases.len() as f64;
    for (encoding, body, status, why) in cases {
        let answer = post(running.otlp[0], EXPORT, &[GRPC, ("grpc-encoding", encoding)], body).await;
        let header = |name: &str| answer.headers[name].to_str().unwrap();
        assert_eq!((answer.status, header("grpc-status")), (StatusCode::OK, status), "{why}");
        assert!(header("grpc-message").contains(why), "{}", header("grpc-message"));
    }
    let series = "observatory_otlp_requests_total{signal=\"traces\",outcome=\"refused\"}";
    assert_eq!(counted(running.addr, series).await, refused);
    let answer = post(running.otlp[0], EXPORT, &[GRPC], framed(0, length, &sound)).await;
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &[0; 5][..]), "the others go on");
    assert_eq!(search(running.addr, "{name=\"a\"}").await.len(), 1);
    running.shutdown().await;
}

#[tokio::test]
async fn a_huge_span_is_cut_down_and_logs_are_taken() {
    let running = start(&[]).await;
    let mut body = export("huge", 5, &["a"]);
    let attrs: Vec<_> =
        (0..5000).map(|n| json!({"key": format!("k{n}"), "value": {"stringValue": "x".repeat(100)}})).collect();
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"] = json!(attrs);
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] = json!("n".repeat(1 << 20));
    assert_eq!(post(running.addr, "/v1/traces", &[JSON], body.to_string()).await.status, StatusCode::OK);
    let held = counted(running.addr, "observatory_span_bytes").await;
    assert!(held < 100_000.0, "{held} bytes");
    assert_eq!(counted(running.addr, "observatory_span_values_cut_total").await, 4744.0 + 1.0);
    assert_eq!(post(running.addr, "/v1/logs", &[JSON], "{}").await.status, StatusCode::OK);
    assert_eq!(post(running.addr, "/v1/logs", &[PROTOBUF], "junk junk").await.status, StatusCode::BAD_REQUEST);
    running.shutdown().await;
}

#[tokio::test]
async fn a_token_guards_every_port() {
    let running = start(&["--token=sesame"]).await;
    let body = export("guarded", 6, &["a"]).to_string();
    for addr in [running.addr, running.otlp[0], running.otlp[1]] {
        let answer = post(addr, "/v1/traces", &[JSON], body.clone()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let shown = ("authorization", "Bearer sesame");
        assert_eq!(post(addr, "/v1/traces", &[JSON, shown], body.clone()).await.status, StatusCode::OK);
    }
    running.shutdown().await;
}

#[tokio::test]
async fn the_same_spans_sent_twice_are_kept_once() {
    let running = start(&[]).await;
    let body = export("again", 7, &["a", "b"]).to_string();
    for _ in 0..2 {
        assert_eq!(post(running.addr, "/v1/traces", &[JSON], body.clone()).await.text(), "{}");
    }
    assert_eq!(running.state.spans.stats().spans, 2);
    assert_eq!(counted(running.addr, "observatory_spans_received_total{outcome=\"repeated\"}").await, 2.0);
    running.shutdown().await;
}

#[tokio::test]
async fn what_the_catalogue_lists_of_the_observatory_is_exposed() {
    let running = start(&[]).await;
    let page = get(running.addr, "/metrics", "text/plain").await.text();
    let listed =
        telemetry::catalogue::all().filter(|metric| metric.component == telemetry::catalogue::Component::Observatory);
    let missing: Vec<_> =
        listed.map(|metric| metric.name).filter(|name| !page.contains(&format!("\n{name}"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    running.shutdown().await;
}
