//! Starting a gateway, and stopping it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proxy::server::{BindError, Listener, ListenerConfig};
use proxy::{Drain, DrainReport, EgressWatch};
use telemetry::Telemetry;

use crate::config::Config;
use crate::directory;
use crate::service::handle;
use crate::state::State;

/// How long a start waits for the engines to name their models, so that the very first requests are counted under them. An
/// engine that is not there yet must not keep the gateway from listening.
const FIRST_SURVEY: Duration = Duration::from_millis(50);

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// A gateway at work. Dropping it does not stop it; [`Running::shutdown`] does.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where its metrics are: the same address.
    pub metrics_addr: Option<SocketAddr>,
    drain: Drain,
    drain_timeout: Duration,
}

/// Binds and serves. The gateway answers from the moment this returns.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn start(config: Config, telemetry: Arc<Telemetry>) -> Result<Running, StartError> {
    let drain = Drain::new();
    let listener = Listener::bind(config.listen, listener_config(&config))?;
    let addr = listener.local_addr();
    let state = Arc::new(State::new(&config, telemetry, drain.clone()));
    let recorder = state.telemetry.clone();
    let listener = listener.watch_egress(EgressWatch::new(&drain, move |delay| recorder.egress_delay(delay)));
    let models = Arc::clone(&state.models);
    let (mirror, limits) = (state.mirror.clone(), state.limits.clone());
    directory::follow(&config.discovery, &state).await;
    state.schedulers.start();
    let engines = state.roster.load().serving().len();
    let serving = listener.serve(move |request| handle(Arc::clone(&state), request), drain.clone());
    drain.spawn(serving);
    // A survey that takes longer goes on in the task below.
    let _ = tokio::time::timeout(FIRST_SURVEY, models.refresh()).await;
    if let Some(mirror) = mirror {
        drain.spawn(mirror.follow());
    }
    drain.spawn(models.keep_fresh(config.models_refresh_interval, drain.clone()));
    if let Some(keys) = config.access.keys.clone() {
        drain.spawn(keys.keep_fresh(drain.clone()));
    }
    if let (Some(file), Some(limits)) = (config.access.limits.clone(), limits) {
        drain.spawn(file.keep_fresh(limits, drain.clone()));
    }
    tracing::info!(%addr, engines, "gateway listens");
    Ok(Running { addr, metrics_addr: Some(addr), drain, drain_timeout: config.timeouts.drain })
}

fn listener_config(config: &Config) -> ListenerConfig {
    ListenerConfig {
        tls: config.access.tls.clone(),
        header_timeout: config.timeouts.client_header,
        idle_timeout: config.timeouts.client_idle,
        max_buffered_bytes: config.max_buffered_bytes,
        ..ListenerConfig::default()
    }
}

impl Running {
    /// Turns unready, stops accepting, lets the requests in flight finish for at most the drain time-out, and says whether
    /// they did.
    pub async fn shutdown(self) -> DrainReport {
        let report = self.drain.finish(self.drain_timeout).await;
        tracing::info!(complete = report.complete, cut = report.cut, "gateway stopped");
        report
    }
}
