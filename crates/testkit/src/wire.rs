//! A wire that can be slow, or dead.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Passes TCP connections on, each chunk after a delay. Ends with its value.
#[derive(Debug)]
pub struct Wire {
    addr: SocketAddr,
    delay: Arc<AtomicU64>,
    _task: JoinSet<()>,
}

impl Wire {
    /// A wire to `target` that delays every chunk, either way.
    pub async fn to(target: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let shared = Arc::new(AtomicU64::new(millis(delay)));
        let mut task = JoinSet::new();
        let delay = Arc::clone(&shared);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((inner, _)) = listener.accept().await {
                let Ok(outer) = TcpStream::connect(target).await else { continue };
                let ((inner_read, inner_write), (outer_read, outer_write)) = (inner.into_split(), outer.into_split());
                connections.spawn(pass_on(inner_read, outer_write, Arc::clone(&delay)));
                connections.spawn(pass_on(outer_read, inner_write, Arc::clone(&delay)));
            }
        });
        Self { addr, delay: shared, _task: task }
    }

    /// This end of it.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Delays chunks that come from now on by so much.
    pub fn set_delay(&self, delay: Duration) {
        self.delay.store(millis(delay), Ordering::Relaxed);
    }
}

fn millis(delay: Duration) -> u64 {
    u64::try_from(delay.as_millis()).expect("a delay in milliseconds")
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Arc<AtomicU64>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        match delay.load(Ordering::Relaxed) {
            0 => {}
            millis => tokio::time::sleep(Duration::from_millis(millis)).await,
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
