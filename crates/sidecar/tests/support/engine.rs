//! An engine driven by hand: it accepts connections and reads requests; what it answers, and when, the test says.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Nothing that is waited for in a test takes this long unless it never happens.
pub const SOON: Duration = Duration::from_secs(10);

/// A hand-driven engine on a loopback port.
pub struct Engine {
    pub addr: SocketAddr,
    calls: mpsc::Receiver<Call>,
    _tasks: JoinSet<()>,
}

/// A request that an engine received, and its connection.
pub struct Call {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    stream: TcpStream,
    back: mpsc::Sender<TcpStream>,
}

impl Engine {
    pub async fn start() -> Self {
        Self::start_at(0).await.unwrap()
    }

    /// An engine on this port, if it is free.
    pub async fn start_at(port: u16) -> Option<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.ok()?;
        let addr = listener.local_addr().unwrap();
        let (tell, calls) = mpsc::channel(64);
        let (back, returned) = mpsc::channel(64);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, returned, tell, back));
        Some(Self { addr, calls, _tasks: tasks })
    }

    /// The next request.
    pub async fn next(&mut self) -> Call {
        tokio::time::timeout(SOON, self.calls.recv()).await.expect("a request in time").expect("the engine runs")
    }

    /// Asserts that no request waits, once everything that is under way has come to rest.
    pub async fn expect_none(&mut self) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(self.calls.try_recv().is_err(), "a request that nobody wanted");
    }
}

async fn accept(
    listener: TcpListener,
    mut returned: mpsc::Receiver<TcpStream>,
    tell: mpsc::Sender<Call>,
    back: mpsc::Sender<TcpStream>,
) {
    let mut readers = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            Some(stream) = returned.recv() => stream,
        };
        stream.set_nodelay(true).unwrap();
        let (tell, back) = (tell.clone(), back.clone());
        readers.spawn(async move {
            if let Some(call) = read(stream, back).await {
                let _ = tell.send(call).await;
            }
        });
    }
}

async fn read(mut stream: TcpStream, back: mpsc::Sender<TcpStream>) -> Option<Call> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = bytes.split_off(head_end);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Call { method, path, headers, body, stream, back })
}

impl Call {
    /// All values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Writes raw bytes.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Answers with a whole response and keeps the connection open for more.
    pub async fn answer(mut self, status: u16, content_type: &str, body: &str) {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n");
        self.write(format!("{head}{body}")).await;
        self.back.send(self.stream).await.unwrap();
    }

    pub async fn json_answer(self, status: u16, body: &str) {
        self.answer(status, "application/json", body).await;
    }

    /// As [`Call::json_answer`], and closes the connection without a word after it.
    pub async fn answer_and_close(mut self, body: &str) {
        let length = body.len();
        self.write(format!(
            "HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await;
    }

    /// Begins a stream of events.
    pub async fn begin_stream(&mut self) {
        self.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await;
    }

    /// Sends bytes of a stream, as one chunk.
    pub async fn chunk(&mut self, text: &str) {
        self.write(format!("{:x}\r\n{text}\r\n", text.len())).await;
    }

    /// Sends an event with a token of text.
    pub async fn token(&mut self, text: &str) {
        self.chunk(&token_event(text)).await;
    }

    /// Ends the stream as an engine does.
    pub async fn finish_stream(mut self) {
        self.chunk("data: {\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
            .await;
        self.write("0\r\n\r\n").await;
        self.back.send(self.stream).await.unwrap();
    }

    /// Breaks the connection in the roughest way.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Waits until the other side has closed the connection.
    pub async fn closed(&mut self) {
        let mut rest = [0; 64];
        let read = tokio::time::timeout(SOON, self.stream.read(&mut rest)).await.expect("closed in time");
        assert!(matches!(read, Ok(0) | Err(_)), "bytes where the end was expected");
    }

    /// Asserts that the other side keeps the connection open.
    pub async fn stays_open(&mut self) {
        let mut rest = [0; 64];
        let read = tokio::time::timeout(Duration::from_millis(150), self.stream.read(&mut rest)).await;
        assert!(read.is_err(), "the connection was closed");
    }
}

/// An event with a token of text, as vLLM's completions API sends it.
pub fn token_event(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"text\":\"{text}\",\"finish_reason\":null}}]}}\n\n")
}
