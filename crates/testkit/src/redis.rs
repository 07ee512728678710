//! A real Redis.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ports;
use crate::server::Server;

/// `redis-server` without persistence: one that is started again is empty.
#[derive(Debug)]
pub struct Redis {
    server: Option<Server>,
    port: u16,
}

impl Redis {
    /// Starts one, and waits until it answers.
    pub async fn start() -> Self {
        loop {
            let port = ports::free();
            if let Some(server) = launch(port).await {
                return Self { server: Some(server), port };
            }
        }
    }

    /// Where it listens, or did.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The same as clients write it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr())
    }

    /// Kills it. Its data is lost.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Kills it where it runs, and starts an empty one in its place.
    pub async fn restart(&mut self) {
        self.stop();
        let server = launch(self.port).await;
        self.server = Some(server.expect("Redis on the port that it had before"));
    }

    /// Sends one command of words without spaces, and returns the beginning of the answer as it came.
    pub async fn command(&self, command: &str) -> String {
        ask(self.addr(), command).await.expect("Redis answers")
    }
}

/// A Redis on `port`; none when the port was taken by somebody else.
async fn launch(port: u16) -> Option<Server> {
    let arguments = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let mut server = Server::start("redis-server", "redis-server", &arguments.map(str::to_owned));
    let ours = format!("process_id:{}\r\n", server.pid());
    loop {
        // Somebody else's Redis would answer, too.
        match ask(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "INFO server").await {
            Some(answer) if answer.contains(&ours) => return Some(server),
            _ if server.has_ended() => return None,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn ask(addr: SocketAddr, command: &str) -> Option<String> {
    let mut stream = TcpStream::connect(addr).await.ok()?;
    stream.write_all(format!("{command}\r\n").as_bytes()).await.ok()?;
    let mut answer = vec![0; 64 << 10];
    let length = stream.read(&mut answer).await.ok()?;
    Some(String::from_utf8_lossy(&answer[..length]).into_owned())
}
