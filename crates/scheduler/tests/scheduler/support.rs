//! A running scheduler and its peers: gateways over HTTP and WebSocket, instances that write to the CMS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::RedisConfig;
use cluster::api::InferType;
use cluster::cms::Store;
use cluster::records::{InstanceMetadata, InstanceStatus};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Request};
use proxy::body::collect;
use proxy::{Body, Client, ClientConfig, Target};
use scheduler::{Args, Config, Source};
use serde_json::{Value, json};
use telemetry::exposition::{Scrape, parse};
use telemetry::{MemorySpans, SpanExport, Telemetry, TelemetryConfig};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

pub(crate) use testkit::eventually;

/// A scheduler, and a client of it.
pub(crate) struct World {
    running: scheduler::Running,
    client: Client,
    target: Target,
    pub(crate) addr: SocketAddr,
    pub(crate) spans: MemorySpans,
    telemetry: Arc<Telemetry>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Endpoints of the instances that were chosen.
    pub(crate) fn chosen(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.body);
        let result = self.json()["scheduling_result"].clone();
        let of = |instance: &Value| {
            format!("{}:{}", instance["endpoint"]["host"].as_str().unwrap(), instance["endpoint"]["port"])
        };
        result.as_array().unwrap().iter().map(of).collect()
    }
}

/// Flags of a scheduler that looks often.
pub(crate) fn full_flags() -> Args {
    Args::default()
        .with("host", "127.0.0.1")
        .with("port", "0")
        .with("cms-pull-status-interval-ms", "10")
        .with("cms-pull-metadata-interval-ms", "50")
        .with("drain-timeout", "5s")
}

pub(crate) fn lite_flags(endpoints: &str) -> Args {
    Args::default()
        .with("host", "127.0.0.1")
        .with("port", "0")
        .with("drain-timeout", "5s")
        .with("enable-full-mode-scheduling", "false")
        .with("llm-backend-discovery", "endpoints")
        .with("llm-backend-endpoints", endpoints)
}

/// A configuration whose CMS is `store`.
pub(crate) fn over(store: &Store, args: Args) -> Config {
    let mut config = args.validate().unwrap();
    let Source::Cms { store: of, .. } = &mut config.source else { panic!("full mode") };
    *of = store.clone();
    config
}

impl World {
    pub(crate) async fn start(config: Config) -> Self {
        let spans = MemorySpans::default();
        let telemetry = TelemetryConfig::new("candor-scheduler").with_export(SpanExport::Memory(spans.clone()));
        let telemetry = Telemetry::new(telemetry).unwrap();
        let running = scheduler::start(config, Arc::clone(&telemetry)).await.unwrap();
        let addr = running.addr;
        let (client, target) = (Client::new(ClientConfig::default()), Target::from_addr(addr));
        Self { running, client, target, addr, spans, telemetry }
    }

    /// In full mode over a store in memory, when it has seen `instances`.
    pub(crate) async fn over(store: &Store, instances: usize) -> Self {
        let world = Self::start(over(store, full_flags())).await;
        world.knows(instances).await;
        world
    }

    /// Waits until it knows so many instances.
    pub(crate) async fn knows(&self, instances: usize) {
        eventually("the scheduler knows the instances", || async {
            let ready = self.get("/readyz").await.json();
            ready["status"] != "instances have not been read yet" && ready["instances"] == instances
        })
        .await;
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.client.send(&self.target, request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = collect(Body::from(body), 16 << 20).await.unwrap();
        Answer { status: head.status.as_u16(), headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::Empty).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Request::post(path).body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn post_traced(&self, path: &str, body: &Value, traceparent: &str) -> Answer {
        let request = Request::post(path).header("traceparent", traceparent).body(Body::from(body.to_string()));
        self.send(request.unwrap()).await
    }

    pub(crate) async fn post_text(&self, path: &str, body: &'static str) -> Answer {
        self.send(Request::post(path).body(Body::from(body)).unwrap()).await
    }

    /// Asks for a neutral instance.
    pub(crate) async fn schedule(&self, id: &str) -> Answer {
        self.post("/schedule", &ask(id)).await
    }

    pub(crate) async fn scrape(&self) -> Scrape {
        parse(&self.get("/metrics").await.body).unwrap()
    }

    /// The sum of a gauge over its series; 0 where there is none.
    pub(crate) async fn sum(&self, name: &str) -> f64 {
        self.scrape().await.sum(name, &[]).unwrap_or(0.0)
    }

    pub(crate) async fn stop(self) {
        assert!(self.running.shutdown().await.complete);
        self.telemetry.shutdown().await;
    }
}

pub(crate) fn ask(id: &str) -> Value {
    json!({"id": id, "model": "m", "scheduling_mode": "neutral", "prompt_num_tokens": 100})
}

pub(crate) fn metadata(id: &str, infer_type: InferType, port: i32) -> InstanceMetadata {
    InstanceMetadata {
        instance_id: id.to_owned(),
        instance_type: infer_type.to_string(),
        ip: "127.0.0.1".to_owned(),
        api_server_port: port,
        ip_kvt: "127.0.0.1".to_owned(),
        kvt_port: 5600,
        data_parallel_size: 1,
        utc_create: 1.0,
        model: "m".to_owned(),
        ..InstanceMetadata::default()
    }
}

/// A status that is new at this moment.
pub(crate) fn status(id: &str, update_id: i32) -> InstanceStatus {
    InstanceStatus {
        instance_id: id.to_owned(),
        schedulable: true,
        timestamp_ms: (telemetry::clock::now().unix_nanos() / 1_000_000) as i64,
        update_id,
        num_total_gpu_tokens: 10_000,
        ..InstanceStatus::default()
    }
}

/// Writes a neutral instance with so much to do.
pub(crate) async fn write(store: &Store, id: &str, port: i32, uncomputed: i32) {
    store.put_metadata(&metadata(id, InferType::Neutral, port)).await.unwrap();
    let status = InstanceStatus { num_uncomputed_tokens_all_waiting_prefills: uncomputed, ..status(id, 1) };
    store.put_status(&status).await.unwrap();
}

pub(crate) fn redis(addr: SocketAddr, timeout: Duration) -> Store {
    Store::redis(RedisConfig::parse(&format!("redis://{addr}"), timeout).unwrap())
}

/// A gateway as far as `/keepalive` goes, after upstream's handshake.
pub(crate) struct Gateway {
    pub(crate) socket: WebSocketStream<TcpStream>,
    /// Its id.
    pub(crate) id: String,
    /// Whether it was told that it may send batches.
    pub(crate) takes_batches: bool,
}

impl Gateway {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        let own = stream.local_addr().unwrap();
        let connecting = tokio_tungstenite::client_async(format!("ws://{addr}/keepalive"), stream);
        let (mut socket, upgraded) = connecting.await.unwrap();
        let greeting = json!({"host": own.ip().to_string(), "port": own.port()}).to_string();
        socket.send(Message::text(greeting)).await.unwrap();
        let answer = loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Text(text) => break text,
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(answer.as_str(), "ok");
        Self { socket, id: own.to_string(), takes_batches: upgraded.headers().contains_key("x-candor-takes-batches") }
    }
}
