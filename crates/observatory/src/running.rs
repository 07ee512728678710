//! Starting an observatory, and stopping it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proxy::server::{BindError, Listener, ListenerConfig};
use proxy::{Drain, DrainReport};
use telemetry::Telemetry;
use tokio::time::MissedTickBehavior;

use crate::config::Config;
use crate::disk::DiskError;
use crate::server::{handle, receive};
use crate::state::State;

/// How often what is too old is looked for.
const MAINTAIN_EVERY: Duration = Duration::from_secs(15);

/// Why an observatory did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(#[from] DiskError),
}

/// An observatory at work. Dropping it does not stop it; [`Running::shutdown`] does.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where else OTLP arrives: gRPC's address, then HTTP's.
    pub otlp: Vec<SocketAddr>,
    /// What its requests share.
    pub state: Arc<State>,
    drain_timeout: Duration,
}

/// Binds and serves. The observatory answers from the moment this returns.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn start(config: Config, telemetry: Arc<Telemetry>) -> Result<Running, StartError> {
    let drain = Drain::new();
    let listener = Listener::bind(config.listen, ListenerConfig::default())?;
    let addr = listener.local_addr();
    let state = Arc::new(State::new(&config, telemetry, drain.clone())?);
    let shared = Arc::clone(&state);
    let serving = listener.serve(move |request| handle(Arc::clone(&shared), request), drain.clone());
    drain.spawn(serving);
    let mut otlp = Vec::new();
    for wanted in config.traces.otlp {
        let listener = Listener::bind(wanted, ListenerConfig::default())?;
        otlp.push(listener.local_addr());
        let shared = Arc::clone(&state);
        drain.spawn(listener.serve(move |request| receive(Arc::clone(&shared), request), drain.clone()));
    }
    // Where another Prometheus answers, it also scrapes.
    if config.prometheus.is_none() {
        state.targets.set("--scrape", config.targets);
        drain.spawn(Arc::clone(&state.targets).run(Arc::clone(&state.metrics), drain.clone()));
        for discovery in config.discovery {
            drain.spawn(discovery.run(Arc::clone(&state.targets), drain.clone()));
        }
    }
    drain.spawn(maintain(Arc::clone(&state)));
    tracing::info!(%addr, ?otlp, "observatory listens");
    Ok(Running { addr, otlp, state, drain_timeout: config.drain_timeout })
}

/// Keeps the store within its bounds until the drain begins.
async fn maintain(state: Arc<State>) {
    let mut tick = tokio::time::interval(MAINTAIN_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = state.drain.begun() => return,
            _ = tick.tick() => {}
        }
        // A disk may be slow; whoever is served here does not wait for it.
        let maintaining = Arc::clone(&state);
        if let Err(error) = tokio::task::spawn_blocking(move || maintaining.maintain()).await {
            tracing::error!(%error, "the stores are not kept within their bounds any more");
            return;
        }
    }
}

impl Running {
    /// Stops accepting, lets the requests in flight finish for at most the drain time-out, and says whether they did.
    pub async fn shutdown(self) -> DrainReport {
        let report = self.state.drain.finish(self.drain_timeout).await;
        self.state.metrics.sync();
        if let Some(log) = &self.state.log {
            log.sync();
        }
        if let Some(data_dir) = &self.state.data_dir {
            data_dir.release();
        }
        tracing::info!(complete = report.complete, cut = report.cut, "observatory stopped");
        report
    }
}
