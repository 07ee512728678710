//! What tests need of the world: a real Redis, a real etcd, a real Prometheus, and a wire between them and us that can be slow or dead.
//!
//! Only tests depend on this crate. A server that is not installed makes the test fail with one line that says which package
//! has it. Servers listen on loopback, on ports of their own, with an empty folder of their own, and die with their value.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests are what this is for")]

mod etcd;
mod ports;
mod prometheus;
mod redis;
mod server;
mod wire;

pub use etcd::Etcd;
pub use ports::free as free_port;
pub use prometheus::Prometheus;
pub use redis::Redis;
pub use wire::Wire;

/// Waits until `holds`, asking again and again; fails, naming `what`, when it takes absurdly long.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let asking = async {
        while !holds().await {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(std::time::Duration::from_secs(60), asking).await.is_err() {
        panic!("still not after a minute: {what}");
    }
}
