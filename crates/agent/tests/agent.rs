//! An agent beside a simulated engine, over real sockets and with a real Redis: what it publishes is held against what the
//! engine itself says of its state.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use cluster::RedisConfig;
use cluster::cms::Store;
use cluster::discovery::{Discovery, Source};
use cluster::records::{InstanceMetadata, InstanceStatus};
use http::{Method, Request};
use proxy::client::UpstreamBody;
use proxy::{Body, Client, ClientConfig, Drain, Target};
use serde_json::{Value, json};
use telemetry::{Telemetry, TelemetryConfig};
use testkit::{Redis, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Parser)]
struct EngineCli {
    #[command(flatten)]
    args: engine::Args,
}

#[derive(Parser)]
#[command(args_override_self = true)]
struct AgentCli {
    #[command(flatten)]
    args: agent::Args,
}

fn telemetry(service: &'static str) -> Arc<Telemetry> {
    Telemetry::new(TelemetryConfig::new(service)).unwrap()
}

async fn start_engine(port: u16, flags: &str) -> engine::Running {
    let flags = format!("engine --port {port} --model tiny --num-gpu-blocks 1025 --max-model-len 4096 {flags}");
    let config = EngineCli::try_parse_from(flags.split_whitespace()).unwrap().args.validate().unwrap();
    engine::start(config, telemetry("vllm")).await.unwrap()
}

async fn start_agent(engine: SocketAddr, redis: &Redis, flags: &str) -> agent::Running {
    let url = redis.url();
    let flags = format!(
        "agent --engine {engine} --cms {url} --discovery {url} --instance-id i --host 127.0.0.1 --port 0 \
         --scrape-interval 10ms --follow-interval 5ms --cms-push-interval 1ms --announce-interval 20ms {flags}"
    );
    let config = AgentCli::try_parse_from(flags.split_whitespace()).unwrap().args.validate().unwrap();
    agent::start(config, telemetry("candor-agent")).await.unwrap()
}

/// What a scheduler and a gateway see.
struct Reader {
    store: Store,
    discovery: Discovery,
    drain: Drain,
}

impl Reader {
    fn new(redis: &Redis) -> Self {
        let config = RedisConfig::parse(&redis.url(), PATIENCE).unwrap();
        let drain = Drain::new();
        let source = Source::Redis { config: config.clone(), refresh_interval: Duration::ZERO, status_ttl: PATIENCE };
        Self { store: Store::redis(config), discovery: Discovery::start(source, &drain), drain }
    }

    async fn metadata(&self) -> Option<InstanceMetadata> {
        let read = self.store.metadata().await.ok()?;
        read.records.first().map(|metadata| InstanceMetadata::clone(metadata))
    }

    async fn status(&self) -> Option<InstanceStatus> {
        let read = self.store.statuses(["i"]).await.ok()?;
        read.records.first().map(|status| InstanceStatus::clone(status))
    }

    async fn becomes(&self, what: &str, holds: impl Fn(&InstanceStatus) -> bool) -> InstanceStatus {
        eventually(what, || async { self.status().await.is_some_and(|status| holds(&status)) }).await;
        self.status().await.unwrap()
    }

    async fn announced(&self, count: usize) {
        let what = format!("{count} instances in discovery");
        eventually(&what, || async { self.discovery.roster().instances().len() == count }).await;
    }
}

fn client() -> Client {
    Client::new(ClientConfig::default())
}

async fn send(client: &Client, to: SocketAddr, id: &str, body: Value) -> http::Response<UpstreamBody> {
    let request =
        Request::post("/v1/completions").header("x-request-id", id).header("content-type", "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    client.send(&Target::from_addr(to), request).await.unwrap()
}

async fn ask(client: &Client, method: Method, to: SocketAddr, path: &str, body: &str) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
    let (head, body) = client.send(&Target::from_addr(to), request).await.unwrap().into_parts();
    let text = proxy::body::collect(body, 1 << 20).await.unwrap();
    (head.status.as_u16(), serde_json::from_slice(&text).unwrap_or(Value::Null))
}

fn prompt(tokens: u32) -> Value {
    json!((0..tokens).collect::<Vec<_>>())
}

