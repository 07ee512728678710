//! The line protocol of the side channel.
//!
//! A client writes one command per line, fields separated by single spaces, and reads one answer per line:
//!
//! | command | answer | then |
//! |---|---|---|
//! | `pull <engine> <request>` | `ok` | client transfers, then writes `done` |
//! | `free <engine> <request>` | `ok` | |
//! | `follow <request>` | `ok` | client writes `tokens <count>` again and again, and `end <reason>` |
//! | `join <room> [<engine>]` | `ok` once prefill is complete | client transfers, then writes `done` |
//! | `compute <request> <salt> <token> …` | `ok` once it is computed and held | |
//! | `GET /query HTTP/1.1` | Mooncake's bootstrap answer, as HTTP | the conversation ends |
//! | `put <hash> …` | `ok` | |
//! | `get <hash> …` | `hit <count>` | |
//!
//! `no <reason>` refuses any of them. Names contain no white space; they are the ids that engines make themselves.

use std::io;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Longest line: a prompt of a million tokens in blocks of 16 is as many hashes of 17 characters.
const MAX_LINE: u64 = 1 << 21;

/// One side of a conversation.
#[derive(Debug)]
pub(crate) struct Link {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Link {
    /// Talks over `stream`.
    pub(crate) fn new(stream: TcpStream) -> Self {
        // A dead peer is noticed by the next write at the latest; latency is all the option is for.
        let _ = stream.set_nodelay(true);
        Self { stream: BufReader::new(stream), line: String::new() }
    }

    /// Connects to `address` (`host:port`).
    pub(crate) async fn connect(address: &str) -> io::Result<Self> {
        Ok(Self::new(TcpStream::connect(address).await?))
    }

    /// Writes one line.
    pub(crate) async fn write(&mut self, line: &str) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        self.stream.get_mut().write_all(&bytes).await
    }

    /// Reads one line; `None` at the end of the conversation.
    pub(crate) async fn read(&mut self) -> io::Result<Option<&str>> {
        self.line.clear();
        (&mut self.stream).take(MAX_LINE).read_line(&mut self.line).await?;
        if self.line.is_empty() {
            return Ok(None);
        }
        match self.line.strip_suffix('\n') {
            Some(line) => Ok(Some(line)),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "half a line")),
        }
    }

    /// Writes a command and reads its answer.
    pub(crate) async fn ask(&mut self, command: &str) -> io::Result<&str> {
        self.write(command).await?;
        let answer = self.read().await?;
        answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Resolves when the other side leaves (or breaks the protocol by talking).
    pub(crate) async fn closed(&mut self) {
        // Any outcome ends the conversation.
        let _ = self.stream.fill_buf().await;
    }
}
