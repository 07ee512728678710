//! The echo probe: how much of a measured difference is the machine and not the product.
//!
//! Between the server's "handed to the connection" and the client's "read from the socket" lie a wake-up of the
//! client's thread, and between the client's "about to write" and the server's "head parsed" one of the server's. On a
//! busy two-core machine these cost more than anything that Candor does, and nobody can measure them away. So a probe
//! runs beside the load, between the same two processes: a request with nothing in it. The client sends a byte; the
//! server keeps it for a random while, measures how long, and sends that number back; the round trip less the time
//! kept is exactly these two wake-ups and the loopback device. The bounds of `design/latency.md` hold beyond it.
//!
//! The while matters. An echo that comes back at once finds the client's core awake and running, for it ran an
//! instant ago; a core that the hypervisor or another process has taken away for some milliseconds would then hardly
//! ever be seen, though every token that arrives meanwhile waits for it (coordinated omission).
//!
//! A number that the coordinator took is two wake-ups further away, since the request reaches it, and its tokens reach the
//! client, through the gateway: it is given two round trips.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::stats::Quantiles;
use crate::stopwatch;

/// Connections that a prober keeps busy.
const CONNECTIONS: usize = 2;

/// How long the server keeps a byte, in microseconds: long enough for both sides to have gone to sleep.
const KEPT_MICROS: RangeInclusive<u64> = 1_000..=9_000;

/// The probe's round trips over a run, each less the time that the server kept it.
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

/// Keeps and answers every byte until dropped; runs in the serving process.
///
/// # Errors
/// Only when the listener itself fails; a broken connection ends that connection.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let mut probers = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        while probers.try_join_next().is_some() {}
        probers.spawn(async move {
            if let Err(error) = answer(stream).await {
                tracing::debug!(%error, "echo connection ended");
            }
        });
    }
}

/// Answers each byte with how many nanoseconds it was kept.
async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut byte = [0; 1];
    while stream.read(&mut byte).await? == 1 {
        let came = stopwatch::now();
        let kept = Duration::from_micros(rand::rng().random_range(KEPT_MICROS));
        tokio::time::sleep(kept).await;
        let kept = stopwatch::now().nanos_since(came);
        stream.write_all(&kept.to_le_bytes()).await?;
    }
    Ok(())
}

/// Bytes on their way, and what they took: runs beside the load until stopped or dropped.
#[derive(Debug)]
pub struct Prober {
    probes: JoinSet<()>,
    round_trips: Arc<Mutex<Vec<u64>>>,
}

impl Prober {
    /// Opens a few connections to a listener that [`serve`]s, and probes on each of them without a pause.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn start(addr: SocketAddr) -> std::io::Result<Self> {
        let mut prober = Self { probes: JoinSet::new(), round_trips: Arc::default() };
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            let round_trips = Arc::clone(&prober.round_trips);
            prober.probes.spawn(async move {
                // An error is the other side's end; what was measured stays.
                while let Ok(nanos) = round_trip(&mut stream).await {
                    round_trips.lock().push(nanos);
                }
            });
        }
        Ok(prober)
    }

    /// What was measured, `None` when it was not even two round trips.
    pub fn stop(self) -> Option<Noise> {
        drop(self.probes);
        let round_trips = std::mem::take(&mut *self.round_trips.lock());
        let pairs: Vec<u64> = round_trips.windows(2).map(|pair| pair[0] + pair[1]).collect();
        let (one, two) = (Quantiles::of(round_trips), Quantiles::of(pairs));
        Some(Noise {
            samples: one.count(),
            p50_ns: one.at(0.5)?,
            p99_ns: one.at(0.99)?,
            two_p50_ns: two.at(0.5)?,
            two_p99_ns: two.at(0.99)?,
        })
    }
}

/// One byte there and back: the time in nanoseconds, less what the server kept it for.
async fn round_trip(stream: &mut TcpStream) -> std::io::Result<u64> {
    let mut kept = [0; size_of::<u64>()];
    let sent = stopwatch::now();
    stream.write_all(b".").await?;
    stream.read_exact(&mut kept).await?;
    Ok(stopwatch::now().nanos_since(sent).saturating_sub(u64::from_le_bytes(kept)))
}