#[tokio::test]
async fn an_idle_engine_is_an_instance_of_full_mode_until_the_agent_stops() {
    let redis = Redis::start().await;
    let engine = start_engine(0, "").await;
    let agent = start_agent(engine.addr, &redis, "--infer-type decode --advertise 10.0.0.1:8000").await;
    let reader = Reader::new(&redis);
    let status = reader.becomes("schedulable", |status| status.schedulable).await;
    assert_eq!((status.num_running_requests, status.num_waiting_requests, status.num_used_gpu_tokens), (0, 0, 0));
    assert_eq!(status.num_total_gpu_tokens, 1024 * 16);
    eventually("the engine is known", || async { reader.metadata().await.is_some_and(|it| it.model == "tiny") }).await;
    let metadata = reader.metadata().await.unwrap();
    assert_eq!((metadata.instance_id.as_str(), metadata.instance_type.as_str()), ("i", "decode"));
    assert_eq!((metadata.ip.as_str(), metadata.api_server_port), ("10.0.0.1", 8000));
    assert_eq!((metadata.backend_type.as_str(), metadata.block_size), ("vLLM", 16));
    assert!(metadata.utc_create > 1.7e9);
    reader.announced(1).await;
    let instance = reader.discovery.roster().instances()[0].clone();
    assert_eq!((instance.endpoint.to_string().as_str(), instance.model.as_str()), ("10.0.0.1:8000", "tiny"));
    assert_eq!(ask(&client(), Method::GET, agent.addr, "/readyz", "").await.0, 200);
    assert!(agent.shutdown().await.complete);
    assert_eq!(redis.command("DBSIZE").await, ":0\r\n");
    reader.announced(0).await;
    reader.drain.finish(PATIENCE).await;
    engine.shutdown().await;
}

#[tokio::test]
async fn an_sglang_is_one_too_with_the_size_of_its_cache_told_by_the_operator() {
    let redis = Redis::start().await;
    let engine = start_engine(0, "--dialect sglang").await;
    let agent = start_agent(engine.addr, &redis, "--kv-tokens 5000 --kv-endpoint 10.0.0.1:8998").await;
    let reader = Reader::new(&redis);
    let status = reader.becomes("schedulable", |status| status.schedulable).await;
    assert_eq!(status.num_total_gpu_tokens, 5000);
    let known = || async { reader.metadata().await.is_some_and(|it| it.backend_type == "SGLang") };
    eventually("the engine is known", known).await;
    assert_eq!(reader.metadata().await.unwrap().kvt_port, 8998);
    agent.shutdown().await;
    engine.shutdown().await;
}

/// The hour-long step keeps everything as it is while it is looked at.
#[tokio::test]
async fn a_loaded_engines_counts_are_its_own() {
    let redis = Redis::start().await;
    let engine = start_engine(0, "--prefill-base 1h --max-num-seqs 2").await;
    let agent = start_agent(engine.addr, &redis, "").await;
    let (reader, client) = (Reader::new(&redis), client());
    let mut streams = Vec::new();
    for (index, tokens) in [40_u32, 100, 7].into_iter().enumerate() {
        let body = json!({"model": "tiny", "prompt": prompt(tokens), "max_tokens": 5, "stream": true});
        streams.push(send(&client, engine.addr, &format!("r{index}"), body).await);
    }
    let status = reader.becomes("all three", |status| status.num_waiting_requests == 2).await;
    let (_, state) = ask(&client, Method::GET, engine.addr, "/admin/state", "").await;
    assert_eq!(json!(status.num_running_requests), state["running"]);
    assert_eq!(json!(status.num_waiting_requests), state["waiting"]);
    assert_eq!(json!(status.num_used_gpu_tokens / 16), state["kv_blocks"]["used"]);
    assert!(status.schedulable);
    agent.shutdown().await;
    drop(streams);
    engine.shutdown().await;
}

#[tokio::test]
async fn an_engine_that_hangs_is_neither_schedulable_nor_announced() {
    let redis = Redis::start().await;
    let engine = start_engine(0, "--prefill-base 1h").await;
    let agent = start_agent(engine.addr, &redis, "--hang-after 200ms").await;
    let (reader, client) = (Reader::new(&redis), client());
    reader.becomes("schedulable", |status| status.schedulable).await;
    reader.announced(1).await;
    let stream = send(&client, engine.addr, "r", json!({"model": "tiny", "prompt": prompt(4), "stream": true})).await;
    let status = reader.becomes("the hang is known", |status| !status.schedulable).await;
    assert_eq!(status.num_running_requests, 1);
    reader.announced(0).await;
    let (status, answer) = ask(&client, Method::GET, agent.addr, "/readyz", "").await;
    assert_eq!(status, 503);
    assert!(answer["status"].as_str().unwrap().starts_with("the engine hangs"), "{answer}");
    agent.shutdown().await;
    drop(stream);
    engine.shutdown().await;
}

