//! An engine (or the sidecar before it) that does what the test says, one step at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::wire::{Head, Wire};

/// Listens on a free port. `GET /v1/models` is answered without the test's help; everything else becomes a [`Call`].
pub struct Engine {
    pub addr: SocketAddr,
    calls: mpsc::Receiver<Call>,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
pub(super) struct Shared {
    models: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

/// A request that reached the engine, and the connection to answer it on.
pub struct Call {
    pub head: Head,
    pub body: Bytes,
    wire: Wire,
    give_back: oneshot::Sender<Wire>,
}

impl Engine {
    /// An engine that serves the model `tiny`.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    /// The same at an address of the test's choice.
    pub async fn start_at(addr: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, calls) = mpsc::channel(1024);
        let shared = Arc::new(Shared { models: Mutex::new(vec!["tiny".to_owned()]), connections: AtomicUsize::new(0) });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared), sender));
        Self { addr, calls, shared, _tasks: tasks }
    }

    /// Changes what `/v1/models` says.
    pub fn serve(&self, models: &[&str]) {
        *self.shared.models.lock() = models.iter().map(|&model| model.to_owned()).collect();
    }

    /// The next request that arrives.
    pub async fn call(&mut self) -> Call {
        self.calls.recv().await.unwrap()
    }

    /// Whether no request has arrived that the test has not taken.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, calls: mpsc::Sender<Call>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let wire = Wire::new(stream);
        let shared = Arc::clone(&shared);
        let calls = calls.clone();
        shared.connections.fetch_add(1, Ordering::AcqRel);
        connections.spawn(async move {
            converse(wire, &shared, calls).await;
            shared.connections.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

pub(super) async fn converse(mut wire: Wire, shared: &Shared, calls: mpsc::Sender<Call>) {
    while let Some(head) = wire.head().await {
        let Some((body, _)) = wire.body(&head).await else {
            return;
        };
        if head.start.starts_with("GET /v1/models") {
            let models = models(&shared.models.lock());
            wire.write(response(200, &[("content-type", "application/json")], &models)).await;
            continue;
        }
        let (give_back, returned) = oneshot::channel();
        let call = Call { head, body, wire, give_back };
        if calls.send(call).await.is_err() {
            return;
        }
        // A call that is dropped rather than finished takes its connection with it.
        match returned.await {
            Ok(same) => wire = same,
            Err(_) => return,
        }
    }
}

fn models(names: &[String]) -> String {
    let models =
        names.iter().map(|name| serde_json::json!({"id": name, "object": "model", "created": 1, "owned_by": "vllm"}));
    serde_json::json!({"object": "list", "data": models.collect::<Vec<_>>()}).to_string()
}

/// A whole response with a `content-length`.
pub fn response(status: u16, fields: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("HTTP/1.1 {status} Reason\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "\r\n" + body
}

impl Call {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Answers with a JSON body and finishes.
    pub async fn answer(mut self, status: u16, body: &str) {
        let fields = [("content-type", "application/json")];
        self.wire.write(response(status, &fields, body)).await;
        self.finish();
    }

    /// Sends the head of an event stream.
    pub async fn open(&mut self) {
        self.open_with("").await;
    }

    /// Sends the head of an event stream with more header lines, each ending in CRLF.
    pub async fn open_with(&mut self, lines: &str) {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n";
        let head = format!("{head}transfer-encoding: chunked\r\n{lines}\r\n");
        self.wire.write(head).await;
    }

    /// Sends one chunk of the stream; `false` when nobody listens any more.
    pub async fn send(&mut self, data: &str) -> bool {
        let chunk = format!("{:x}\r\n{data}\r\n", data.len());
        self.wire.write(chunk).await
    }

    /// Sends one event.
    pub async fn event(&mut self, data: &str) -> bool {
        self.send(&format!("data: {data}\n\n")).await
    }

    /// Sends bytes as they are, whatever they mean.
    pub async fn raw(&mut self, bytes: &str) {
        self.wire.write(bytes).await;
    }

    /// Sends these events and ends the stream in good order.
    pub async fn end_after(mut self, events: &[&str]) {
        for data in events {
            self.event(data).await;
        }
        self.end().await;
    }

    /// Ends the stream in good order.
    pub async fn end(self) {
        self.end_with("").await;
    }

    /// Ends the stream with trailer lines, each ending in CRLF.
    pub async fn end_with(mut self, trailers: &str) {
        self.wire.write(format!("0\r\n{trailers}\r\n")).await;
        self.finish();
    }

    /// Waits until the gateway has closed the connection.
    pub async fn closed(mut self) {
        self.wire.closed().await;
    }

    /// Closes the connection in good order, wherever the answer stands.
    pub fn close(self) {}

    /// Closes the connection with a reset.
    pub fn reset(self) {
        self.wire.reset();
    }

    fn finish(self) {
        // The engine may have been dropped already.
        let _ = self.give_back.send(self.wire);
    }
}
