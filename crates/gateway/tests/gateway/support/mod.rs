//! A gateway under test, and what stands on either side of it.

mod client;
mod engine;
mod scheduler;
mod wire;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway::{Args, Running};
use sha2::{Digest as _, Sha256};
use telemetry::exposition::{self, Scrape};
use telemetry::span::SpanRecord;
use telemetry::{MemorySpans, SpanExport, Telemetry, TelemetryConfig};

pub use client::{Answer, Client};
pub use engine::{Call, Engine};
pub use scheduler::{Scheduler, instance};

/// A chat request that streams, and the same with usage wanted.
pub const STREAM: &str = r#"{"model":"tiny","stream":true}"#;
pub const CHAT: &str = "/v1/chat/completions";

/// What ends every chat stream of the tests: one token, its reason, usage, the end.
pub const LAST: &str = r#"{"choices":[{"index":0,"delta":{"content":"z"},"finish_reason":"stop"}]}"#;
pub const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}"#;

/// The data of a chunk with one token.
pub fn token(text: &str) -> String {
    format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}"#)
}

/// The engine sends its first token, and the client reads it.
pub async fn first_token(client: &mut Client, call: &mut Call) {
    call.open().await;
    call.event(&token("a")).await;
    client.head().await;
    client.data().await;
}

pub struct Gateway {
    pub addr: SocketAddr,
    pub running: Running,
    spans: MemorySpans,
    telemetry: Arc<Telemetry>,
}

/// Telemetry that keeps its spans.
pub fn telemetry(spans: &MemorySpans) -> Arc<Telemetry> {
    let config = TelemetryConfig::new("candor-gateway").with_export(SpanExport::Memory(spans.clone()));
    Telemetry::new(config).unwrap()
}

impl Gateway {
    /// A gateway on a free port of the loopback, with these settings beside.
    pub async fn with(set: impl FnOnce(Args) -> Args) -> Self {
        let args = Args::default().with("host", "127.0.0.1").with("port", "0").with("drain-timeout", "5s");
        let config = set(args).validate().unwrap();
        let spans = MemorySpans::default();
        let telemetry = telemetry(&spans);
        let running = gateway::start(config, Arc::clone(&telemetry)).await.unwrap();
        Self { addr: running.addr, running, spans, telemetry }
    }

    /// A gateway before engines that do both prefill and decode.
    pub async fn neutral(engines: &[impl ToString]) -> Self {
        let list: Vec<_> = engines.iter().map(ToString::to_string).collect();
        Self::with(|args| args.with("neutral-endpoints", list.join(","))).await
    }

    pub async fn before(engine: &Engine) -> Self {
        Self::neutral(&[engine.addr]).await
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.addr).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        let mut client = self.client().await;
        client.send("GET", path, "", "").await;
        client.answer().await
    }

    pub async fn scrape(&self) -> Scrape {
        exposition::parse(self.get("/metrics").await.text()).unwrap()
    }

    /// The spans of all requests that have ended. Ends the telemetry.
    pub async fn spans(&self) -> Vec<SpanRecord> {
        self.telemetry.shutdown().await;
        self.spans.take()
    }

    /// Waits until `total` requests have ended and none is in flight, then scrapes.
    pub async fn settled(&self, total: u64) -> Scrape {
        soon(self.until_settled(total)).await
    }

    /// Waits until `total` requests have ended, however many are in flight.
    pub async fn settled_of(&self, total: u64) {
        let ended = async || self.scrape().await.sum("request_total", &[]).unwrap_or(0.0);
        soon(async { while ended().await != total as f64 {} }).await;
    }

    async fn until_settled(&self, total: u64) -> Scrape {
        loop {
            let scrape = self.scrape().await;
            let ended = scrape.sum("request_total", &[]).unwrap_or(0.0);
            assert!(ended <= total as f64, "{ended} requests ended; {total} were sent");
            if ended == total as f64 && scrape.value("gateway_current_requests", &[]) == Some(0.0) {
                return scrape;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// How many requests for `model` ended with `status`, by a scrape.
pub fn count(scrape: &Scrape, model: &str, status: u16) -> u64 {
    let status = status.to_string();
    let labels = [("model", model), ("status_code", status.as_str())];
    scrape.value("request_total", &labels).unwrap_or(0.0) as u64
}

/// Waits for something that must happen soon. The limit only turns a hang into a failure.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it did not happen")
}

/// An address where nobody listens.
pub async fn nobody() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A line of a file of API keys.
pub fn key_line(name: &str, key: &str) -> String {
    let hash: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}:{hash}\n")
}

/// Puts a tokenizer of words into a directory: `hi` is 1, every other word 0.
pub fn put_tokenizer(directory: &std::path::Path) {
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"<unk>": 0, "hi": 1}, "unk_token": "<unk>"},
    });
    std::fs::write(directory.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}
