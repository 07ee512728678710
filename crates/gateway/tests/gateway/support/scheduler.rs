//! A scheduler that says what the test says, in upstream's wire format.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::engine::{Call, Shared, converse};
use super::soon;
use super::wire::Wire;

/// Listens on a free port. Whoever keeps a connection alive is greeted; everything else becomes a [`Call`].
pub struct Scheduler {
    pub addr: SocketAddr,
    calls: mpsc::Receiver<Call>,
    gateway: watch::Receiver<Option<String>>,
    tasks: JoinSet<()>,
}

impl Scheduler {
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    /// One that takes batches, as Candor's own does.
    pub async fn taking_batches() -> Self {
        Self::listen("127.0.0.1:0".parse().unwrap(), true).await
    }

    /// The same at an address of the test's choice.
    pub async fn start_at(addr: SocketAddr) -> Self {
        Self::listen(addr, false).await
    }

    async fn listen(addr: SocketAddr, batches: bool) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, calls) = mpsc::channel(1024);
        let (known, gateway) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, sender, known, batches));
        Self { addr, calls, gateway, tasks }
    }

    /// The next call.
    pub async fn call(&mut self) -> Call {
        soon(self.calls.recv()).await.unwrap()
    }

    /// The next call, which must be to `path`.
    pub async fn call_to(&mut self, path: &str) -> Call {
        let call = self.call().await;
        assert_eq!(call.head.start, format!("POST {path} HTTP/1.1"), "{:?}", call.body);
        call
    }

    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }

    /// The gateway's name for itself, once it keeps a connection alive.
    pub async fn gateway(&mut self) -> String {
        soon(self.gateway.wait_for(Option::is_some)).await.unwrap().clone().unwrap()
    }

    /// Closes everything, and listens no more.
    pub async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

async fn accept(listener: TcpListener, calls: mpsc::Sender<Call>, known: watch::Sender<Option<String>>, batches: bool) {
    let shared = Arc::new(Shared::default());
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (calls, known, shared) = (calls.clone(), known.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            let mut start = [0; 14];
            while stream.peek(&mut start).await.unwrap_or(start.len()) < start.len() {
                tokio::task::yield_now().await;
            }
            match start.starts_with(b"GET /keepalive") {
                true => keep_alive(stream, &known, batches).await,
                false => converse(Wire::new(stream), &shared, calls).await,
            }
        });
    }
}

async fn keep_alive(stream: TcpStream, known: &watch::Sender<Option<String>>, batches: bool) {
    let theirs = stream.peer_addr().unwrap();
    #[expect(clippy::result_large_err, reason = "the library's type of such a callback")]
    let takes_batches = |_: &Request, mut response: Response| {
        if batches {
            response.headers_mut().insert("x-candor-takes-batches", "1".parse().unwrap());
        }
        Ok(response)
    };
    let mut socket = accept_hdr_async(stream, takes_batches).await.unwrap();
    let Some(Ok(Message::Text(greeting))) = socket.next().await else { return };
    let greeting: Value = serde_json::from_str(&greeting).unwrap();
    assert_eq!(greeting, json!({"host": theirs.ip().to_string(), "port": theirs.port()}), "its own end");
    socket.send(Message::text("ok")).await.unwrap();
    socket.send(Message::Ping("?".into())).await.unwrap();
    let pong = socket.next().await;
    assert!(matches!(pong, Some(Ok(Message::Pong(_)))), "{pong:?}");
    // Whoever answers pings has read the greeting's answer.
    known.send_replace(Some(theirs.to_string()));
    // Until the other end goes.
    while let Some(Ok(_)) = socket.next().await {}
    known.send_replace(None);
}

/// An instance as the scheduler names it.
pub fn instance(infer_type: &str, addr: SocketAddr) -> Value {
    json!({
        "version": 7, "id": format!("{infer_type}-{addr}"), "model": "tiny", "infer_type": infer_type,
        "endpoint": {"host": addr.ip().to_string(), "port": addr.port()},
        "aux_ip": "127.0.0.1", "aux_port": 1, "dp_rank": 0, "dp_size": 1,
    })
}

impl Call {
    /// Places the request.
    pub async fn place(self, instances: &[Value]) -> Value {
        let asked = self.json();
        let mut answer = asked.clone();
        answer["scheduling_result"] = instances.into();
        self.answer(200, &answer.to_string()).await;
        asked
    }

    /// Places all that a batch asks for.
    pub async fn place_batch(self, instances: &[Value]) -> Value {
        let batch = self.json();
        let verdict = json!({"status": 200, "scheduling_result": instances});
        let verdicts = vec![verdict; batch["schedule"].as_array().unwrap().len()];
        self.answer(200, &Value::from(verdicts).to_string()).await;
        batch
    }
}
