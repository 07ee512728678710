//! Starting a scheduler, and stopping it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::discovery::Discovery;
use proxy::server::{BindError, Listener, ListenerConfig};
use proxy::{Drain, DrainReport};
use telemetry::Telemetry;

use crate::config::{Config, Rescheduling, Source};
use crate::election::{Candidate, Leadership};
use crate::predict::Predictor;
use crate::refresh::{self, CmsRefresh};
use crate::reschedule::{Grpc, Rounds};
use crate::service::handle;
use crate::state::State;

/// Why a scheduler did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// A scheduler at work. Dropping it does not stop it; [`Running::shutdown`] does.
#[derive(Debug)]
pub struct Running {
    /// Where it listens, and where its metrics are.
    pub addr: SocketAddr,
    drain: Drain,
    drain_timeout: Duration,
}

/// Binds and serves. Instances are read from then on; until they have been, requests are refused and say so.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn start(config: Config, telemetry: Arc<Telemetry>) -> Result<Running, StartError> {
    let drain = Drain::new();
    let listener = Listener::bind(config.listen, ListenerConfig::default())?;
    let addr = listener.local_addr();
    let leadership = Leadership::new(config.election.is_none());
    let limits = (config.keeps_account, config.max_body_bytes);
    let places = !matches!(config.rescheduling, Rescheduling::Standalone(_));
    let policy = config.policy.name().to_owned();
    let state =
        Arc::new(State::new(config.policy, leadership, &telemetry, drain.clone(), config.prefix, limits, places));
    match config.source {
        Source::Cms { store, status_interval, metadata_interval } => {
            let refresh = CmsRefresh {
                state: Arc::clone(&state),
                store,
                status_interval,
                metadata_interval,
                account_patience: config.account_patience,
                predictor: config.predictor.as_ref().map(Predictor::new),
                usual_batch: config.usual_batch,
            };
            until_drain(&drain, refresh.run());
        }
        Source::Discovery(source) => {
            let discovery = Discovery::start(source, &drain);
            until_drain(&drain, refresh::follow(Arc::clone(&state), discovery, config.lrs_patience));
        }
    }
    reschedule(&state, config.rescheduling);
    if let Some(election) = &config.election {
        let candidate = Candidate::new(election, &addr.to_string());
        drain.spawn(stand(Arc::clone(&state), candidate));
    }
    let serving = listener.serve(move |request| handle(Arc::clone(&state), request), drain.clone());
    drain.spawn(serving);
    tracing::info!(%addr, policy, "scheduler listens");
    Ok(Running { addr, drain, drain_timeout: config.drain_timeout })
}

/// Has requests moved, where that is wanted: while this replica leads, by what is known of instances.
fn reschedule(state: &Arc<State>, rescheduling: Rescheduling) {
    let (Rescheduling::Colocated(settings) | Rescheduling::Standalone(settings)) = rescheduling else {
        return;
    };
    let selection = settings.selection;
    let recorder = state.recorder.rescheduling(selection.amount.rule(), selection.order);
    let rounds = Rounds { settings, llumlet: Grpc::default(), recorder };
    let of = Arc::clone(state);
    until_drain(&state.drain, rounds.run(move || of.leadership.leads().then(|| of.view.load_full())));
}

/// Runs `task`, which has no end of its own, until the drain begins.
fn until_drain(drain: &Drain, task: impl Future<Output = ()> + Send + 'static) {
    let end = drain.clone();
    drain.spawn(async move {
        tokio::select! {
            () = end.begun() => {}
            () = task => {}
        }
    });
}

/// Stands for election until the drain begins, and then gives the lease back.
async fn stand(state: Arc<State>, candidate: Candidate) {
    let mut failing = false;
    while !state.drain.has_begun() {
        match candidate.ask(&state.leadership).await {
            Ok(changed) => {
                failing = false;
                if changed {
                    let leads = state.leadership.leads();
                    state.recorder.leads(leads);
                    tracing::info!(leads, leader = ?state.leadership.leader(), "leadership changed");
                }
            }
            Err(error) if !std::mem::replace(&mut failing, true) => {
                tracing::warn!(%error, leads = state.leadership.leads(), "the lease cannot be asked for; it stays as it is");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = state.drain.begun() => {}
            () = tokio::time::sleep(candidate.period()) => {}
        }
    }
    candidate.resign(&state.leadership).await;
    state.recorder.leads(false);
}

impl Running {
    /// Turns unready, stops accepting, lets the requests in flight finish for at most the drain time-out, and says whether
    /// they did.
    pub async fn shutdown(self) -> DrainReport {
        let report = self.drain.finish(self.drain_timeout).await;
        tracing::info!(complete = report.complete, cut = report.cut, "scheduler stopped");
        report
    }
}
