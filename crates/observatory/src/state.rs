//! What all requests of an observatory share.

use std::path::Path;
use std::sync::Arc;

use proxy::Drain;
use telemetry::Telemetry;
use telemetry::clock;

use crate::config::{Config, Secret};
use crate::elsewhere::Elsewhere;
use crate::metrics::store::Store;
use crate::otlp::Receiver;
use crate::running::StartError;
use crate::traces::{SpanLog, SpanStore};

/// The shared parts.
pub struct State {
    /// The samples.
    pub metrics: Arc<Store>,
    /// The spans.
    pub spans: Arc<SpanStore>,
    /// What takes OTLP in.
    pub receiver: Arc<Receiver>,
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
    pub(crate) fn new(config: &Config, process: Arc<Telemetry>, drain: Drain) -> Result<Self, StartError> {
        let metrics = Arc::new(Store::new(config.limits));
        let spans = Arc::new(SpanStore::new(config.traces.limits));
        let log = config.traces.data_dir.as_deref().map(|folder| restored(folder, &spans)).transpose()?;
        let receiver = Arc::new(Receiver::new(Arc::clone(&spans), log, Arc::clone(&metrics), &process));
        Ok(Self {
            metrics,
            spans,
            receiver,
            process,
            drain,
            token: config.token.clone(),
            elsewhere: Elsewhere::new(config.prometheus.clone(), config.tempo.clone()),
            started: unix_millis(),
        })
    }
}

/// Reads back what was kept of spans.
fn restored(folder: &Path, spans: &SpanStore) -> Result<SpanLog, StartError> {
    let (log, restored) = SpanLog::open(&folder.join("spans"), spans, clock::now())?;
    tracing::info!(spans = restored, folder = %folder.display(), "spans read back");
    Ok(log)
}

/// The current time in Unix milliseconds.
pub(crate) fn unix_millis() -> i64 {
    i64::try_from(clock::now().unix_nanos() / 1_000_000).unwrap_or(i64::MAX)
}
