//! The instance says of itself what a llumlet says of a patched engine: what it is and how it is, into the CMS, and where it
//! is, into discovery. Other than a llumlet it need not ask anybody: the numbers are the core's own.

mod args;
mod status;

pub use args::{PublishArgs, PublishFault};

use crate::api::Dialect;
use crate::config::Config;
use crate::engine::Engine;
use cluster::cms::{Publisher, Store};
use cluster::discovery::{Announcer, Registry};
use cluster::keys;
use cluster::records::{InstanceDiscoveryInfo, InstanceMetadata, PodDiscoveryInfo};
use proxy::Drain;
use status::Status;
use std::sync::Arc;
use std::time::Duration;
use telemetry::clock;
use tokio::sync::Notify;

/// What to say, and where.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The CMS, where there is one.
    pub cms: Option<Store>,
    /// Discovery, where there is one.
    pub registry: Option<Registry>,
    /// The engine's id; data-parallel ranks share it.
    pub instance_id: String,
    /// What fails together.
    pub unit_id: String,
    /// The machine.
    pub node_id: String,
    /// Data-parallel rank.
    pub dp_rank: u16,
    /// Ranks there are.
    pub dp_size: u16,
    /// Where requests are sent, if not to the instance itself: the sidecar in front of it.
    pub endpoint: Option<(String, u16)>,
    /// Statuses are this far apart at least.
    pub push_interval: Duration,
    /// How often the discovery record is written again.
    pub announce_interval: Duration,
}

impl Publication {
    /// The id that records bear.
    #[must_use]
    pub fn id(&self) -> String {
        match self.dp_size {
            0 | 1 => self.instance_id.clone(),
            _ => keys::rank_id(&self.instance_id, i32::from(self.dp_rank)),
        }
    }
}

/// Publishes until `drain` begins, then takes the records away.
pub(crate) fn start(publication: Publication, engine: &Arc<Engine>, (host, port): (String, u16), drain: &Drain) {
    let (host, port) = publication.endpoint.clone().unwrap_or((host, port));
    let announce = Arc::new(Notify::new());
    drain.spawn(ready(Arc::clone(engine), Arc::clone(&announce), drain.clone()));
    if let Some(store) = publication.cms.clone() {
        engine.instance.remember_recent();
        let publisher = Publisher {
            store,
            metadata: metadata(&publication, engine, (&host, port)),
            changes: Arc::clone(engine.instance.changes()),
            min_interval: publication.push_interval,
        };
        let status = Status::new(publication.id(), Arc::clone(engine));
        drain.spawn(publisher.run(status, drain.clone()));
    }
    if let Some(registry) = publication.registry.clone() {
        let record = discovery(&publication, engine, (&host, port));
        let (engine, interval) = (Arc::clone(engine), publication.announce_interval);
        let announcer = Announcer { registry, pod: publication.instance_id, interval, changes: announce };
        // A model that is still being loaded takes no requests yet.
        drain.spawn(announcer.run(move || engine.is_ready().then(|| record.clone()), drain.clone()));
    }
}

/// Rings once the model has been loaded.
async fn ready(engine: Arc<Engine>, announce: Arc<Notify>, drain: Drain) {
    tokio::select! {
        () = drain.begun() => {}
        () = tokio::time::sleep(engine.ready_at - clock::now()) => {
            engine.instance.changes().notify_one();
            announce.notify_one();
        }
    }
}

fn metadata(publication: &Publication, engine: &Engine, (host, port): (&str, u16)) -> InstanceMetadata {
    let config = &engine.config;
    InstanceMetadata {
        instance_id: publication.id(),
        instance_type: config.role.as_str().to_owned(),
        backend_type: backend(config).to_owned(),
        ip: host.to_owned(),
        api_server_port: i32::from(port),
        kvt_port: i32::from(kv_port(engine)),
        node_id: publication.node_id.clone(),
        data_parallel_size: i32::from(publication.dp_size),
        tensor_parallel_size: 1,
        unit_id: publication.unit_id.clone(),
        dp_rank: i32::from(publication.dp_rank),
        dp_local_rank: i32::from(publication.dp_rank),
        utc_create: engine.started.unix_nanos() as f64 / 1e9,
        ip_kvt: engine.side_channel.ip().to_string(),
        ip_kvs: engine.side_channel.ip().to_string(),
        block_size: i32::try_from(config.core.block_size).unwrap_or(i32::MAX),
        max_num_batched_tokens: i32::try_from(config.core.max_num_batched_tokens).unwrap_or(i32::MAX),
        ..InstanceMetadata::default()
    }
}

fn discovery(publication: &Publication, engine: &Engine, (host, port): (&str, u16)) -> PodDiscoveryInfo {
    let info = InstanceDiscoveryInfo {
        instance_type: engine.config.role.as_str().to_owned(),
        entrypoint_ip: host.to_owned(),
        entrypoint_port: i32::from(port),
        kv_transfer_ip: engine.side_channel.ip().to_string(),
        kv_transfer_port: i32::from(kv_port(engine)),
        dp_rank: i32::from(publication.dp_rank),
        dp_size: i32::from(publication.dp_size),
        model: engine.config.models.first().cloned().unwrap_or_default(),
        version: i64::try_from(engine.started.unix_nanos() / 1_000_000).unwrap_or(i64::MAX),
    };
    PodDiscoveryInfo { pod_name: publication.instance_id.clone(), timestamp_ms: 0, instances: vec![info] }
}

const fn backend(config: &Config) -> &'static str {
    match config.dialect {
        Dialect::Vllm => "vLLM",
        Dialect::Sglang => "SGLang",
    }
}

/// Where the other side of a hand-over turns to.
fn kv_port(engine: &Engine) -> u16 {
    match engine.config.dialect {
        Dialect::Vllm => engine.side_channel.port(),
        Dialect::Sglang => engine.bootstrap.port(),
    }
}
