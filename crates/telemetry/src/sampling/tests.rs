use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::strategy::{PerOperation, Strategies, Strategy};
use super::{Decider, JaegerRemote, Poll, Roots, Sampler};
use crate::clock::Moment;
use crate::exposition::parse;
use crate::metrics::Counter;
use crate::trace::{IdGenerator, TraceContext, TraceId};
use crate::{MemorySpans, SpanExport, Telemetry, TelemetryConfig};

fn id() -> TraceId {
    TraceContext::root(true).trace_id
}

fn samples(sampler: &Sampler, parent: Option<&TraceContext>) -> bool {
    Decider::new(sampler).samples(parent, id())
}

#[test]
fn a_parent_decides_where_the_sampler_follows_it() {
    let parent = TraceContext::root(true);
    assert!(samples(&Sampler::ratio(true, 0.0), Some(&parent)));
    assert!(!samples(&Sampler::ratio(true, 0.0), None));
    assert!(!samples(&Sampler::ratio(false, 0.0), Some(&parent)));
    assert!(!samples(&Sampler::default(), Some(&TraceContext::root(false))));
}

#[test]
fn a_ratio_samples_that_share() {
    let mut ids = IdGenerator::from_seed(1);
    let decider = Decider::new(&Sampler::ratio(false, 0.1));
    let sampled = (0..10_000).filter(|_| decider.samples(None, ids.trace_id())).count();
    assert!((800..1200).contains(&sampled), "{sampled}");
}

#[test]
fn a_rate_is_kept_with_a_burst_of_a_second() {
    let strategies = Strategies::new(Strategy::RateLimiting(2.0));
    let start = Moment::from_nanos(1 << 50);
    let at = |millis| start + Duration::from_millis(millis);
    let sampled = |from: u64, to: u64| (from..to).filter(|&ms| strategies.samples("x", id(), at(ms))).count();
    assert_eq!(sampled(0, 10), 2, "the burst");
    assert_eq!(sampled(10, 10_000), 19, "two a second");
    strategies.set(Strategy::RateLimiting(2.0));
    assert_eq!(sampled(10_000, 10_010), 1, "hearing the same again gives nothing new");
    strategies.set(Strategy::RateLimiting(0.0));
    assert_eq!(sampled(20_000, 30_000), 0);
}

#[test]
fn an_operation_has_its_own_share_and_a_floor() {
    let operations = HashMap::from([("always".to_owned(), 1.0)]);
    let per = PerOperation { default: 0.0, lower_bound: 1.0, operations };
    let strategies = Strategies::new(Strategy::PerOperation(per));
    let at = |seconds| Moment::from_nanos(1 << 50) + Duration::from_secs(seconds);
    let sampled = |name| (0..20).filter(|n| strategies.samples(name, id(), at(n / 2))).count();
    assert_eq!(sampled("always"), 20);
    assert_eq!(sampled("never"), 10, "one a second all the same");
}

#[test]
fn answers_are_read_in_all_their_forms() {
    for (json, strategy) in [
        (
            r#"{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.5}}"#,
            Strategy::Probabilistic(0.5),
        ),
        (
            r#"{"strategyType":0,"probabilisticSampling":{"samplingRate":0.5},"rateLimitingSampling":null}"#,
            Strategy::Probabilistic(0.5),
        ),
        (r#"{"probabilisticSampling":{}}"#, Strategy::Probabilistic(0.0)),
        (r#"{"strategyType":1,"rateLimitingSampling":{"maxTracesPerSecond":7}}"#, Strategy::RateLimiting(7.0)),
        (
            r#"{"strategyType":"RATE_LIMITING","probabilisticSampling":{"samplingRate":1},"rateLimitingSampling":{"maxTracesPerSecond":7}}"#,
            Strategy::RateLimiting(7.0),
        ),
        (
            r#"{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":1},"operationSampling":
                {"defaultSamplingProbability":0.1,"defaultLowerBoundTracesPerSecond":0.2,"perOperationStrategies":
                [{"operation":"gateway.request","probabilisticSampling":{"samplingRate":0.3}},{"operation":"x"}]}}"#,
            Strategy::PerOperation(PerOperation {
                default: 0.1,
                lower_bound: 0.2,
                operations: HashMap::from([("gateway.request".to_owned(), 0.3)]),
            }),
        ),
    ] {
        assert_eq!(Strategy::from_json(json.as_bytes()).unwrap(), strategy, "{json}");
    }
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"strategyType":"PROBABILISTIC"}"#,
        r#"{"probabilisticSampling":{"samplingRate":1.5}}"#,
        r#"{"rateLimitingSampling":{"maxTracesPerSecond":-1}}"#,
        r#"{"operationSampling":{"defaultSamplingProbability":7}}"#,
    ] {
        assert!(Strategy::from_json(bad.as_bytes()).is_err(), "{bad}");
    }
}

