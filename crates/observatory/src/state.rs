//! What all requests of an observatory share.

use std::sync::Arc;

use proxy::Drain;
use telemetry::Telemetry;
use telemetry::clock;

use crate::config::{Config, Secret};
use crate::elsewhere::Elsewhere;
use crate::metrics::store::Store;

/// The shared parts.
pub struct State {
    /// The samples.
    pub metrics: Arc<Store>,
    /// Telemetry of the observatory itself.
    pub process: Arc<Telemetry>,
    /// Stops everything.
    pub drain: Drain,
    pub(crate) token: Option<Secret>,
    pub(crate) elsewhere: Elsewhere,
    /// When this observatory began to take data in: Unix milliseconds.
    pub(crate) started: i64,
}

impl State {
    pub(crate) fn new(config: &Config, process: Arc<Telemetry>, drain: Drain) -> Self {
        Self {
            metrics: Arc::new(Store::new(config.limits)),
            process,
            drain,
            token: config.token.clone(),
            elsewhere: Elsewhere::new(config.prometheus.clone(), config.tempo.clone()),
            started: unix_millis(),
        }
    }
}

/// The current time in Unix milliseconds.
pub(crate) fn unix_millis() -> i64 {
    i64::try_from(clock::now().unix_nanos() / 1_000_000).unwrap_or(i64::MAX)
}
