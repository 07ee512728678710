//! What telemetry costs a request, and each of its tokens: metrics, spans and timeline all on.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue};
use telemetry::clock::{Moment, now};
use telemetry::coordinator::{self, Connector, Coordinator};
use telemetry::gateway::{self, Gateway};
use telemetry::{Batch, MemorySpans, Outcome, SpanExport, Telemetry, TelemetryConfig};
use tokio::runtime::Runtime;

/// A process that records everything; what it exports is dropped when the queue is full, which costs no less.
fn telemetry(runtime: &Runtime) -> std::sync::Arc<Telemetry> {
    let _inside = runtime.enter();
    let mut config = TelemetryConfig::new("bench").with_export(SpanExport::Memory(MemorySpans::default()));
    config.batch = Batch { max_queue_size: 1 << 16, ..Batch::default() };
    Telemetry::new(config).unwrap_or_else(|error| unreachable!("nothing to open: {error}"))
}

fn headers() -> HeaderMap {
    let traceparent = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    HeaderMap::from_iter([(HeaderName::from_static("traceparent"), traceparent)])
}

fn begin_gateway(gateway: &Gateway, headers: &HeaderMap, received: Moment) -> gateway::Request {
    let mut request = gateway.begin(gateway::Begin {
        received,
        api: "chat_completions",
        path: "/v1/chat/completions",
        request_id: "0192f0c1-2a3b-7c4d-8e5f-0123456789ab",
        headers,
    });
    request.model("m");
    request.streaming(true);
    request
}

fn begin_coordinator(coordinator: &Coordinator, headers: &HeaderMap, received: Moment) -> coordinator::Request {
    coordinator.begin(coordinator::Begin {
        received,
        api: "chat_completions",
        path: "/v1/chat/completions",
        connector: Connector::NixlV2,
        request_id: "0192f0c1-2a3b-7c4d-8e5f-0123456789ab",
        model: Some("m"),
        streaming: true,
        headers,
    })
}

/// Every event of a request that streams one token.
fn whole_gateway_request(gateway: &Gateway, headers: &HeaderMap) {
    let mut request = begin_gateway(gateway, headers, now());
    request.preprocessed(now());
    request.scheduled(now());
    request.targets(Some("10.0.0.1:8000"), Some("10.0.0.2:8000"));
    black_box(request.dispatched(now()));
    request.tokens(now(), 1);
    request.finish(now(), Outcome::Completed, 200);
}

/// Every event of a disaggregated request that streams two tokens.
fn whole_coordinator_request(coordinator: &Coordinator, headers: &HeaderMap) {
    let mut request = begin_coordinator(coordinator, headers, now());
    request.candidates(1);
    request.prefill_target("10.0.0.1:8000");
    black_box(request.prefill_sent(now()));
    request.prefill_done(now(), 200);
    request.decode_target("10.0.0.2:8000");
    black_box(request.decode_sent(now()));
    request.decode_accepted(now(), 200);
    request.tokens(now(), 1);
    request.tokens(now(), 1);
    request.finish(now(), Outcome::Completed);
}

fn recorders(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| unreachable!("no runtime: {error}"));
    let (telemetry, headers) = (telemetry(&runtime), headers());
    let (gateway, coordinator) = (Gateway::new(&telemetry, ["m"]), Coordinator::new(&telemetry, Connector::NixlV2));
    c.bench_function("clock", |b| b.iter(now));
    c.bench_function("gateway, request", |b| b.iter(|| whole_gateway_request(&gateway, &headers)));
    c.bench_function("coordinator, request", |b| b.iter(|| whole_coordinator_request(&coordinator, &headers)));
    let step = Duration::from_millis(10);
    c.bench_function("gateway, 1000 tokens", |b| {
        let begin = || (begin_gateway(&gateway, &headers, now()), now());
        b.iter_batched(
            begin,
            |(mut request, mut at)| {
                for _ in 0..1000 {
                    at = at + step;
                    request.tokens(at, 1);
                }
                request
            },
            BatchSize::SmallInput,
        );
    });
    c.bench_function("coordinator, 1000 tokens", |b| {
        let begin = || (begin_coordinator(&coordinator, &headers, now()), now());
        b.iter_batched(
            begin,
            |(mut request, mut at)| {
                for _ in 0..1000 {
                    at = at + step;
                    request.tokens(at, 1);
                }
                request
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, recorders);
criterion_main!(benches);