/// A collector: answers with `answer`, or with 500 where there is none; keeps what it was asked.
#[derive(Clone, Default)]
struct Collector {
    answer: Arc<Mutex<Option<Bytes>>>,
    asked: Arc<Mutex<Vec<(String, Bytes)>>>,
}

impl Collector {
    async fn serve(&self, tasks: &mut JoinSet<()>) -> JaegerRemote {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let collector = self.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let collector = collector.clone();
                connections.spawn(async move {
                    let answer = service_fn(move |request| collector.clone().answer(request));
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        JaegerRemote { endpoint, polling_interval: Duration::from_millis(10), initial_rate: 0.0 }
    }

    async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<impl http_body::Body<Data = Bytes, Error = Infallible>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        self.asked.lock().push((head.uri.path_and_query().unwrap().to_string(), body));
        let answer = self.answer.lock().clone();
        let status = if answer.is_some() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let body = Full::new(answer.unwrap_or_default()).with_trailers(std::future::ready(Some(Ok(trailers))));
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Ok(response)
    }

    fn says(&self, answer: Option<impl Into<Bytes>>) {
        *self.answer.lock() = answer.map(Into::into);
    }
}

/// Waits for what the polling task must bring about.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come true");
}

#[tokio::test]
async fn a_strategy_is_polled_over_http_and_stays_when_the_collector_fails() {
    let (collector, mut tasks) = (Collector::default(), JoinSet::new());
    let remote = collector.serve(&mut tasks).await;
    let export = SpanExport::Memory(MemorySpans::default());
    let mut config = TelemetryConfig::new("a service").with_export(export);
    config.sampler = Sampler { parent_based: true, roots: Roots::JaegerRemote(remote) };
    let telemetry = Telemetry::new(config).unwrap();
    let polls = |outcome: &str| {
        let text = telemetry.metrics_response(None).1;
        let scrape = parse(std::str::from_utf8(&text).unwrap()).unwrap();
        scrape.value("telemetry_sampler_polls_total", &[("outcome", outcome)]).unwrap()
    };
    let gateway = telemetry.tracer().beginning("gateway.request");
    until("a failed poll", || polls("failed") >= 1.0).await;
    assert!(!gateway.start(None).is_recorded(), "the initial rate");
    assert!(gateway.start(Some(TraceContext::root(true))).is_recorded(), "a parent decides");

    let only_gateway = r#"{"operationSampling":{"perOperationStrategies":
        [{"operation":"gateway.request","probabilisticSampling":{"samplingRate":1}}]}}"#;
    collector.says(Some(only_gateway));
    until("the new strategy", || gateway.start(None).is_recorded()).await;
    assert!(!telemetry.tracer().beginning("llm_request").start(None).is_recorded());
    assert_eq!(collector.asked.lock()[0].0, "/sampling?service=a%20service");

    let failed = polls("failed");
    collector.says(None::<Bytes>);
    until("another failed poll", || polls("failed") > failed).await;
    assert!(gateway.start(None).is_recorded(), "the last strategy stays");
    collector.says(Some("{}"));
    let failed = polls("failed");
    until("an answer without a strategy", || polls("failed") > failed + 1.0).await;
    assert!(gateway.start(None).is_recorded());
    telemetry.shutdown().await;
}

