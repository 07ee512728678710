//! One process's telemetry: registry, span export, and what every process tells about itself.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::catalogue::process as catalogue;
use crate::config::TelemetryConfig;
use crate::export::{ExportError, Exporter, Spans};
use crate::metrics::{Registry, negotiate};
use crate::process;
use crate::sampling::Poll;
use crate::span::{Roots, SpanQueue, Tracer};

/// The telemetry of one process, or of one component where several run in a process: nothing is global but the clock's
/// anchor.
pub struct Telemetry {
    registry: Registry,
    tracer: Tracer,
    tasks: Mutex<JoinSet<()>>,
    stop: CancellationToken,
}

impl Telemetry {
    /// Starts telemetry: registers what every process tells, and starts the export task where spans go anywhere.
    ///
    /// # Errors
    /// When the destination of the spans cannot be used at all (unreadable certificate, file that cannot be made).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(config: TelemetryConfig) -> Result<Arc<Self>, ExportError> {
        let registry = Registry::new();
        process::register(&registry, &config);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(process::watch_loop_lag(registry.clone(), stop.clone()));
        let spans = registry.counter(&catalogue::SPANS_TOTAL);
        let [exported, dropped, failed] = ["exported", "dropped", "failed"].map(|outcome| spans.with([outcome]));
        let seconds = registry.histogram(&catalogue::EXPORT_SECONDS).with([]);
        let polls = registry.counter(&catalogue::SAMPLER_POLLS_TOTAL);
        let polls = ["succeeded", "failed"].map(|outcome| polls.with([outcome]));
        let (batch, propagates) = (config.batch, config.propagate);
        let (sampler, service) = (config.sampler.clone(), config.service_name.clone());
        let queue = Exporter::new(config)?.map(|exporter| {
            let queue = Arc::new(SpanQueue::new(batch.max_queue_size, batch.max_export_batch_size, dropped));
            let spans = Spans { queue: Arc::clone(&queue), batch, exported, failed, seconds };
            tasks.spawn(spans.export(exporter, stop.clone()));
            queue
        });
        let tracer = Tracer::new(queue, &sampler).propagating(propagates);
        if let (Roots::JaegerRemote(remote), Some(strategies)) = (&sampler.roots, tracer.strategies()) {
            tasks.spawn(Poll::new(remote, &service, strategies, polls)?.run(stop.clone()));
        }
        Ok(Arc::new(Self { registry, tracer, tasks: Mutex::new(tasks), stop }))
    }

    /// The metrics.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The spans.
    pub fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }

    /// The answer to a scrape with this `Accept` header: content type and body.
    pub fn metrics_response(&self, accept: Option<&str>) -> (&'static str, Bytes) {
        let format = negotiate(accept);
        (format.content_type(), self.registry.encode(format))
    }

    /// The answer to a scrape with these headers, written on a thread of its own: it takes a tenth of a millisecond to some
    /// milliseconds, and on a thread that relays tokens that would be a stall in somebody's stream.
    pub async fn page(&self, headers: &HeaderMap) -> Response<Bytes> {
        let format = negotiate(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()));
        let registry = self.registry.clone();
        let written = tokio::task::spawn_blocking(move || registry.encode(format)).await;
        // It only fails while the runtime is being shut down.
        let mut page = Response::new(written.unwrap_or_else(|_| self.registry.encode(format)));
        page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        page
    }

    /// Sends what spans still wait, for at most the export time-out, and stops the tasks.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        while tasks.join_next().await.is_some() {}
    }
}
