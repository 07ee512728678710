//! A real Prometheus, with the samples of a text.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ports;
use crate::server::Server;

/// Which of Debian's packages has the programs.
const PACKAGE: &str = "prometheus";

/// A `prometheus` that scrapes nothing and answers questions about what it was given.
#[derive(Debug)]
pub struct Prometheus {
    _server: Server,
    _folder: TempDir,
    port: u16,
}

impl Prometheus {
    /// Starts one that holds the samples of `openmetrics`, a text with a time on every line.
    pub async fn with(openmetrics: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (text, data) = (folder.path().join("samples.om"), folder.path().join("data"));
        std::fs::write(&text, openmetrics).expect("the text in a file");
        make_blocks(&text, &data);
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, "scrape_configs: []\n").expect("the configuration in a file");
        loop {
            let port = ports::free();
            if let Some(server) = launch(port, &config, &data).await {
                return Self { _server: server, _folder: folder, port };
            }
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }
}

fn make_blocks(text: &Path, data: &Path) {
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([text, data])
        .output()
        .unwrap_or_else(|error| panic!("cannot run promtool ({error}): install Debian's package `{PACKAGE}`"));
    assert!(made.status.success(), "promtool: {}", String::from_utf8_lossy(&made.stderr));
}

async fn launch(port: u16, config: &Path, data: &Path) -> Option<Server> {
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", data.display()),
        "--storage.tsdb.retention.time=100y".to_owned(),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    let mut server = Server::start("prometheus", PACKAGE, &arguments);
    while !is_ready(port).await {
        if server.has_ended() {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Some(server)
}

async fn is_ready(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return false };
    let asked = b"GET /-/ready HTTP/1.1\r\nHost: prometheus\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    stream.write_all(asked).await.is_ok()
        && stream.read_to_string(&mut answer).await.is_ok()
        && answer.starts_with("HTTP/1.1 200")
}
