use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::{Begin, Connector, Coordinator, Denial, ELAPSED_US, Request};
use crate::clock::{Moment, now};
use crate::exposition::{Scrape, parse};
use crate::span::{SpanKind, SpanRecord, Status, Value};
use crate::trace::TraceContext;
use crate::{Blame, MemorySpans, Outcome, SpanExport, Stage, Telemetry, TelemetryConfig};

struct Bench {
    telemetry: std::sync::Arc<Telemetry>,
    coordinator: Coordinator,
    spans: MemorySpans,
    start: Moment,
}

impl Bench {
    fn new(connector: Connector) -> Self {
        let spans = MemorySpans::default();
        let config = TelemetryConfig::new("llm-d-pd-proxy").with_export(SpanExport::Memory(spans.clone()));
        let telemetry = Telemetry::new(config).unwrap();
        let coordinator = Coordinator::new(&telemetry, connector);
        Self { telemetry, coordinator, spans, start: now() }
    }

    fn at(&self, ms: u64) -> Moment {
        self.start + Duration::from_millis(ms)
    }

    /// A request that the gateway sent on 2 ms after it got it.
    fn begin(&self, connector: Connector) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert(ELAPSED_US, HeaderValue::from_static("2000"));
        self.coordinator.begin(Begin {
            received: self.at(2),
            api: "chat_completions",
            path: "/v1/chat/completions",
            connector,
            request_id: "r1",
            model: Some("m"),
            streaming: true,
            headers: &headers,
        })
    }

    fn scrape(&self) -> Scrape {
        parse(std::str::from_utf8(&self.telemetry.metrics_response(None).1).unwrap()).unwrap()
    }

    async fn spans(&self) -> Vec<SpanRecord> {
        self.telemetry.shutdown().await;
        self.spans.take()
    }
}

fn named<'a>(spans: &'a [SpanRecord], name: &str) -> &'a SpanRecord {
    spans.iter().find(|span| span.name == name).unwrap()
}

fn ms(span: &SpanRecord, name: &str) -> Option<f64> {
    match span.get(&format!("llm_d.pd_proxy.{name}_ms")) {
        Some(Value::Double(ms)) => Some(*ms),
        _ => None,
    }
}

/// The seed document's request, up to its first gap.
fn seed_example(bench: &Bench, request: &mut Request) {
    request.candidates(1);
    request.prefill_target("p:1");
    request.prefill_sent(bench.at(2));
    request.prefill_done(bench.at(52), 200);
    request.decode_target("d:1");
    request.decode_sent(bench.at(52));
    request.decode_accepted(bench.at(53), 200);
    request.tokens(bench.at(65), 1);
    request.tokens(bench.at(75), 1);
}

