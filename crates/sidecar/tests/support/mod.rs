//! What the tests over real sockets share: hand-driven engines, a sidecar in this process, and a client that notices
//! everything.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(unreachable_pub, reason = "a module of several test programs")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

pub mod engine;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode};
use proxy::body::next_frame;
use proxy::client::UpstreamBody;
use proxy::{Body, Client, ClientConfig, Target};
use serde_json::Value;
use sidecar::{Args, Running};
use telemetry::exposition::{Scrape, parse};
use telemetry::span::SpanRecord;
use telemetry::{Batch, MemorySpans, SpanExport, Telemetry, TelemetryConfig};

#[allow(unused_imports, reason = "every test file uses a part of it")]
pub use engine::{Call, Engine, SOON, token_event};

pub const COMPLETIONS: &str = "/v1/completions";

/// A sidecar, its engines, and a client.
pub struct World {
    pub sidecar: Running,
    pub prefill: Engine,
    pub decode: Engine,
    pub telemetry: Arc<Telemetry>,
    pub spans: MemorySpans,
    pub client: Client,
}

impl World {
    /// A sidecar for `protocol` with `flags` beside what every test needs.
    pub async fn start(protocol: &str, flags: &[&str]) -> Self {
        let (prefill, decode) = (Engine::start().await, Engine::start().await);
        let (telemetry, spans) = telemetry();
        let port = decode.addr.port();
        let sidecar = start(protocol, port, flags, &telemetry).await;
        Self { sidecar, prefill, decode, telemetry, spans, client: client() }
    }

    /// A request to the completions API that names the prefill engine.
    pub fn disaggregated(&self, body: &str) -> Request<Body> {
        let mut request = post(COMPLETIONS, body);
        let host = self.prefill.addr.to_string().parse().unwrap();
        request.headers_mut().insert("x-prefiller-host-port", host);
        request
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        send(&self.client, self.sidecar.addr, request).await
    }

    /// Sends a request in the background, so that the test can play the engines.
    pub fn sending(&self, request: Request<Body>) -> tokio::task::JoinHandle<Reply> {
        let (client, addr) = (self.client.clone(), self.sidecar.addr);
        spawn(async move { send(&client, addr, request).await })
    }

    /// Sends a request whose prefill is answered; the decode engine has its leg.
    pub async fn decoding(&mut self, body: &str) -> (tokio::task::JoinHandle<Reply>, Call) {
        let sent = self.sending(self.disaggregated(body));
        self.prefill.next().await.json_answer(200, &prefilled()).await;
        (sent, self.decode.next().await)
    }

    /// The same, and the client has read its first token, `a`.
    pub async fn streaming(&mut self, body: &str) -> (Reply, Call) {
        let (sent, mut decode) = self.decoding(body).await;
        decode.begin_stream().await;
        decode.token("a").await;
        let mut reply = sent.await.unwrap();
        reply.until("a").await;
        (reply, decode)
    }

    /// A scrape of the metrics port.
    pub async fn scrape(&self) -> Scrape {
        let addr = self.sidecar.metrics_addr.unwrap();
        parse(&send(&self.client, addr, get("/metrics")).await.text().await).unwrap()
    }

