//! A scripted server: answers each request as the test says, over a real socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// One step of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Writes these bytes.
    Write(String),
    /// Waits.
    Wait(Duration),
    /// Closes the connection.
    Close,
}

/// A request as the server received it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: serde_json::Value,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) received: mpsc::Receiver<Received>,
    /// How many connections were accepted.
    pub(crate) accepted: Arc<std::sync::atomic::AtomicUsize>,
    _tasks: JoinSet<()>,
}

/// Starts a server that answers every request with `script`'s steps.
pub(crate) async fn serve(script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let (seen, received) = mpsc::channel(10_000);
    let accepted = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let script = Arc::new(script);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let (script, seen) = (Arc::clone(&script), seen.clone());
            connections.spawn(async move {
                let _ = connection(stream, &*script, &seen).await;
            });
        }
    });
    Server { addr, received, accepted, _tasks: tasks }
}

async fn connection(
    stream: TcpStream,
    script: &(dyn Fn(&Received) -> Vec<Step> + Send + Sync),
    seen: &mpsc::Sender<Received>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(received) = request(&mut stream).await? {
        let steps = script(&received);
        let _ = seen.try_send(received);
        for step in steps {
            match step {
                Step::Write(text) => stream.write_all(text.as_bytes()).await?,
                Step::Wait(time) => tokio::time::sleep(time).await,
                Step::Close => return Ok(()),
            }
        }
    }
    Ok(())
}

async fn request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Received>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Some(Received { path, headers, body }))
}

/// A response head for a chunked stream.
pub(crate) fn stream_head() -> Step {
    Step::Write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_owned())
}

/// One event in one HTTP chunk.
pub(crate) fn event(data: &str) -> Step {
    let event = format!("data: {data}\n\n");
    Step::Write(format!("{:x}\r\n{event}\r\n", event.len()))
}

/// The end of a chunked body.
pub(crate) fn stream_end() -> Step {
    Step::Write("0\r\n\r\n".to_owned())
}

/// A completion chunk with this text.
pub(crate) fn text_chunk(text: &str) -> Step {
    event(&format!(r#"{{"choices":[{{"index":0,"text":"{text}","finish_reason":null}}]}}"#))
}

/// A whole answer with this status and JSON body.
pub(crate) fn whole(status: u16, body: &str) -> Vec<Step> {
    vec![Step::Write(format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))]
}

/// A stream of `tokens` tokens, `gap` apart, that ends as it should.
pub(crate) fn stream(tokens: usize, gap: Duration) -> Vec<Step> {
    let mut steps = vec![stream_head()];
    for _ in 0..tokens {
        steps.extend([Step::Wait(gap), text_chunk("a")]);
    }
    steps.extend([event("[DONE]"), stream_end()]);
    steps
}
