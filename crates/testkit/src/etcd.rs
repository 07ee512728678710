//! A real etcd.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ports;
use crate::server::Server;

/// A cluster of one `etcd`.
#[derive(Debug)]
pub struct Etcd {
    server: Option<Server>,
    folder: TempDir,
    port: u16,
}

impl Etcd {
    /// Starts one, and waits until it answers.
    pub async fn start() -> Self {
        loop {
            let (port, folder) = (ports::free(), folder());
            if let Some(server) = launch(port, &folder).await {
                return Self { server: Some(server), folder, port };
            }
        }
    }

    /// Where clients find it.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Kills it. Its data stays.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Kills it where it runs, and starts it again with what it knew.
    pub async fn restart(&mut self) {
        self.stop();
        let server = launch(self.port, &self.folder).await;
        self.server = Some(server.expect("etcd on the port that it had before"));
    }

    /// Kills it where it runs, and starts an empty one in its place.
    pub async fn replace(&mut self) {
        self.stop();
        self.folder = folder();
        self.restart().await;
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

async fn launch(port: u16, folder: &TempDir) -> Option<Server> {
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", ports::free()));
    let arguments = [
        "--name=t".to_owned(),
        format!("--data-dir={}", folder.path().display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=t={peer}"),
        "--unsafe-no-fsync".to_owned(),
    ];
    let mut server = Server::start("etcd", "etcd-server", &arguments);
    while !is_healthy(port).await {
        if server.has_ended() {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Some(server)
}

async fn is_healthy(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return false };
    let asked = b"GET /health HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    stream.write_all(asked).await.is_ok()
        && stream.read_to_string(&mut answer).await.is_ok()
        && answer.contains(r#""health":"true""#)
}
