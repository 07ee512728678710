//! HTTP/1.1 by hand, for both ends of the gateway: a test must see the very bytes, chunks and closes.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The start line and header fields of a message. Field names are in lower case.
#[derive(Debug, Clone, Default)]
pub struct Head {
    pub start: String,
    pub fields: Vec<(String, String)>,
}

impl Head {
    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Self { start, fields }
    }

    /// The value of the one field called `name`; panics where there are several.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "several {name}: {self:?}");
        value
    }

    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// A connection with what was read ahead of need.
pub struct Wire {
    stream: TcpStream,
    read: BytesMut,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, read: BytesMut::new() }
    }

    /// Reads more; `false` at the end or after a reset.
    async fn fill(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.read).await, Ok(read) if read > 0)
    }

    /// The next head; `None` when the peer has closed.
    pub async fn head(&mut self) -> Option<Head> {
        loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                let head = self.read.split_to(end + 4);
                return Some(Head::parse(std::str::from_utf8(&head[..end]).unwrap()));
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.read, b"\r\n") {
                let line = self.read.split_to(end + 2);
                return Some(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    async fn exactly(&mut self, length: usize) -> Option<Bytes> {
        while self.read.len() < length {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.read.split_to(length).freeze())
    }

    /// The next chunk of a chunked body: data, the trailers at its end, or `None` where it was cut off.
    pub async fn chunk(&mut self) -> Option<Chunk> {
        let size = self.line().await?;
        let size = usize::from_str_radix(&size, 16).unwrap();
        if size > 0 {
            let data = self.exactly(size + 2).await?;
            return Some(Chunk::Data(data.slice(..size)));
        }
        let mut text = String::from("\r\n");
        loop {
            match self.line().await?.as_str() {
                "" => return Some(Chunk::End(Head::parse(&text).fields)),
                line => text = format!("{text}{line}\r\n"),
            }
        }
    }

    /// A whole body as its head declares it; `None` where it was cut off.
    pub async fn body(&mut self, head: &Head) -> Option<(Bytes, Fields)> {
        if head.get("transfer-encoding") == Some("chunked") {
            let mut body = BytesMut::new();
            loop {
                match self.chunk().await? {
                    Chunk::Data(data) => body.extend_from_slice(&data),
                    Chunk::End(trailers) => return Some((body.freeze(), trailers)),
                }
            }
        }
        let length = head.get("content-length").map_or(0, |length| length.parse().unwrap());
        Some((self.exactly(length).await?, Vec::new()))
    }

    /// Writes; a peer that has gone is no fault of the test.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Waits until the peer has closed or reset the connection, throwing away what it still sends.
    pub async fn closed(&mut self) {
        while self.fill().await {
            self.read.advance(self.read.len());
        }
    }

    /// Closes with a reset rather than an orderly end.
    pub fn reset(self) {
        #[expect(deprecated, reason = "a linger of nothing does not block; it is how a reset is sent")]
        self.stream.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
}

/// Header fields in the order they came.
pub type Fields = Vec<(String, String)>;

/// A piece of a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub enum Chunk {
    Data(Bytes),
    End(Fields),
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