    /// Waits until `count` requests have ended, and returns the scrape that says so.
    pub async fn ended(&self, count: usize) -> Scrape {
        loop {
            let scrape = self.scrape().await;
            let ended = scrape.sum("pd_proxy_requests_total", &[]).unwrap_or(0.0);
            assert!(ended <= count as f64, "{ended} requests ended instead of {count}");
            if ended == count as f64 {
                return scrape;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How the only request ended: outcome and stage.
    pub async fn outcome(&self) -> (String, String) {
        let scrape = self.ended(1).await;
        let one = scrape.samples.iter().find(|sample| sample.name == "pd_proxy_requests_total" && sample.value == 1.0);
        let label = |name| one.unwrap().label(name).unwrap().to_owned();
        (label("outcome"), label("stage"))
    }

    /// Waits for the spans of the only request: its request span, and those of its legs that were sent.
    pub async fn spans(&self) -> Vec<SpanRecord> {
        let mut all = Vec::new();
        while !all.iter().any(|span: &SpanRecord| span.name == "llm_d.pd_proxy.request") {
            tokio::time::sleep(Duration::from_millis(5)).await;
            all.extend(self.spans.take());
        }
        all
    }
}

/// Runs a future beside the test.
#[expect(clippy::disallowed_methods, reason = "a test awaits or abandons what it starts")]
pub fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    tokio::spawn(future)
}

pub async fn start(protocol: &str, decoder_port: u16, flags: &[&str], telemetry: &Arc<Telemetry>) -> Running {
    let port = format!("--model-server-port={decoder_port}");
    let connector = format!("--kv-connector={protocol}");
    let own = ["--secure-serving=false", "--port=0", "--metrics-port=0", "--host=127.0.0.1", &port, &connector];
    // What a test says of a setting is said last, and a flag may be given once.
    let name = |flag: &str| flag.split('=').next().unwrap().to_owned();
    let kept = own.iter().filter(|own| !flags.iter().any(|flag| name(flag) == name(own)));
    let args = Args::from_flags(kept.chain(flags)).unwrap();
    let config = args.validate_in(&|_| None).unwrap();
    sidecar::start(config, Arc::clone(telemetry)).await.unwrap()
}

/// Telemetry that keeps every span in memory.
pub fn telemetry() -> (Arc<Telemetry>, MemorySpans) {
    let spans = MemorySpans::default();
    let batch = Batch { schedule_delay: Duration::from_millis(20), ..Batch::default() };
    let config = TelemetryConfig::new("llm-d-pd-proxy").with_export(SpanExport::Memory(spans.clone()));
    (Telemetry::new(TelemetryConfig { batch, ..config }).unwrap(), spans)
}

pub fn client() -> Client {
    Client::new(ClientConfig::default())
}

pub fn post(path: &str, body: &str) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(Body::from(body.to_owned())).unwrap()
}

pub fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::Empty).unwrap()
}

pub async fn send(client: &Client, addr: SocketAddr, request: Request<Body>) -> Reply {
    let target = Target::from_addr(addr);
    let response = tokio::time::timeout(SOON, client.send(&target, request));
    let (head, body) = response.await.expect("an answer in time").expect("an answer").into_parts();
    Reply { status: head.status, headers: head.headers, body, trailers: None, broken: None }
}

/// A response as a client sees it. Dropping it means that the client leaves.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub trailers: Option<HeaderMap>,
    pub broken: Option<proxy::ClientError>,
    body: UpstreamBody,
}

impl Reply {
    /// The next piece of the body; empty at its end.
    pub async fn piece(&mut self) -> String {
        loop {
            let frame = tokio::time::timeout(SOON, next_frame(&mut self.body)).await.expect("more in time");
            match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => return String::from_utf8(bytes.to_vec()).unwrap(),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
                Some(Err(error)) => {
                    self.broken = Some(error);
                    return String::new();
                }
                None => return String::new(),
            }
        }
    }

    /// Reads until `needle` has come; returns all that was read.
    pub async fn until(&mut self, needle: &str) -> String {
        let mut text = String::new();
        while !text.contains(needle) {
            let piece = self.piece().await;
            assert!(!piece.is_empty(), "the end before {needle:?}: {text}");
            text.push_str(&piece);
        }
        text
    }

    /// The rest of the body.
    pub async fn rest(&mut self) -> String {
        let mut text = String::new();
        loop {
            let piece = self.piece().await;
            if piece.is_empty() {
                return text;
            }
            text.push_str(&piece);
        }
    }

    pub async fn text(mut self) -> String {
        self.rest().await
    }

    pub async fn json(self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What a NIXL prefill answers: a real vLLM's, shortened.
pub const PARAMS: &str = r#"{"do_remote_prefill":true,"do_remote_decode":false,"remote_block_ids":[[1, 2,3]],"remote_engine_id":"e-1","remote_host":"127.0.0.1","remote_port":5600,"tp_size":1}"#;

pub fn prefilled() -> String {
    format!(
        r#"{{"choices":[{{"text":"","finish_reason":"length"}}],"usage":{{"prompt_tokens":402,"completion_tokens":1,"prompt_tokens_details":{{"cached_tokens":384}}}},"kv_transfer_params":{PARAMS}}}"#
    )
}
