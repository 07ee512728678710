//! Starting engines and talking to them.

use clap::Parser;
use engine::{Args, Config, Running};
use http::{Method, Request, StatusCode};
use proxy::body::next_frame;
use proxy::client::UpstreamBody;
use proxy::{Body, Client, ClientConfig, Target};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use telemetry::exposition::Scrape;
use telemetry::{MemorySpans, SpanExport, Telemetry, TelemetryConfig};

#[derive(Parser)]
#[command(args_override_self = true)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

/// Flags that make an engine quick: steps of a millisecond or two.
const QUICK: &str = "--port 0 --prefill-base 2ms --prefill-per-token 0s --decode-step 1ms --decode-per-seq 0s \
                     --kv-transfer-base 1ms --kv-transfer-per-block 0s --num-gpu-blocks 1025 --max-model-len 4096 --model tiny";

pub(crate) fn config(flags: &str) -> Config {
    let flags = format!("engine {QUICK} {flags}");
    Cli::try_parse_from(flags.split_whitespace()).unwrap().args.validate().unwrap()
}

/// A running engine and a client of its own.
pub(crate) struct Engine {
    pub(crate) running: Running,
    pub(crate) spans: MemorySpans,
    telemetry: Arc<Telemetry>,
    client: Client,
    target: Target,
}

impl Engine {
    pub(crate) async fn start(flags: &str) -> Self {
        let config = config(flags);
        let spans = MemorySpans::default();
        let export = SpanExport::Memory(spans.clone());
        let telemetry = Telemetry::new(TelemetryConfig::new(config.service_name()).with_export(export)).unwrap();
        let running = engine::start(config, Arc::clone(&telemetry)).await.unwrap();
        let target = Target::from_addr(running.addr);
        Self { running, spans, telemetry, client: Client::new(ClientConfig::default()), target }
    }

    pub(crate) const fn addr(&self) -> SocketAddr {
        self.running.addr
    }

    /// Sends a request; the answer's head and its unread body.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<http::Response<UpstreamBody>, proxy::ClientError> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.send(&self.target, request.body(Body::from(body)).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.post_with(path, &[], body).await
    }

    pub(crate) async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> (StatusCode, Value) {
        let response = self.send(Method::POST, path, headers, body.to_string()).await.unwrap();
        let status = response.status();
        let text = read(response.into_body()).await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A completion that must succeed.
    pub(crate) async fn complete(&self, body: &Value) -> Value {
        let (status, answer) = self.post("/v1/completions", body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    /// A streamed request's events.
    pub(crate) async fn stream(&self, path: &str, body: &Value) -> Vec<Value> {
        let response = self.send(Method::POST, path, &[], body.to_string()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        events(&read(response.into_body()).await.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let response = self.send(Method::GET, path, &[], String::new()).await.unwrap();
        (response.status(), read(response.into_body()).await.unwrap())
    }

    pub(crate) async fn state(&self) -> Value {
        serde_json::from_str(&self.get("/admin/state").await.1).unwrap()
    }

    pub(crate) async fn scrape(&self) -> Scrape {
        telemetry::exposition::parse(&self.get("/metrics").await.1).unwrap()
    }

    /// The value of a series of this engine.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let scrape = self.scrape().await;
        scrape.value(name, &[]).unwrap_or_else(|| panic!("no {name}"))
    }

    pub(crate) async fn used_blocks(&self) -> u64 {
        self.state().await["kv_blocks"]["used"].as_u64().unwrap()
    }

    /// Waits until nothing is going on and no block is used.
    pub(crate) async fn comes_to_rest(&self) {
        self.waits_for("rest", |state| {
            ["running", "waiting", "fetching", "holds", "rooms"].iter().all(|what| state[what] == 0)
                && state["kv_blocks"]["used"] == 0
        })
        .await;
    }

    /// Waits until the state is as wanted; says so when it is not within a generous time.
    pub(crate) async fn waits_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) {
        for _ in 0..1000 {
            if wanted(&self.state().await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no {what}: {:#}", self.state().await);
    }

    pub(crate) async fn stop(self) {
        self.comes_to_rest().await;
        drop(self.client);
        let report = self.running.shutdown().await;
        assert!(report.complete, "{report:?}");
        self.telemetry.shutdown().await;
    }
}

/// A body's text, or the error it ended with.
pub(crate) async fn read(mut body: UpstreamBody) -> Result<String, (String, proxy::BoxError)> {
    let mut bytes = Vec::new();
    while let Some(frame) = next_frame(&mut body).await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(error) => return Err((String::from_utf8_lossy(&bytes).into_owned(), error.into())),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The JSON of each event; the end marker must be there and is left out.
pub(crate) fn events(text: &str) -> Vec<Value> {
    let events = text.strip_suffix("data: [DONE]\n\n").unwrap_or_else(|| panic!("no end marker: {text}"));
    let data = events.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap());
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}