#[tokio::test]
async fn an_engine_that_dies_is_not_sent_to_until_it_is_back() {
    let redis = Redis::start().await;
    let engine = start_engine(0, "").await;
    let addr = engine.addr;
    let agent = start_agent(addr, &redis, "--silent-after 100ms").await;
    let (reader, client) = (Reader::new(&redis), client());
    reader.becomes("schedulable", |status| status.schedulable).await;
    engine.shutdown().await;
    reader.becomes("its death is known", |status| !status.schedulable).await;
    reader.announced(0).await;
    let (_, answer) = ask(&client, Method::GET, agent.addr, "/readyz", "").await;
    assert!(answer["status"].as_str().unwrap().starts_with("the engine has not answered for"), "{answer}");
    assert!(answer["engine_failure"].is_string(), "{answer}");
    let engine = start_engine(addr.port(), "").await;
    reader.becomes("its return is known", |status| status.schedulable).await;
    reader.announced(1).await;
    agent.shutdown().await;
    engine.shutdown().await;
}

#[tokio::test]
async fn an_engine_whose_metrics_fail_is_not_sent_to_and_is_again_when_they_return() {
    let redis = Redis::start().await;
    let engine = start_engine(0, "").await;
    let agent = start_agent(engine.addr, &redis, "--silent-after 50ms --scrape-timeout 30ms").await;
    let (reader, client) = (Reader::new(&redis), client());
    let fault = async |fault: &str| {
        let rules = json!([{"path": "/metrics", "fault": fault}]).to_string();
        assert_eq!(ask(&client, Method::POST, engine.addr, "/admin/faults", &rules).await.0, 200);
    };
    for broken in ["hang", "status=503"] {
        reader.becomes("schedulable", |status| status.schedulable).await;
        fault(broken).await;
        reader.becomes("the fault is known", |status| !status.schedulable).await;
        ask(&client, Method::DELETE, engine.addr, "/admin/faults", "").await;
    }
    reader.becomes("schedulable again", |status| status.schedulable).await;
    agent.shutdown().await;
    engine.shutdown().await;
}

/// Metrics are read once an hour here: all that is learnt of the request comes from the sidecar.
#[tokio::test]
async fn between_two_scrapes_the_sidecars_requests_are_followed() {
    let redis = Redis::start().await;
    let engine = start_engine(0, "--prefill-base 1ms --decode-step 1h").await;
    let flags = ["--secure-serving=false", "--port=0", "--metrics-port=0", "--host=127.0.0.1", "--kv-connector=nixlv2"];
    let port = format!("--model-server-port={}", engine.addr.port());
    let args = sidecar::Args::from_flags(flags.iter().copied().chain([port.as_str()])).unwrap();
    let sidecar = sidecar::start(args.validate_in(&|_| None).unwrap(), telemetry("llm-d-pd-proxy")).await.unwrap();
    let metrics = sidecar.metrics_addr.unwrap();
    let flags = format!("--scrape-interval 1h --silent-after 2h --sidecar {metrics} --advertise {}", sidecar.addr);
    let agent = start_agent(engine.addr, &redis, &flags).await;
    let (reader, client) = (Reader::new(&redis), client());
    reader.becomes("schedulable", |status| status.schedulable).await;
    let body = json!({"model": "tiny", "prompt": prompt(40), "max_tokens": 2, "stream": true});
    // Its first token comes at once, its second one in an hour; whoever comes later waits for that.
    let first = send(&client, sidecar.addr, "r1", body.clone()).await;
    let status = reader.becomes("a first token", |status| status.num_running_requests == 1).await;
    assert_eq!((status.num_waiting_requests, status.waiting_requests.len()), (0, 0));
    let second = send(&client, sidecar.addr, "r2", body).await;
    let status = reader.becomes("another request", |status| status.num_waiting_requests == 1).await;
    assert_eq!((status.num_running_requests, status.waiting_requests), (1, vec!["r2".to_owned()]));
    drop((first, second));
    let over = |status: &InstanceStatus| status.num_waiting_requests + status.num_running_requests == 0;
    reader.becomes("their end", over).await;
    agent.shutdown().await;
    sidecar.shutdown().await;
    engine.shutdown().await;
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_has_everything_again() {
    let mut redis = Redis::start().await;
    let engine = start_engine(0, "").await;
    let agent = start_agent(engine.addr, &redis, "").await;
    let reader = Reader::new(&redis);
    reader.becomes("schedulable", |status| status.schedulable).await;
    redis.restart().await;
    reader.becomes("schedulable again", |status| status.schedulable).await;
    eventually("metadata again", || async { reader.metadata().await.is_some() }).await;
    reader.announced(1).await;
    agent.shutdown().await;
    engine.shutdown().await;
}
