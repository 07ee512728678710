//! The echo probe: how much of a measured difference is the machine and not the product.
//!
//! Between the server's "handed to the connection" and the client's "read from the socket" lie a wake-up of the
//! client's thread, and between the client's "about to write" and the server's "head parsed" one of the server's. On a
//! busy two-core machine these cost more than anything that Candor does, and nobody can measure them away. So the
//! probe sends one byte there and back between the same two processes, all through the run: its round trip is exactly
//! these two wake-ups and the loopback device. The bounds of `design/latency.md` hold beyond it.
//!
//! A number that the coordinator took is two wake-ups further away, since the request reaches it, and its tokens reach the
//! client, through the gateway: it is given two round trips.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::stats::Quantiles;
use crate::stopwatch;

/// The probe's round trips over a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// How many round trips were made.
    pub samples: u64,
    /// Median round trip in nanoseconds.
    pub p50_ns: u64,
    /// 99th percentile in nanoseconds.
    pub p99_ns: u64,
    /// Median of two round trips, one after the other: what lies between a client and a process behind another.
    pub two_p50_ns: u64,
    /// Their 99th percentile.
    pub two_p99_ns: u64,
}

/// Answers every byte with itself until dropped; runs in the serving process.
///
/// # Errors
/// Only when the listener itself fails; a broken connection ends that connection.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // One prober at a time is the use; a second one waits for the first to leave.
        if let Err(error) = bounce(stream).await {
            tracing::debug!(%error, "echo connection ended");
        }
    }
}

async fn bounce(mut stream: TcpStream) -> std::io::Result<()> {
    let mut byte = [0; 1];
    while stream.read(&mut byte).await? == 1 {
        stream.write_all(&byte).await?;
    }
    Ok(())
}

/// Sends a byte every `period` and times its way there and back; runs beside the load until dropped or stopped.
#[derive(Debug)]
pub struct Prober {
    stream: TcpStream,
    period: Duration,
    round_trips: Vec<u64>,
}

impl Prober {
    /// Connects to a listener that [`serve`]s.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(addr: SocketAddr, period: Duration) -> std::io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, period, round_trips: Vec::new() })
    }

    /// Probes until cancelled or until the other side goes away; what was measured stays.
    pub async fn run(&mut self) {
        while self.round_trip().await.is_ok() {
            tokio::time::sleep(self.period).await;
        }
    }

    async fn round_trip(&mut self) -> std::io::Result<()> {
        let sent = stopwatch::now();
        self.stream.write_all(b".").await?;
        self.stream.read_exact(&mut [0; 1]).await?;
        self.round_trips.push(stopwatch::now().nanos_since(sent));
        Ok(())
    }

    /// What was measured, `None` when it was not even two round trips.
    pub fn noise(self) -> Option<Noise> {
        let pairs: Vec<u64> = self.round_trips.windows(2).map(|pair| pair[0] + pair[1]).collect();
        let (one, two) = (Quantiles::of(self.round_trips), Quantiles::of(pairs));
        Some(Noise {
            samples: one.count(),
            p50_ns: one.at(0.5)?,
            p99_ns: one.at(0.99)?,
            two_p50_ns: two.at(0.5)?,
            two_p99_ns: two.at(0.99)?,
        })
    }
}
