mod transports;

use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as ProtoValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{OtlpConfig, Protocol};
use crate::clock::now;
use crate::exposition::{Scrape, parse};
use crate::span::{SpanKind, Status};
use crate::{Batch, SpanExport, Telemetry, TelemetryConfig};

/// A collector that decodes with the official types. Answers the first requests with `failures`.
#[derive(Clone, Default)]
struct Collector {
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    json: Arc<Mutex<Vec<serde_json::Value>>>,
    headers: Arc<Mutex<Vec<HeaderMap>>>,
    failures: Arc<Mutex<Vec<u16>>>,
    rejected: i64,
}

type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Infallible>>;

impl Collector {
    async fn serve(self, tasks: &mut JoinSet<()>) -> SocketAddr {
        self.serve_over(None, tasks).await
    }

    /// Serves over TLS where there is an acceptor for it.
    async fn serve_over(self, tls: Option<TlsAcceptor>, tasks: &mut JoinSet<()>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (collector, tls) = (self.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => collector.talk(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                collector.talk(stream).await;
                            }
                        }
                    }
                });
            }
        });
        addr
    }

    async fn talk(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let answer = service_fn(move |request| self.clone().answer(request));
        let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(TokioIo::new(stream), answer).await;
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let grpc = head.headers["content-type"] == "application/grpc";
        let failure = self.failures.lock().pop();
        if let Some(status) = failure {
            return Ok(if grpc {
                grpc_answer(&[], status)
            } else {
                let empty = Either::Left(Full::default());
                Response::builder().status(status).header("retry-after", "0").body(empty).unwrap()
            });
        }
        let encoded = if grpc { body.slice(5..) } else { body };
        let gzip = ["content-encoding", "grpc-encoding"].iter().any(|name| head.headers.contains_key(*name));
        let mut plain = encoded.to_vec();
        if gzip {
            plain.clear();
            flate2::read::GzDecoder::new(&encoded[..]).read_to_end(&mut plain).unwrap();
        }
        if head.headers["content-type"] == "application/json" {
            self.json.lock().push(serde_json::from_slice(&plain).unwrap());
            let rejected = format!(r#"{{"partialSuccess":{{"rejectedSpans":"{}"}}}}"#, self.rejected);
            let answer = Response::builder().header("content-type", "application/json; charset=utf-8");
            return Ok(answer.body(Either::Left(Full::new(rejected.into()))).unwrap());
        }
        self.received.lock().push(ExportTraceServiceRequest::decode(&plain[..]).unwrap());
        self.headers.lock().push(head.headers);
        let partial = ExportTracePartialSuccess { rejected_spans: self.rejected, error_message: "no".into() };
        let partial_success = (self.rejected > 0).then_some(partial);
        let answer = Bytes::from(ExportTraceServiceResponse { partial_success }.encode_to_vec());
        Ok(if grpc { grpc_answer(&answer, 0) } else { Response::new(Either::Left(Full::new(answer))) })
    }

    fn spans(&self) -> Vec<Span> {
        let received = self.received.lock();
        let scopes = received.iter().flat_map(|request| &request.resource_spans).flat_map(|spans| &spans.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

fn grpc_answer(message: &[u8], status: u16) -> Response<Body> {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.put_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(status));
    let trailers = std::future::ready(Some(Ok(trailers)));
    let body = Full::new(framed.freeze()).with_trailers(trailers).boxed_unsync();
    Response::new(Either::Right(body))
}

fn telemetry(addr: SocketAddr, protocol: Protocol, change: impl FnOnce(&mut OtlpConfig)) -> Arc<Telemetry> {
    let path = if protocol == Protocol::Grpc { "" } else { "/v1/traces" };
    let mut otlp = OtlpConfig::new(format!("http://{addr}{path}").parse().unwrap(), protocol);
    change(&mut otlp);
    let mut config = TelemetryConfig::new("llm-d-pd-proxy").with_export(SpanExport::Otlp(Box::new(otlp)));
    config.resource.push(("deployment.environment".into(), "test".into()));
    config.batch = Batch { max_queue_size: 8, export_timeout: Duration::from_millis(1500), ..Batch::default() };
    config.limits.value_length = 5;
    Telemetry::new(config).unwrap()
}

/// A span with one of everything.
fn record(telemetry: &Telemetry) {
    let tracer = telemetry.tracer();
    let parent = tracer.start(None);
    let at = now();
    let mut span = tracer.child(&parent).record("leg", "scope", SpanKind::Client, (at, at + Duration::from_millis(3)));
    span.set("text", "longer than five");
    span.set("int", -7_i64);
    span.set("double", 0.5);
    span.set("bool", true);
    span.events.push(crate::span::SpanEvent { name: "event", at, attributes: Vec::new() });
    span.status = Status::Error("broken".into());
    tracer.finish(span);
}

fn scrape(telemetry: &Telemetry) -> Scrape {
    parse(std::str::from_utf8(&telemetry.metrics_response(None).1).unwrap()).unwrap()
}

fn fate(telemetry: &Telemetry) -> [f64; 3] {
    let scrape = scrape(telemetry);
    ["exported", "dropped", "failed"].map(|o| scrape.value("telemetry_spans_total", &[("outcome", o)]).unwrap())
}

fn assert_whole(span: &Span) {
    let value = |key: &str| {
        let attribute = span.attributes.iter().find(|attribute| attribute.key == key).unwrap();
        attribute.value.clone().unwrap().value.unwrap()
    };
    assert_eq!((span.name.as_str(), span.kind, span.flags), ("leg", 3, 3));
    assert_eq!((span.trace_id.len(), span.span_id.len(), span.parent_span_id.len()), (16, 8, 8));
    assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 3_000_000);
    assert_eq!(value("text"), ProtoValue::StringValue("longe".into()), "cut to the limit");
    assert_eq!(value("int"), ProtoValue::IntValue(-7));
    assert_eq!(value("double"), ProtoValue::DoubleValue(0.5));
    assert_eq!(value("bool"), ProtoValue::BoolValue(true));
    let status = span.status.clone().unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "broken"));
    assert_eq!(span.events[0].name, "event");
}