/// The messages of `jaeger.api_v2`, as far as they are used here.
mod api_v2 {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Parameters {
        #[prost(string, tag = "1")]
        pub(super) service_name: String,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Probabilistic {
        #[prost(double, tag = "1")]
        pub(super) sampling_rate: f64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct RateLimiting {
        #[prost(int32, tag = "1")]
        pub(super) max_traces_per_second: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Operation {
        #[prost(string, tag = "1")]
        pub(super) operation: String,
        #[prost(message, optional, tag = "2")]
        pub(super) probabilistic: Option<Probabilistic>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Operations {
        #[prost(double, tag = "1")]
        pub(super) default: f64,
        #[prost(double, tag = "2")]
        pub(super) lower_bound: f64,
        #[prost(message, repeated, tag = "3")]
        pub(super) strategies: Vec<Operation>,
        #[prost(double, tag = "4")]
        pub(super) upper_bound: f64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Response {
        #[prost(int32, tag = "1")]
        pub(super) strategy_type: i32,
        #[prost(message, optional, tag = "2")]
        pub(super) probabilistic: Option<Probabilistic>,
        #[prost(message, optional, tag = "3")]
        pub(super) rate_limiting: Option<RateLimiting>,
        #[prost(message, optional, tag = "4")]
        pub(super) operations: Option<Operations>,
    }
}

fn framed(message: &impl Message) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.encoded_len()).unwrap());
    framed.put_slice(&message.encode_to_vec());
    framed.freeze()
}

#[tokio::test]
async fn a_strategy_is_polled_over_grpc() {
    let (collector, mut tasks) = (Collector::default(), JoinSet::new());
    let remote = collector.serve(&mut tasks).await;
    let strategies = Arc::new(Strategies::new(Strategy::Probabilistic(0.0)));
    let counters = [Counter::default(), Counter::default()];
    let (stop, service) = (CancellationToken::new(), "s".repeat(200));
    let poll = Poll::over(true, &remote, &service, &strategies, counters.clone()).unwrap();
    tasks.spawn(poll.run(stop.clone()));
    let rate = api_v2::RateLimiting { max_traces_per_second: 300 };
    let always = api_v2::Probabilistic { sampling_rate: 1.0 };
    let operation = api_v2::Operation { operation: "a".into(), probabilistic: Some(always) };
    let operations =
        api_v2::Operations { default: 0.5, lower_bound: 0.25, strategies: vec![operation], upper_bound: 9.0 };
    let expected = PerOperation { default: 0.5, lower_bound: 0.25, operations: HashMap::from([("a".to_owned(), 1.0)]) };
    for (response, strategy) in [
        (api_v2::Response { probabilistic: Some(always), ..Default::default() }, Strategy::Probabilistic(1.0)),
        (
            api_v2::Response { strategy_type: 1, rate_limiting: Some(rate), ..Default::default() },
            Strategy::RateLimiting(300.0),
        ),
        (
            api_v2::Response { probabilistic: Some(always), operations: Some(operations), ..Default::default() },
            Strategy::PerOperation(expected),
        ),
    ] {
        collector.says(Some(framed(&response)));
        until("the strategy", || strategies.get() == strategy).await;
    }
    let (path, body) = collector.asked.lock()[0].clone();
    assert_eq!(path, "/jaeger.api_v2.SamplingManager/GetSamplingStrategy");
    assert_eq!(body, framed(&api_v2::Parameters { service_name: service }));
    let failed = counters[1].get();
    collector.says(Some("no gRPC message"));
    until("a failed poll", || counters[1].get() > failed).await;
    stop.cancel();
}
