//! Starting an agent, and stopping it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proxy::server::{BindError, Listener, ListenerConfig};
use proxy::{Drain, DrainReport};
use telemetry::Telemetry;

use crate::config::Config;
use crate::http;
use crate::watch::{Status, Watch};

/// How long taking the records away may take.
const WITHDRAWAL: Duration = Duration::from_secs(3);

/// How long requests to the agent's own port may take to finish.
const DRAIN: Duration = Duration::from_secs(1);

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its port cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// An agent at work. Dropping it does not stop it; [`Running::shutdown`] does.
#[derive(Debug)]
pub struct Running {
    /// Where it serves `/readyz` and `/metrics`.
    pub addr: SocketAddr,
    publishing: Drain,
    drain: Drain,
}

/// Binds, and begins to watch and to publish.
///
/// # Errors
/// When the port cannot be had.
pub async fn start(config: Config, telemetry: Arc<Telemetry>) -> Result<Running, StartError> {
    let listener = Listener::bind(config.listen, ListenerConfig::default())?;
    let (addr, instance) = (listener.local_addr(), config.publication.id());
    let publication = config.publication.clone();
    let watch = Arc::new(Watch::new(config));
    let (publishing, drain) = (Drain::new(), Drain::new());
    let told = Arc::clone(&watch);
    publication.start(Status::new(Arc::clone(&watch)), move || told.info(), watch.bells.clone(), &publishing);
    let (watched, end) = (Arc::clone(&watch), drain.clone());
    drain.spawn(async move {
        tokio::select! {
            () = end.begun() => {}
            () = async { tokio::join!(watched.scrape(), watched.follow()); } => {}
        }
    });
    let service = move |request| {
        let (watch, telemetry) = (Arc::clone(&watch), Arc::clone(&telemetry));
        async move { http::answer(&watch, &telemetry, &request).await }
    };
    drain.spawn(listener.serve(service, drain.clone()));
    tracing::info!(%addr, instance, "agent watches");
    Ok(Running { addr, publishing, drain })
}

impl Running {
    /// Takes the records away, so that nobody sends anything more, and stops.
    pub async fn shutdown(self) -> DrainReport {
        let withdrawn = self.publishing.finish(WITHDRAWAL).await;
        let report = self.drain.finish(DRAIN).await;
        DrainReport { complete: withdrawn.complete && report.complete, ..report }
    }
}
