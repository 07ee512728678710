//! What all requests of an observatory share.

use std::sync::Arc;

use proxy::Drain;
use telemetry::Telemetry;
use telemetry::clock;
use telemetry::observatory::{DiskLevels, Observatory, Samples, watch_disk};
use tokio::sync::Semaphore;

use crate::config::{Config, Secret};
use crate::disk::{DataDir, DiskError, Health};
use crate::elsewhere::Elsewhere;
use crate::metrics::scrape::Targets;
use crate::metrics::store::{Limits, Stats, Store};
use crate::otlp::Receiver;
use crate::promql;
use crate::time::unix_millis;
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
    /// What is kept on the disk, where anything is.
    pub(crate) log: Option<Arc<SpanLog>>,
    pub(crate) data_dir: Option<DataDir>,
    pub(crate) token: Option<Secret>,
    pub(crate) elsewhere: Elsewhere,
    /// When this observatory began to take data in: Unix milliseconds.
    pub(crate) started: i64,
    pub(crate) query_limits: promql::Limits,
    /// As many queries are evaluated at once as there are permits; the others wait.
    pub(crate) queries: Arc<Semaphore>,
}

impl State {
    pub(crate) fn new(config: &Config, process: Arc<Telemetry>, drain: Drain) -> Result<Self, DiskError> {
        let spans = Arc::new(SpanStore::new(config.traces.limits));
        let data_dir = config.data_dir.as_deref().map(DataDir::open).transpose()?;
        let (metrics, log) = match &data_dir {
            Some(data_dir) => restored(data_dir, config.limits, &spans)?,
            None => (Store::new(config.limits), None),
        };
        let metrics = Arc::new(metrics);
        let log = log.map(Arc::new);
        watch_disk(&process, said_of_files(metrics.health()), said_of_files(log.as_ref().map(|log| log.health())));
        let receiver = Arc::new(Receiver::new(Arc::clone(&spans), log.clone(), Arc::clone(&metrics), &process));
        let store = Arc::clone(&metrics);
        let telemetry = Observatory::new(&process, move || said_of(store.stats()));
        Ok(Self {
            metrics,
            targets: Arc::new(Targets::new(config.timing, telemetry.clone())),
            telemetry,
            spans,
            receiver,
            log,
            data_dir,
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

/// Reads back what was kept.
fn restored(data_dir: &DataDir, limits: Limits, spans: &SpanStore) -> Result<(Store, Option<SpanLog>), DiskError> {
    let began = clock::now();
    let (metrics, of_samples) = Store::kept(limits, &data_dir.folder("samples"), unix_millis())?;
    let (log, of_spans) = SpanLog::open(&data_dir.folder("spans"), spans, clock::now())?;
    let stats = metrics.stats();
    tracing::info!(
        series = stats.series,
        samples = stats.samples,
        spans = spans.stats().spans,
        damaged = of_samples.damaged + of_spans.damaged,
        took = ?(clock::now() - began),
        "samples and spans read back"
    );
    Ok((metrics, Some(log)))
}

/// What files say, in telemetry's terms.
fn said_of_files(health: Option<Arc<Health>>) -> impl Fn() -> DiskLevels + Clone + Send + Sync + 'static {
    move || {
        let of = |health: &Arc<Health>| DiskLevels {
            bytes: health.bytes(),
            failures: health.failures(),
            damaged: health.damaged(),
        };
        health.as_ref().map(of).unwrap_or_default()
    }
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

impl State {
    /// Keeps the stores within their bounds, on the disk as well, and brings what was written there onto it.
    pub(crate) fn maintain(&self) {
        self.metrics.maintain(unix_millis());
        self.spans.prune(clock::now());
        self.metrics.sync();
        if let Some(log) = &self.log {
            log.forget(&self.spans);
            log.sync();
        }
    }
}
