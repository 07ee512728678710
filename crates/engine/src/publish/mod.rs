//! The instance says of itself what a llumlet says of a patched engine. Other than a llumlet it need not ask anybody: the
//! numbers are the core's own.

mod status;

use crate::api::Dialect;
use crate::config::Role;
use crate::engine::Engine;
use cluster::Publication;
use cluster::api::InferType;
use cluster::publication::Bells;
use cluster::records::{InstanceDiscoveryInfo, InstanceMetadata};
use proxy::Drain;
use status::Status;
use std::sync::Arc;
use telemetry::clock;
use tokio::sync::Notify;

/// Publishes until `drain` begins, then takes the records away. `own` is where the instance itself listens.
pub(crate) fn start(mut publication: Publication, engine: &Arc<Engine>, own: (String, u16), drain: &Drain) {
    let llumlet_port = own.1;
    publication.endpoint.get_or_insert(own);
    engine.instance.remember_recent();
    let bells = Bells { status: Arc::clone(engine.instance.changes()), record: Arc::new(Notify::new()) };
    drain.spawn(ready(Arc::clone(engine), bells.clone(), drain.clone()));
    let status = Status::new(metadata(&publication, engine, llumlet_port), Arc::clone(engine));
    let (info, engine) = (info(&publication, engine), Arc::clone(engine));
    // A model that is still being loaded takes no requests yet.
    publication.start(status, move || engine.is_ready().then(|| info.clone()), bells, drain);
}

/// Rings once the model has been loaded.
async fn ready(engine: Arc<Engine>, bells: Bells, drain: Drain) {
    tokio::select! {
        () = drain.begun() => {}
        () = tokio::time::sleep(engine.ready_at - clock::now()) => {
            bells.status.notify_one();
            bells.record.notify_one();
        }
    }
}

/// The llumlet is on the instance's own port.
fn metadata(publication: &Publication, engine: &Engine, llumlet_port: u16) -> InstanceMetadata {
    let config = &engine.config;
    InstanceMetadata {
        backend_type: backend(config.dialect).to_owned(),
        model: model(engine),
        llumlet_port: i32::from(llumlet_port),
        kvt_port: i32::from(kv_port(engine)),
        utc_create: engine.started.unix_nanos() as f64 / 1e9,
        ip_kvt: engine.side_channel.ip().to_string(),
        ip_kvs: engine.side_channel.ip().to_string(),
        block_size: i32::try_from(config.core.block_size).unwrap_or(i32::MAX),
        max_num_batched_tokens: i32::try_from(config.core.max_num_batched_tokens).unwrap_or(i32::MAX),
        ..publication.metadata(infer_type(config.role))
    }
}

fn info(publication: &Publication, engine: &Engine) -> InstanceDiscoveryInfo {
    InstanceDiscoveryInfo {
        kv_transfer_ip: engine.side_channel.ip().to_string(),
        kv_transfer_port: i32::from(kv_port(engine)),
        model: model(engine),
        version: i64::try_from(engine.started.unix_nanos() / 1_000_000).unwrap_or(i64::MAX),
        ..publication.info(infer_type(engine.config.role))
    }
}

const fn infer_type(role: Role) -> InferType {
    match role {
        Role::Prefill => InferType::Prefill,
        Role::Decode => InferType::Decode,
        Role::Neutral => InferType::Neutral,
    }
}

const fn backend(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Vllm => "vLLM",
        Dialect::Sglang => "SGLang",
    }
}

fn model(engine: &Engine) -> String {
    engine.config.models.first().cloned().unwrap_or_default()
}

/// Where the other side of a hand-over turns to.
fn kv_port(engine: &Engine) -> u16 {
    match engine.config.dialect {
        Dialect::Vllm => engine.side_channel.port(),
        Dialect::Sglang => engine.bootstrap.port(),
    }
}
