//! One instance with everything around its core, shared by connections and background tasks.

use crate::config::Config;
use crate::core::{Output, RequestId, Step, Summary};
use crate::fault::Faults;
use crate::instance::{Instance, Observer, Transfer};
use crate::kv::server::Keeper;
use crate::kv::store::Store;
use crate::kv::{Source, client};
use crate::observe::{Meta, Recorder};
use parking_lot::Mutex;
use proxy::{Client, Drain};
use std::net::SocketAddr;
use std::sync::Arc;
use telemetry::clock::Moment;
use tokio::sync::mpsc;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) config: Config,
    pub(crate) instance: Arc<Instance>,
    pub(crate) keeper: Arc<Keeper>,
    /// The shared store, where there is one.
    pub(crate) store: Option<Store>,
    pub(crate) recorder: Recorder,
    pub(crate) faults: Faults,
    /// Where the side channel and the bootstrap server listen.
    pub(crate) side_channel: SocketAddr,
    pub(crate) bootstrap: SocketAddr,
    /// When it was started.
    pub(crate) started: Moment,
    /// Until then no further requests are to be sent here.
    pub(crate) cordon: Mutex<Option<Moment>>,
    /// Talks to other instances' llumlets.
    pub(crate) client: Client,
    /// Before this the model is still being loaded.
    pub(crate) ready_at: Moment,
    /// Fetches and the like; ends with the engine.
    pub(crate) background: Drain,
    /// Asks the listener to refuse connections for a time.
    pub(crate) refuse: mpsc::Sender<std::time::Duration>,
}

/// The step loop's observer.
#[derive(Debug)]
pub(crate) struct Watch(pub(crate) Arc<Engine>);

impl Observer for Watch {
    fn outputs(&self, outputs: &[Output], step: Option<&Step>) {
        self.0.recorder.outputs(outputs, step);
    }

    fn ended(&self, summary: &Summary, meta: Meta) {
        self.0.recorder.ended(summary, meta, &self.0.instance);
    }

    fn fetch(&self, transfer: Transfer) {
        let engine = Arc::clone(&self.0);
        self.0.background.spawn(async move { engine.fetch(transfer).await });
    }

    fn decline(&self, source: Source) {
        self.0.background.spawn(async move {
            if let Err(error) = client::decline(&source).await {
                tracing::debug!(%error, "prefill instance not told that nobody will pull");
            }
        });
    }

    fn expired(&self, ids: &[RequestId]) {
        self.0.keeper.leases.lock().expired(ids);
        self.0.recorder.expired(ids.len());
    }
}

impl Engine {
    /// Whether the model has been loaded.
    pub(crate) fn is_ready(&self) -> bool {
        telemetry::clock::now() >= self.ready_at
    }

    /// Whether requests should be sent here.
    pub(crate) fn is_schedulable(&self) -> bool {
        self.is_ready() && self.cordon.lock().is_none_or(|until| telemetry::clock::now() >= until)
    }

    /// Tells whoever asks to send nothing here for `time`.
    pub(crate) fn cordon(self: &Arc<Self>, time: std::time::Duration) {
        *self.cordon.lock() = Some(telemetry::clock::now() + time);
        self.instance.changes().notify_one();
        let engine = Arc::clone(self);
        self.background.spawn(async move {
            tokio::time::sleep(time).await;
            engine.instance.changes().notify_one();
        });
    }

    async fn fetch(&self, transfer: Transfer) {
        let Transfer { id, source, blocks, duration } = transfer;
        let timer = self.instance.timer();
        let started = telemetry::clock::now();
        let outcome = client::fetch(&source, duration, self.config.room_timeout, &timer).await;
        match &outcome {
            Ok(()) if matches!(source, Source::Lease(_) | Source::Computed { .. }) => {
                let bytes = self.config.core.latency.transfer.bytes(blocks);
                self.recorder.pulled(telemetry::clock::now() - started, bytes);
            }
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "KV not fetched");
                self.recorder.pull_failed();
            }
        }
        self.instance.fetched(id, outcome.is_ok());
    }
}