#[tokio::test(start_paused = true)]
async fn metric_span_and_trailer_say_the_same() {
    let bench = Bench::new(Connector::NixlV2);
    let mut request = bench.begin(Connector::NixlV2);
    seed_example(&bench, &mut request);
    assert_eq!(request.server_timing_header(), "origin;desc=gateway, prefill;dur=50.000, coordination;dur=0.000");
    request.finish(bench.at(80), Outcome::Completed);
    assert_eq!(
        request.server_timing_trailer(),
        "origin;desc=gateway, prefill;dur=50.000, coordination;dur=0.000, kv_transfer;dur=3.000, first_decode;dur=10.000, \
         true_ttft;dur=65.000, total;dur=80.000"
    );
    drop(request);

    let scrape = bench.scrape();
    let expected = [
        ("true_ttft", 65.0),
        ("total_duration", 80.0),
        ("prefill_duration", 50.0),
        ("decode_duration", 28.0),
        ("kv_transfer_overhead", 3.0),
        ("time_to_decode_start", 55.0),
        ("first_decode_step", 10.0),
        ("coordination", 0.0),
    ];
    let spans = bench.spans().await;
    let decode = named(&spans, "llm_d.pd_proxy.decode");
    for (name, value) in expected {
        let metric = format!("pd_proxy_{name}_milliseconds");
        let histogram = scrape.histogram(&metric, &[("connector", "nixlv2")]).unwrap();
        assert_eq!((histogram.count, histogram.sum), (1.0, value), "{name}");
        assert_eq!(ms(decode, name), Some(value), "{name}");
        let us = decode.get(&format!("llm_d.pd_proxy.{name}_us"));
        assert_eq!(us, Some(&Value::Int((value * 1000.0) as i64)), "{name}");
    }
    let labels = [("api", "chat_completions"), ("outcome", "completed"), ("stage", "none")];
    assert_eq!(scrape.value("pd_proxy_requests_total", &labels), Some(1.0));
    assert_eq!(scrape.value("pd_proxy_disaggregated_total", &[("decision", "disaggregated")]), Some(1.0));
    assert_eq!(scrape.value("pd_proxy_active_requests", &[]), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn prefill_and_decode_are_siblings_below_the_request() {
    let bench = Bench::new(Connector::NixlV2);
    let mut request = bench.begin(Connector::NixlV2);
    seed_example(&bench, &mut request);
    request.finish(bench.at(80), Outcome::Completed);
    let spans = bench.spans().await;
    let top = named(&spans, "llm_d.pd_proxy.request");
    assert_eq!((spans.len(), top.kind, top.parent), (3, SpanKind::Server, None));
    for name in ["llm_d.pd_proxy.prefill", "llm_d.pd_proxy.decode"] {
        let leg = named(&spans, name);
        assert_eq!((leg.kind, leg.parent), (SpanKind::Client, Some(top.context.span_id)));
        assert_eq!(leg.context.trace_id, top.context.trace_id);
        assert_eq!(leg.get("gen_ai.request.model"), Some(&Value::from("m")));
        assert_eq!(leg.get("llm_d.pd_proxy.connector"), Some(&Value::from("nixlv2")));
        assert_eq!(leg.get("llm_d.pd_proxy.disaggregation_enabled"), Some(&Value::from(true)));
    }
    let prefill = named(&spans, "llm_d.pd_proxy.prefill");
    assert_eq!(prefill.end - prefill.start, Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn a_failed_prefill_leaves_a_complete_request_span() {
    let bench = Bench::new(Connector::NixlV2);
    let mut request = bench.begin(Connector::NixlV2);
    request.prefill_target("p:1");
    request.prefill_sent(bench.at(2));
    request.prefill_attempt_failed(bench.at(3), "connection refused");
    request.prefill_retry(bench.at(4), "connect");
    request.prefill_failed(bench.at(9), Some(503), "prefill answered 503");
    request.finish(bench.at(10), Outcome::failed(Stage::Prefill, Blame::Upstream, 503, "prefill answered 503"));
    let scrape = bench.scrape();
    let labels = [("outcome", "failed"), ("stage", "prefill")];
    assert_eq!(scrape.value("pd_proxy_requests_total", &labels), Some(1.0));
    assert_eq!(scrape.value("pd_proxy_prefill_retries_total", &[("reason", "connect")]), Some(1.0));
    assert_eq!(scrape.value("llm_d_disagg_sidecar_request_errors_total", &[("stage", "prefill")]), Some(1.0));
    assert_eq!(scrape.value("pd_proxy_true_ttft_milliseconds_count", &[]), Some(0.0), "absent, not zero");
    let spans = bench.spans().await;
    assert_eq!(spans.len(), 2, "no decode span");
    let (top, prefill) = (named(&spans, "llm_d.pd_proxy.request"), named(&spans, "llm_d.pd_proxy.prefill"));
    assert_eq!(ms(top, "total_duration"), Some(10.0));
    assert_eq!(ms(top, "true_ttft"), None);
    assert_eq!(top.get("llm_d.pd_proxy.blame"), Some(&Value::from("upstream")));
    assert_eq!(prefill.get("llm_d.pd_proxy.prefill.status_code"), Some(&Value::Int(503)));
    assert_eq!(
        prefill.events.iter().map(|event| event.name).collect::<Vec<_>>(),
        ["prefill.attempt_failed", "prefill.retry"]
    );
    for span in [top, prefill] {
        assert_eq!(span.status, Status::Error("prefill answered 503".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_settles_once_as_cancelled_in_the_stage_it_was() {
    let bench = Bench::new(Connector::NixlV2);
    let mut stages = Vec::new();
    for events in 0..5 {
        let mut request = bench.begin(Connector::NixlV2);
        let steps: [fn(&mut Request, Moment); 4] = [
            |request, at| drop(request.prefill_sent(at)),
            |request, at| request.prefill_done(at, 200),
            |request, at| drop(request.decode_sent(at)),
            |request, at| request.decode_accepted(at, 200),
        ];
        steps[..events].iter().for_each(|step| step(&mut request, bench.at(3)));
        stages.push(request.stage().as_str());
        drop(request);
    }
    assert_eq!(stages, ["receive", "prefill", "coordination", "decode", "relay"]);
    let scrape = bench.scrape();
    for stage in stages {
        let labels = [("outcome", "cancelled"), ("stage", stage)];
        assert_eq!(scrape.value("pd_proxy_requests_total", &labels), Some(1.0), "{stage}");
    }
    assert_eq!(scrape.sum("pd_proxy_requests_total", &[]), Some(5.0));
    assert_eq!(scrape.value("pd_proxy_active_requests", &[]), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn only_the_first_end_counts() {
    let bench = Bench::new(Connector::None);
    let mut request = bench.begin(Connector::None);
    request.decode_only("no_prefill_header");
    request.decode_sent(bench.at(3));
    request.finish(bench.at(9), Outcome::Completed);
    request.finish(bench.at(10), Outcome::failed(Stage::Relay, Blame::Candor, 500, "late"));
    drop(request);
    assert_eq!(bench.scrape().sum("pd_proxy_requests_total", &[]), Some(1.0));
    assert_eq!(bench.spans().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_denied_target_is_on_the_span_and_counted() {
    let bench = Bench::new(Connector::NixlV2);
    let mut request = bench.begin(Connector::NixlV2);
    request.denied("169.254.1.1:80", Denial::LinkLocal);
    request.finish(bench.at(3), Outcome::failed(Stage::Receive, Blame::Client, 403, "target not allowed"));
    let scrape = bench.scrape();
    assert_eq!(scrape.value("pd_proxy_denied_total", &[("reason", "link_local")]), Some(1.0));
    assert_eq!(scrape.value("pd_proxy_disaggregated_total", &[("decision", "denied")]), Some(1.0));
    let spans = bench.spans().await;
    assert_eq!(spans[0].get("llm_d.pd_proxy.denied_target"), Some(&Value::from("169.254.1.1:80")));
    assert_eq!(spans[0].get("llm_d.pd_proxy.error"), Some(&Value::from("ssrf_protection_denied")));
}

#[tokio::test(start_paused = true)]
async fn the_callers_trace_continues_on_both_legs() {
    let bench = Bench::new(Connector::Sglang);
    let incoming = TraceContext::root(true);
    let mut headers = HeaderMap::new();
    incoming.inject(&mut headers);
    let begin = Begin {
        received: bench.at(0),
        api: "completions",
        path: "/v1/completions",
        connector: Connector::Sglang,
        request_id: "r",
        model: None,
        streaming: true,
        headers: &headers,
    };
    let mut request = bench.coordinator.begin(begin);
    let legs = [request.prefill_sent(bench.at(1)), request.decode_sent(bench.at(1))];
    assert!(legs.iter().all(|leg| leg.trace_id == incoming.trace_id && leg.is_sampled()));
    assert_ne!(legs[0].span_id, legs[1].span_id);
    request.finish(bench.at(2), Outcome::Completed);
    let spans = bench.spans().await;
    assert_eq!(named(&spans, "llm_d.pd_proxy.request").parent, Some(incoming.span_id));
    let prefill = named(&spans, "llm_d.pd_proxy.prefill");
    assert_eq!(prefill.get("llm_d.pd_proxy.prefill.async"), Some(&Value::from(true)));
}