#[tokio::test]
async fn spans_arrive_whole_over_each_transport() {
    for (protocol, gzip) in [
        (Protocol::HttpProtobuf, false),
        (Protocol::HttpProtobuf, true),
        (Protocol::Grpc, false),
        (Protocol::Grpc, true),
    ] {
        let (collector, mut tasks) = (Collector::default(), JoinSet::new());
        let addr = collector.clone().serve(&mut tasks).await;
        let telemetry = telemetry(addr, protocol, |otlp| {
            otlp.gzip = gzip;
            otlp.headers.push((http::header::AUTHORIZATION, HeaderValue::from_static("Bearer x")));
        });
        record(&telemetry);
        telemetry.shutdown().await;
        assert_eq!(fate(&telemetry), [1.0, 0.0, 0.0], "{protocol:?} gzip {gzip}");
        assert_whole(&collector.spans()[0]);
        assert_eq!(collector.headers.lock()[0]["authorization"], "Bearer x");
        let received = collector.received.lock();
        let resource = received[0].resource_spans[0].resource.as_ref().unwrap();
        let keys: Vec<_> = resource.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert_eq!((keys[0], keys.contains(&"deployment.environment")), ("service.name", true));
    }
}

#[tokio::test]
async fn what_may_go_better_is_tried_again() {
    for (protocol, status) in [(Protocol::HttpProtobuf, 503), (Protocol::Grpc, 14)] {
        let collector = Collector { failures: Arc::new(Mutex::new(vec![status])), ..Collector::default() };
        let mut tasks = JoinSet::new();
        let addr = collector.clone().serve(&mut tasks).await;
        let telemetry = telemetry(addr, protocol, |_| {});
        record(&telemetry);
        telemetry.shutdown().await;
        assert_eq!(fate(&telemetry), [1.0, 0.0, 0.0], "{protocol:?}");
    }
}

#[tokio::test]
async fn what_is_refused_or_rejected_has_failed() {
    for (failures, rejected, fates) in [(vec![400], 0, [0.0, 0.0, 2.0]), (vec![], 1, [1.0, 0.0, 1.0])] {
        let failures = Arc::new(Mutex::new(failures));
        let collector = Collector { failures, rejected, ..Collector::default() };
        let mut tasks = JoinSet::new();
        let addr = collector.serve(&mut tasks).await;
        let telemetry = telemetry(addr, Protocol::HttpProtobuf, |_| {});
        record(&telemetry);
        record(&telemetry);
        telemetry.shutdown().await;
        assert_eq!(fate(&telemetry), fates);
        assert_eq!(scrape(&telemetry).value("telemetry_export_duration_seconds_count", &[]), Some(1.0));
    }
}

#[tokio::test]
async fn a_receiver_that_is_down_or_hangs_costs_spans_and_never_a_request() {
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let down = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let down_addr = down.local_addr().unwrap();
    drop(down);
    for addr in [hanging.local_addr().unwrap(), down_addr] {
        let telemetry = telemetry(addr, Protocol::HttpProtobuf, |_| {});
        for _ in 0..11 {
            record(&telemetry);
        }
        telemetry.shutdown().await;
        assert_eq!(fate(&telemetry), [0.0, 3.0, 8.0], "{addr}");
    }
}

#[tokio::test]
async fn the_file_has_one_export_request_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spans.jsonl");
    let config = TelemetryConfig::new("svc").with_export(SpanExport::File(path.clone()));
    let telemetry = Telemetry::new(config).unwrap();
    record(&telemetry);
    telemetry.shutdown().await;
    let text = std::fs::read_to_string(path).unwrap();
    let request: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
    let resource = &request["resourceSpans"][0];
    assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "svc");
    let span = &resource["scopeSpans"][0]["spans"][0];
    assert_eq!((&span["name"], &span["kind"]), (&"leg".into(), &3.into()));
    assert_eq!(span["traceId"].as_str().unwrap().len(), 32);
    assert_eq!(span["attributes"][1]["value"]["intValue"], "-7");
    assert_eq!(span["status"]["code"], 2);
}
