//! Hand-driven peers over real loopback sockets: the test decides each byte that either side sends.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests; each binary uses its part")]

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use proxy::{Body, Client, ClientConfig, Drain, Listener, ListenerConfig, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Fails the test where something that must happen does not. Long, since it bounds only failures.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("nothing happened for 20 s")
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) fn client() -> Client {
    Client::new(ClientConfig::default())
}

/// An upstream whose answers the test writes.
pub(crate) struct Upstream {
    listener: TcpListener,
    pub(crate) target: Target,
}

impl Upstream {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind(loopback()).await.unwrap();
        let target = Target::from_addr(listener.local_addr().unwrap());
        Self { listener, target }
    }

    pub(crate) async fn accept(&self) -> Peer {
        Peer(within(self.listener.accept()).await.unwrap().0)
    }

    /// Accepts, reads a request head and answers.
    pub(crate) async fn answer(&self, response: &str) -> Peer {
        let mut peer = self.accept().await;
        peer.head().await;
        peer.send(response).await;
        peer
    }
}

/// One end of a connection, in the hands of the test.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self(within(TcpStream::connect(addr)).await.unwrap())
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads to the blank line that ends a head.
    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// Reads until what has come ends with `end`.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let byte = within(self.0.read_u8()).await.unwrap_or_else(|error| panic!("{error} after {text:?}"));
            text.push(char::from(byte));
        }
        text
    }

    /// Reads to the end of the stream, or a reset.
    pub(crate) async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = within(self.0.read_to_end(&mut bytes)).await;
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Starts a server on loopback; the drain that stops it comes back with its address.
pub(crate) fn serve<S, F>(config: ListenerConfig, service: S) -> (SocketAddr, Drain)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let drain = Drain::new();
    let listener = Listener::bind(loopback(), config).unwrap();
    let addr = listener.local_addr();
    drain.spawn(listener.serve(service, drain.clone()));
    (addr, drain)
}

/// The whole of a body, as text.
pub(crate) async fn text<B>(body: B) -> String
where
    B: http_body::Body<Data = bytes::Bytes> + Unpin,
    B::Error: Into<proxy::BoxError>,
{
    let bytes = within(proxy::body::collect(body, 1 << 20)).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::Empty).unwrap()
}

pub(crate) fn post(path: &str, body: &'static str) -> Request<Body> {
    Request::post(path).body(Body::from(body)).unwrap()
}
