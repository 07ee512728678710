//! The load generator: starts the requests of a plan, open or closed loop, and brings back a record of each.
//!
//! Everything runs on one current-thread runtime in a process of its own. One thread, so that a stamp is never later
//! than the read by more than the work of the requests that were read before it; a process of its own, so that the
//! stopwatch does not compete for a runtime with what it measures.

mod args;
mod arrivals;
mod spans;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use indicatif::ProgressBar;

pub use args::{Args, Fault, Pace, WorkloadArgs, run};
pub use spans::write as write_spans;

use crate::client::Client;
use crate::echo::Prober;
use crate::record::LoadReport;
use crate::stopwatch;
use crate::workload::{Plan, Workload};

/// When requests start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// At the times of a Poisson process, whether or not earlier requests have been answered.
    Open {
        /// Mean number of starts per second.
        rate: f64,
    },
    /// When an earlier request of the same client has ended.
    Closed {
        /// How many clients there are.
        clients: usize,
        /// The time over which the clients start their first requests, evenly.
        ramp: Duration,
    },
}

/// When to start no more requests; those under way are finished.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// After this many requests.
    pub requests: u64,
    /// After this time.
    pub time: Duration,
}

/// A load run, ready to go.
#[derive(Debug)]
pub struct Load {
    /// The server.
    pub target: Target,
    /// What is sent.
    pub workload: Workload,
    /// When it is sent.
    pub arrivals: Arrivals,
    /// How much of it.
    pub limit: Limit,
    /// How long one request may take.
    pub timeout: Duration,
    /// An echo listener in the serving process.
    pub echo: Option<SocketAddr>,
    /// Whether a progress bar would be in the way.
    pub quiet: bool,
    /// Marks the identifiers of this run.
    pub nonce: u64,
}

/// A server to send requests to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The `host` header.
    pub host: HeaderValue,
}

/// Why a load run could not be done at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Nobody echoes.
    #[error("no echo listener at {addr}: {error}")]
    Echo {
        /// Where it was expected.
        addr: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
}

impl Load {
    /// Runs it to its end.
    ///
    /// # Errors
    /// When the echo probe finds no listener. A server that is down is no error: its requests are in the report.
    pub async fn run(self) -> Result<LoadReport, LoadError> {
        let prober = match self.echo {
            Some(addr) => Some(Prober::start(addr).await.map_err(|error| LoadError::Echo { addr, error })?),
            None => None,
        };
        let plan = Plan::new(self.workload);
        let model = plan.model().to_owned();
        let (began, began_unix_ns) = (stopwatch::now(), telemetry::clock::now().unix_nanos());
        let client = Client::new(self.target, model, self.nonce, self.timeout, began);
        let bar = if self.quiet { ProgressBar::hidden() } else { progress(self.limit) };
        let run = arrivals::Run::new(Arc::new(client), plan, self.limit, bar.clone());
        let records = match self.arrivals {
            Arrivals::Open { rate } => run.open(rate).await,
            Arrivals::Closed { clients, ramp } => run.closed(clients, ramp).await,
        };
        bar.finish_and_clear();
        let elapsed_ns = stopwatch::now().nanos_since(began);
        Ok(LoadReport { began_unix_ns, elapsed_ns, records, noise: prober.and_then(Prober::stop) })
    }
}

/// A bar on stderr, drawn only where that is a terminal.
fn progress(limit: Limit) -> ProgressBar {
    let bar = if limit.requests == u64::MAX { ProgressBar::new_spinner() } else { ProgressBar::new(limit.requests) };
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
