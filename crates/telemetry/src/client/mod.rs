//! The client's end of a relayed stream: what befalls a client that no latency of a request shows.
//!
//! Shared by the recorders of gateway and coordinator, so that the two mean the same by the same name.

mod late;
mod peer;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use late::Late;
pub use peer::Peer;

use crate::catalogue::client as catalogue;
use crate::clock::{Moment, nanos};
use crate::metrics::{Counter, Family, Histogram, Registry};
use crate::outcome::Stage;

/// What a relay watches for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClientTerms {
    /// A gap between tokens from which on it is a stall.
    pub stall_threshold: Duration,
    /// The share of first tokens that are followed out of the kernel, 0 to 1.
    pub egress_check_ratio: f64,
}

impl Default for ClientTerms {
    fn default() -> Self {
        Self { stall_threshold: Duration::from_secs(2), egress_check_ratio: 0.01 }
    }
}

/// Being held up for less than this is the time of a write, not a client that does not read.
const HELD_NANOS: u64 = 1_000_000;

/// One process's watch over its clients.
pub(crate) struct ClientWatch {
    aborts: Family<Histogram, 1>,
    stalls: [Counter; catalogue::STALL_PHASES.len()],
    held: Histogram,
    egress: Histogram,
    late: Late,
    stall_nanos: u64,
    /// Every how manieth first token is followed; 0: none.
    sample_every: u64,
    first_tokens: AtomicU64,
}

impl ClientWatch {
    pub(crate) fn new(registry: &Registry, terms: ClientTerms) -> Self {
        let stalls = registry.counter(&catalogue::STALLS_TOTAL);
        Self {
            aborts: registry.histogram(&catalogue::ABORT_MILLISECONDS),
            stalls: std::array::from_fn(|at| stalls.with([catalogue::STALL_PHASES[at]])),
            held: registry.histogram(&catalogue::HELD_SECONDS).with([]),
            egress: registry.histogram(&catalogue::EGRESS_MILLISECONDS).with([]),
            late: Late::default(),
            stall_nanos: nanos(terms.stall_threshold),
            sample_every: sample_every(terms.egress_check_ratio),
            first_tokens: AtomicU64::new(0),
        }
    }

    /// A first token took this long from the kernel's taking it to its having left.
    pub(crate) fn egress(&self, at: Moment, delay: Duration) {
        self.egress.observe_duration(delay);
        if let Some(median) = self.late.push(at, nanos(delay)) {
            tracing::warn!(
                p50_ms = median as f64 / 1e6,
                "first tokens leave the kernel late: clients that do not read, or a congested network; no TTFT contains this"
            );
        }
    }

    fn samples(&self) -> bool {
        self.sample_every > 0 && self.first_tokens.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.sample_every)
    }
}

/// The sampling period of a ratio.
fn sample_every(ratio: f64) -> u64 {
    // Not a number, and nothing, sample nothing.
    if ratio > 0.0 { (1.0 / ratio.min(1.0)).round() as u64 } else { 0 }
}

/// Why a stream stood still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stall {
    SecondToken,
    Decode,
    Client,
}

/// One request's client. A request that came by no connection of this process's (the legs of one that the gateway serves,
/// and watches over itself) has none: then nothing is observed.
#[derive(Debug, Default)]
pub(crate) struct ClientSide {
    peer: Option<Peer>,
    last_token: Option<Moment>,
    gaps: u32,
    held: u64,
    held_since_token: u64,
}

impl ClientSide {
    /// The connection that the request came by.
    pub(crate) fn came_by(&mut self, peer: Peer) {
        self.peer = Some(peer);
    }

    /// The stream could not be passed on for this long.
    pub(crate) fn held(&mut self, time: Duration) {
        if self.peer.is_some() && nanos(time) >= HELD_NANOS {
            self.held += nanos(time);
            self.held_since_token += nanos(time);
        }
    }

    /// Tokens were handed on.
    pub(crate) fn tokens(&mut self, watch: &ClientWatch, now: Moment) {
        let Some(peer) = &self.peer else { return };
        let held = std::mem::take(&mut self.held_since_token);
        let Some(last) = self.last_token.replace(now) else {
            // The write that carries it is still to come: it can be followed.
            if watch.samples() {
                peer.follow_next_write();
            }
            return;
        };
        let gap = now.nanos_since(last);
        self.gaps = self.gaps.saturating_add(1);
        if gap >= watch.stall_nanos {
            let stall = match () {
                () if held >= gap / 2 => Stall::Client,
                () if self.gaps == 1 => Stall::SecondToken,
                () => Stall::Decode,
            };
            watch.stalls[stall as usize].inc();
        }
    }

    /// The request has ended.
    pub(crate) fn ended(&self, watch: &ClientWatch) {
        if self.held > 0 {
            watch.held.observe(self.held);
        }
    }

    /// The client left in `stage`, and the engine's connection is closed by `now`. Where nobody noted when it left (one
    /// stream of an HTTP/2 connection was reset), there is no such number.
    pub(crate) fn aborted(&self, watch: &ClientWatch, now: Moment, stage: Stage) {
        if let Some(left) = self.peer.as_ref().and_then(Peer::left) {
            watch.aborts.with([stage.as_str()]).observe(now.nanos_since(left));
        }
    }
}

#[cfg(test)]
mod tests;
