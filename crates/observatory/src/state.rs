//! What all requests of an observatory share.

use std::path::Path;
use std::sync::Arc;

use proxy::Drain;
use telemetry::Telemetry;
use telemetry::clock;
use telemetry::observatory::{Observatory, Samples};
use tokio::sync::Semaphore;

use crate::config::{Config, Secret};
use crate::elsewhere::Elsewhere;
use crate::metrics::scrape::Targets;
use crate::metrics::store::{Stats, Store};
use crate::otlp::Receiver;
use crate::promql;
use crate::running::StartError;
use crate::traces::{SpanLog, SpanStore};

/// Queries evaluated at once. Each may hold as many samples as the limits say.
const QUERIES_AT_ONCE: usize = 4;

/// The shared parts.
pub struct State {
    /// The samples.
    pub metrics: Arc<Store>,
    /// The spans.
    pub spans: Arc<SpanStore>,
    /// What takes OTLP in.
    pub receiver: Arc<Receiver>,
    /// What is scraped.
    pub targets: Arc<Targets>,
    /// Telemetry of the observatory itself.
    pub process: Arc<Telemetry>,
    pub(crate) telemetry: Observatory,
    /// Stops everything.
    pub drain: Drain,
    pub(crate) token: Option<Secret>,
    pub(crate) elsewhere: Elsewhere,
    /// When this observatory began to take data in: Unix milliseconds.
    pub(crate) started: i64,
    pub(crate) query_limits: promql::Limits,
    /// As many queries are evaluated at once as there are permits; the others wait.
    pub(crate) queries: Arc<Semaphore>,
}

impl State {
    pub(crate) fn new(config: &Config, process: Arc<Telemetry>, drain: Drain) -> Result<Self, StartError> {
        let metrics = Arc::new(Store::new(config.limits));
        let spans = Arc::new(SpanStore::new(config.traces.limits));
        let log = config.traces.data_dir.as_deref().map(|folder| restored(folder, &spans)).transpose()?;
        let receiver = Arc::new(Receiver::new(Arc::clone(&spans), log, Arc::clone(&metrics), &process));
        let store = Arc::clone(&metrics);
        let telemetry = Observatory::new(&process, move || said_of(store.stats()));
        Ok(Self {
            metrics,
            targets: Arc::new(Targets::new(config.timing, telemetry.clone())),
            telemetry,
            spans,
            receiver,
            process,
            drain,
            token: config.token.clone(),
            elsewhere: Elsewhere::new(config.prometheus.clone(), config.tempo.clone()),
            started: unix_millis(),
            query_limits: config.query_limits,
            queries: Arc::new(Semaphore::new(QUERIES_AT_ONCE)),
        })
    }
}

/// Reads back what was kept of spans.
fn restored(folder: &Path, spans: &SpanStore) -> Result<SpanLog, StartError> {
    let (log, restored) = SpanLog::open(&folder.join("spans"), spans, clock::now())?;
    tracing::info!(spans = restored, folder = %folder.display(), "spans read back");
    Ok(log)
}

/// What the store says, in telemetry's terms.
fn said_of(stats: Stats) -> Samples {
    Samples {
        series: stats.series,
        bytes: stats.bytes,
        stored: stats.stored,
        out_of_order: stats.out_of_order,
        too_old: stats.too_old,
        too_new: stats.too_new,
        over_limit: stats.over_limit,
        expired: stats.expired,
        evicted: stats.evicted,
    }
}

/// The current time in Unix milliseconds.
pub(crate) fn unix_millis() -> i64 {
    i64::try_from(clock::now().unix_nanos() / 1_000_000).unwrap_or(i64::MAX)
}
