//! What spans cost: memory for 200,000 of them, taking OTLP in, and the queries of a dashboard over one hour of it.
//!
//! The spans are shaped like those of a P/D request: a gateway, a coordinator with prefill and decode, and two engines.

#![expect(clippy::print_stdout, reason = "it says how much memory the spans took")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use observatory::traceql::metrics::{Window, run};
use observatory::traceql::parse;
use observatory::traceql::search::{Bounds, search};
use observatory::traces::{Limits, SpanStore};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use telemetry::clock::Moment;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3600 * SECOND;
const SPANS: u64 = 200_000;
/// Spans of a request, each of another service or with another name.
const PARTS: [(&str, &str); 6] = [
    ("candor-gateway", "gateway.request"),
    ("llm-d-pd-proxy", "llm_d.pd_proxy.request"),
    ("llm-d-pd-proxy", "llm_d.pd_proxy.prefill"),
    ("llm-d-pd-proxy", "llm_d.pd_proxy.decode"),
    ("vllm-prefill", "llm_request"),
    ("vllm-decode", "llm_request"),
];

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// The spans of requests `from..to`, spread over an hour, as their processes would export them.
fn export(from: u64, to: u64) -> ExportTraceServiceRequest {
    let requests = SPANS / PARTS.len() as u64;
    let group = |(part, (service, name)): (usize, &(&str, &str))| {
        let spans = (from..to).map(|request| {
            let start = HOUR + request * HOUR / requests;
            let noise = request.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            Span {
                trace_id: (u128::from(request + 1) << 64 | u128::from(noise)).to_be_bytes().to_vec(),
                span_id: (request * 8 + part as u64 + 1).to_be_bytes().to_vec(),
                parent_span_id: if part == 0 { Vec::new() } else { (request * 8 + 1).to_be_bytes().to_vec() },
                name: (*name).to_owned(),
                kind: 2,
                start_time_unix_nano: start,
                end_time_unix_nano: start + noise * 100,
                attributes: vec![
                    attribute("gen_ai.request.id", Value::StringValue(format!("cmpl-{request:032x}"))),
                    attribute("gen_ai.request.model", Value::StringValue("qwen3-32b".to_owned())),
                    attribute(
                        "llm_d.pd_proxy.connector",
                        Value::StringValue(["nixlv2", "lmcache"][request as usize % 2].to_owned()),
                    ),
                    attribute("llm_d.pd_proxy.true_ttft_ms", Value::DoubleValue(noise as f64 / 1e5)),
                    attribute("llm_d.pd_proxy.true_ttft_us", Value::IntValue(noise.cast_signed() / 100)),
                    attribute("llm_d.pd_proxy.total_duration_ms", Value::DoubleValue(noise as f64 / 1e4)),
                    attribute("llm_d.pd_proxy.disaggregation_enabled", Value::BoolValue(true)),
                    attribute("http.response.status_code", Value::IntValue(200)),
                ],
                ..Span::default()
            }
        });
        ResourceSpans {
            resource: Some(Resource {
                attributes: vec![attribute("service.name", Value::StringValue((*service).to_owned()))],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }
    };
    ExportTraceServiceRequest { resource_spans: PARTS.iter().enumerate().map(group).collect() }
}

fn limits() -> Limits {
    Limits { max_bytes: 1 << 30, ..Limits::default() }
}

/// Resident memory of this process.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn filled() -> SpanStore {
    let before = resident();
    let store = SpanStore::new(limits());
    let requests = SPANS / PARTS.len() as u64;
    for from in (0..requests).step_by(100) {
        store.insert(&export(from, (from + 100).min(requests)).resource_spans, Moment::from_nanos(1));
    }
    let stats = store.stats();
    println!(
        "{} spans: {} MB by the store's own count, {} MB of resident memory (bar: 250 MB)",
        stats.spans,
        stats.bytes / 1_000_000,
        resident().saturating_sub(before) / 1_000_000,
    );
    store
}

/// Bar: 20,000 spans a second on one core.
fn ingest(c: &mut Criterion) {
    let message = export(0, 100).encode_to_vec();
    let mut group = c.benchmark_group("ingest");
    group.throughput(Throughput::Elements(100 * PARTS.len() as u64));
    group.bench_function("600 spans of OTLP in protobuf", |b| {
        b.iter_batched(
            || SpanStore::new(limits()),
            |store| {
                let request = ExportTraceServiceRequest::decode(message.as_slice()).unwrap_or_default();
                black_box(store.insert(&request.resource_spans, Moment::from_nanos(1)));
                store
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// Bar: 50 ms for any panel over one hour.
fn queries(c: &mut Criterion) {
    let store = filled();
    let decode = "{resource.service.name=\"llm-d-pd-proxy\" && name=\"llm_d.pd_proxy.decode\"}";
    let mut group = c.benchmark_group("one hour of 200,000 spans");
    let panels = [
        ("average", format!("{decode} | avg_over_time(span.llm_d.pd_proxy.true_ttft_ms)")),
        ("rate by connector", format!("{decode} | rate() by (span.llm_d.pd_proxy.connector)")),
        ("quantiles", format!("{decode} | quantile_over_time(span.llm_d.pd_proxy.true_ttft_us, .5, .95, .99)")),
        ("every span by service", "{} | count_over_time() by (resource.service.name)".to_owned()),
    ];
    for (name, query) in panels {
        let query = parse(&query).unwrap_or_else(|error| unreachable!("{error}"));
        let window = Window::range(HOUR, 2 * HOUR, 15 * SECOND).unwrap_or_else(|| unreachable!("240 samples"));
        group.bench_function(name, |b| b.iter(|| black_box(run(&store.read(), &query, &window, 100))));
    }
    let bounds = Bounds { start: HOUR, end: 2 * HOUR, traces: 20, spans: 3, shortest: 0, longest: u64::MAX };
    let searches = [
        ("recent traces", format!("{decode} | select(span.llm_d.pd_proxy.true_ttft_ms)")),
        (
            "slow traces below a gateway",
            "{name=\"gateway.request\"} > {duration > 1s && name=\"llm_d.pd_proxy.decode\"}".to_owned(),
        ),
    ];
    for (name, query) in searches {
        let query = parse(&query).unwrap_or_else(|error| unreachable!("{error}"));
        group.bench_function(name, |b| b.iter(|| black_box(search(&store.read(), &query, &bounds))));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = ingest, queries
}
criterion_main!(benches);
