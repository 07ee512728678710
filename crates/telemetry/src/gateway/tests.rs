use std::time::Duration;

use http::HeaderMap;

use super::{Begin, Gateway, PlacedBy, Request, Retry, Usage};
use crate::clock::{Moment, now};
use crate::exposition::{Exemplar, Scrape, parse};
use crate::server_timing::ServerTiming;
use crate::span::Value;
use crate::{Blame, MemorySpans, Outcome, SpanExport, Stage, Telemetry, TelemetryConfig};

fn set_up() -> (std::sync::Arc<Telemetry>, Gateway, MemorySpans) {
    let spans = MemorySpans::default();
    let config = TelemetryConfig::new("candor-gateway").with_export(SpanExport::Memory(spans.clone()));
    let telemetry = Telemetry::new(config).unwrap();
    let gateway = Gateway::new(&telemetry, ["m"]);
    (telemetry, gateway, spans)
}

fn begin(gateway: &Gateway, received: Moment) -> Request {
    let headers = HeaderMap::new();
    gateway.begin(Begin {
        received,
        api: "chat_completions",
        path: "/v1/chat/completions",
        request_id: "r",
        headers: &headers,
    })
}

fn scrape(telemetry: &Telemetry) -> Scrape {
    parse(std::str::from_utf8(&telemetry.metrics_response(None).1).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_streamed_request_is_told_once_and_exactly() {
    let (telemetry, gateway, spans) = set_up();
    let start = now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut request = begin(&gateway, at(0));
    request.model("m");
    request.streaming(true);
    request.preprocessed(at(1));
    assert_eq!(scrape(&telemetry).value("gateway_pending_requests", &[]), Some(1.0));
    request.scheduled(at(2));
    request.dispatched(at(2));
    assert_eq!(scrape(&telemetry).value("gateway_pending_requests", &[]), Some(0.0));
    assert_eq!(scrape(&telemetry).value("gateway_current_requests", &[]), Some(1.0));
    for token in 0..101 {
        request.tokens(at(65 + token * 10), 1);
    }
    request.upstream_timing(&ServerTiming::parse("prefill;dur=50.000, kv_transfer;dur=3.000, first_decode;dur=10.000"));
    request.usage(Usage { input: 30, output: 101, cached: None });
    request.finish(at(1065), Outcome::Completed, 200);
    assert_eq!(
        request.server_timing(),
        "preprocess;dur=1.000, schedule;dur=1.000, dispatch;dur=0.000, prefill;dur=50.000, kv_transfer;dur=3.000, \
         first_decode;dur=10.000, relay;dur=0.000, ttft;dur=65.000, total;dur=1065.000"
    );
    drop(request);

    let scrape = scrape(&telemetry);
    let m = [("model", "m")];
    let sums = [
        ("request_ttft_milliseconds", 1.0, 65.0),
        ("request_itl_milliseconds", 100.0, 1000.0),
        ("request_tpot_milliseconds", 1.0, 10.0),
        ("request_e2e_latency_seconds", 1.0, 1.065),
        ("request_ttft_component_milliseconds", 7.0, 65.0),
        ("request_schedule_duration_milliseconds", 1.0, 1.0),
        ("request_input_tokens", 1.0, 30.0),
    ];
    for (name, count, sum) in sums {
        let histogram = scrape.histogram(name, &m).unwrap();
        assert_eq!((histogram.count, histogram.sum), (count, sum), "{name}");
    }
    assert_eq!(scrape.value("request_output_tokens_total", &m), Some(101.0));
    assert_eq!(scrape.value("request_total", &[("model", "m"), ("status_code", "200")]), Some(1.0));
    telemetry.shutdown().await;
    let spans = spans.take();
    let names: Vec<_> = spans.iter().map(|span| span.name).collect();
    assert_eq!(names, ["gateway.request", "gateway.schedule", "gateway.dispatch"], "it was in no queue");
    assert_eq!((spans[1].start, spans[1].end, spans[2].end), (at(1), at(2), at(2)));
    assert_eq!(spans[2].parent, Some(spans[0].context.span_id));
    assert_eq!(spans[0].get("candor.gateway.ttft_us"), Some(&Value::Int(65_000)));
    assert_eq!(spans[0].get("candor.gateway.ttft.kv_transfer_ms"), Some(&Value::Double(3.0)));
}

#[tokio::test(start_paused = true)]
async fn stages_that_are_placed_apart_have_a_span_each_and_a_client_that_leaves_between_them_left_while_choosing() {
    let (telemetry, gateway, spans) = set_up();
    let start = now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let dispatched = || {
        let mut request = begin(&gateway, at(0));
        request.model("m");
        request.streaming(true);
        request.preprocessed(at(1));
        request.placed(PlacedBy::Scheduler);
        request.targets(Some("p:1"), None);
        request.scheduled(at(3));
        request.dispatched(at(3));
        request.decode_scheduling(at(53));
        request
    };
    let mut request = dispatched();
    let gone = Retry { at: at(55), target: "d:1", status: None, pause: Duration::ZERO };
    request.decode_scheduled(at(54), PlacedBy::Scheduler, "d:1");
    request.decode_retry(gone);
    request.decode_scheduled(at(57), PlacedBy::SchedulerNotReady, "d:2");
    request.tokens(at(70), 1);
    request.finish(at(80), Outcome::Completed, 200);
    drop(dispatched());
    let scrape = scrape(&telemetry);
    let schedule = scrape.histogram("request_schedule_duration_milliseconds", &[("model", "m")]).unwrap();
    assert_eq!((schedule.count, schedule.sum), (2.0, 8.0), "2 and 4; and 2 of the one that left");
    let left = [("outcome", "cancelled"), ("stage", "schedule")];
    assert_eq!(scrape.sum("request_outcome_total", &left), Some(1.0));
    telemetry.shutdown().await;
    let spans = spans.take();
    let told: Vec<_> = spans.iter().map(|span| (span.name, span.start, span.end)).collect();
    let stages = [("gateway.schedule", at(1), at(3)), ("gateway.dispatch", at(3), at(3))];
    assert_eq!(told[1..4], [stages[0], stages[1], ("gateway.schedule", at(53), at(57))]);
    assert_eq!((told[5..7].to_vec(), told[7].1), (stages.to_vec(), at(53)));
    let key = |span: usize, key: &str| spans[span].get(key).cloned();
    let by = |span| (key(span, "candor.gateway.schedule_stage"), key(span, "candor.gateway.placed_by"));
    assert_eq!(by(1), (Some("prefill".into()), Some("scheduler".into())));
    assert_eq!(by(3), (Some("decode".into()), Some("scheduler_not_ready".into())));
    assert_eq!(key(0, "candor.gateway.decode_target"), Some("d:2".into()));
    assert_eq!((key(5, "candor.gateway.outcome"), key(7, "candor.gateway.outcome")), (None, Some("cancelled".into())));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_left_is_499_and_keeps_its_gaps() {
    let (telemetry, gateway, _) = set_up();
    let mut request = begin(&gateway, now());
    request.model("m");
    request.streaming(true);
    for _ in 0..3 {
        request.tokens(now(), 2);
        tokio::time::advance(Duration::from_millis(4)).await;
    }
    drop(request);
    let scrape = scrape(&telemetry);
    assert_eq!(scrape.value("request_total", &[("model", "m"), ("status_code", "499")]), Some(1.0));
    let outcome = [("model", "m"), ("outcome", "cancelled"), ("stage", "relay")];
    assert_eq!(scrape.value("request_outcome_total", &outcome), Some(1.0));
    let itl = scrape.histogram("request_itl_milliseconds", &[("model", "m")]).unwrap();
    assert_eq!((itl.count, itl.sum), (4.0, 8.0));
    assert_eq!(scrape.value("request_output_tokens_total", &[("model", "m")]), Some(6.0));
    assert_eq!(scrape.histogram("request_e2e_latency_seconds", &[]).unwrap().count, 0.0);
    assert_eq!(scrape.value("gateway_current_requests", &[]), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn strangers_models_make_no_series() {
    let (telemetry, gateway, _) = set_up();
    for model in ["x", "y"] {
        let mut request = begin(&gateway, now());
        request.model(model);
        request.finish(now(), Outcome::failed(Stage::Receive, Blame::Client, 404, "no such model"), 404);
    }
    begin(&gateway, now()).finish(now(), Outcome::failed(Stage::Receive, Blame::Client, 400, "not JSON"), 400);
    let scrape = scrape(&telemetry);
    assert_eq!(scrape.value("request_total", &[("model", "unknown"), ("status_code", "404")]), Some(2.0));
    assert_eq!(scrape.value("request_total", &[("model", "unknown"), ("status_code", "400")]), Some(1.0));
    assert_eq!(scrape.value("request_total", &[("model", "m"), ("status_code", "200")]), Some(0.0), "from the start");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_stream_has_no_ttft() {
    let (telemetry, gateway, _) = set_up();
    let mut request = begin(&gateway, now());
    request.model("m");
    request.tokens(now(), 5);
    request.finish(now(), Outcome::Completed, 200);
    let scrape = scrape(&telemetry);
    assert_eq!(scrape.histogram("request_ttft_milliseconds", &[]).unwrap().count, 0.0);
    assert_eq!(scrape.histogram("request_e2e_latency_seconds", &[]).unwrap().count, 1.0);
}

#[tokio::test(start_paused = true)]
async fn exemplars_name_the_traces_that_were_exported() {
    let (telemetry, gateway, spans) = set_up();
    let start = now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    for (ttft, end) in [(15, 1500), (65, 95)] {
        let mut request = begin(&gateway, at(0));
        request.model("m");
        request.streaming(true);
        request.tokens(at(ttft), 1);
        request.tokens(at(end), 1);
        request.finish(at(end), Outcome::Completed, 200);
    }
    let (kind, body) = telemetry.metrics_response(Some("application/openmetrics-text;version=1.0.0"));
    assert!(kind.starts_with("application/openmetrics-text"));
    let scrape = parse(std::str::from_utf8(&body).unwrap()).unwrap();
    let completed = [("model", "m"), ("outcome", "completed"), ("stage", "none")];
    assert_eq!(scrape.value("request_outcome_total", &completed), Some(2.0));
    telemetry.shutdown().await;
    let spans = spans.take();
    let [slow, fast] = [0, 1].map(|at| Some(spans[at].context.trace_id));
    for (name, le, trace_id) in [
        ("request_ttft_milliseconds_bucket", "20.0", slow),
        ("request_ttft_milliseconds_bucket", "100.0", fast),
        ("request_e2e_latency_seconds_bucket", "2.0", slow),
        ("request_e2e_latency_seconds_bucket", "0.1", fast),
        ("request_tpot_milliseconds_bucket", "30.0", fast),
    ] {
        let found: Vec<_> = scrape
            .matching(name, &[("model", "m"), ("le", le)])
            .map(|bucket| bucket.exemplar.as_ref().and_then(Exemplar::trace))
            .collect();
        assert_eq!(found, [trace_id], "{name} {le}");
    }
}
