//! A client that sees every byte.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::net::TcpStream;

use super::wire::{Chunk, Fields, Head, Wire};

/// One connection to the gateway.
pub struct Client {
    pub wire: Wire,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub head: Head,
    pub body: Bytes,
    pub trailers: Fields,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Checks for the OpenAI error shape and returns the message.
    pub fn error(&self) -> String {
        let json = self.json();
        let error = json["error"].as_object().unwrap_or_else(|| panic!("no error: {json}"));
        assert_eq!(self.head.get("content-type"), Some("application/json"));
        for member in ["message", "type", "param", "code"] {
            assert!(error.contains_key(member), "no {member}: {json}");
        }
        error["message"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub async fn connect(addr: SocketAddr) -> Self {
        Self { wire: Wire::new(TcpStream::connect(addr).await.unwrap()) }
    }

    /// Sends a request with a body; `lines` are more header lines, each ending in CRLF.
    pub async fn send(&mut self, method: &str, path: &str, lines: &str, body: &str) {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {length}\r\n");
        self.wire.write(format!("{head}{lines}\r\n{body}")).await;
    }

    pub async fn post(&mut self, path: &str, body: &str) {
        let lines = "content-type: application/json\r\n";
        self.send("POST", path, lines, body).await;
    }

    /// The head of the answer.
    pub async fn head(&mut self) -> Head {
        self.wire.head().await.expect("the gateway closed instead of answering")
    }

    /// The whole answer; panics where it is cut off.
    pub async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let (body, trailers) = self.wire.body(&head).await.expect("the answer was cut off");
        Answer { head, body, trailers }
    }

    /// The data of the next chunk; `None` at the end of the body.
    pub async fn data(&mut self) -> Option<String> {
        match self.wire.chunk().await.expect("the answer was cut off") {
            Chunk::Data(data) => Some(String::from_utf8(data.to_vec()).unwrap()),
            Chunk::End(_) => None,
        }
    }

    /// What is left of a chunked body, and its trailers.
    pub async fn rest(&mut self) -> (String, Fields) {
        let mut text = String::new();
        loop {
            match self.wire.chunk().await.expect("the answer was cut off") {
                Chunk::Data(data) => text.push_str(std::str::from_utf8(&data).unwrap()),
                Chunk::End(trailers) => return (text, trailers),
            }
        }
    }
}
