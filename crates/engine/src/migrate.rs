//! The llumlet's side of rescheduling: a request goes on at another instance, and its client notices a pause at most.
//!
//! What moves is the computation. The connection to the client stays where it is, as an engine's API server stays when its
//! request is computed by another engine: the instance that has the request now reports each token to the one that has the
//! client, which goes on writing. So no token is lost, and none comes twice: tokens are counted, and what follows is known by its
//! number.
//!
//! 1. The source lets the request go between two steps; it keeps the KV ([`crate::core`]).
//! 2. `MigrateIn` tells the destination all but the KV; it fetches that as a decode instance fetches it from a prefill instance,
//!    which takes time by its size, and the source's blocks are free then.
//! 3. The destination reports over the source's side channel ([`Moves`]): with the first token the request counts as moved.
//!
//! Whatever fails before that leaves the request where it was, with its KV. What fails after it (the destination dies) has the
//! source compute it again.

mod moves;
mod parcel;
mod take;

pub(crate) use moves::Moves;
pub(crate) use take::take_in;

use crate::core::{Amount, Order};
use crate::engine::Engine;
use crate::instance::{Away, Leaving};
use cluster::records::llumlet::{
    MigrateInRequest, MigrateInResponse, MigrateRequest, MigrateResponse, MigrationValue, method,
};
use parcel::{FORMAT, Parcel};
use prost::Message as _;
use proxy::{Target, grpc};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Longest answer of another llumlet that is read.
const MAX_ANSWER: usize = 1 << 16;

/// `Migrate`: hands requests over, and says what came of it when that is known.
pub(crate) async fn migrate(engine: Arc<Engine>, request: MigrateRequest) -> MigrateResponse {
    match handed_over(engine, &request).await {
        Ok(message) => MigrateResponse { success: true, message },
        Err(message) => MigrateResponse { success: false, message },
    }
}

async fn handed_over(engine: Arc<Engine>, request: &MigrateRequest) -> Result<String, String> {
    let order = Order::parse(&request.migration_req_policy)
        .ok_or_else(|| format!("migration_req_policy {:?} is not known", request.migration_req_policy))?;
    let amount = amount(request)?;
    let port = u16::try_from(request.dst_engine_port).map_err(|_| "dst_engine_port is no port".to_owned())?;
    let target = Target::parse(&format!("{}:{port}", bracketed(&request.dst_engine_ip)))
        .map_err(|error| format!("dst_engine_ip: {error}"))?;
    let leaving = engine.instance.leave(order, amount);
    let chosen = leaving.len();
    let mut moving = JoinSet::new();
    for leaving in leaving {
        moving.spawn(move_one(Arc::clone(&engine), leaving, target.clone()));
    }
    let mut failures = Vec::new();
    let mut moved = 0_usize;
    while let Some(outcome) = moving.join_next().await {
        match outcome {
            Ok(Ok(true)) => moved += 1,
            // It has ended in the meantime.
            Ok(Ok(false)) => {}
            Ok(Err(why)) => failures.push(why),
            Err(error) => failures.push(error.to_string()),
        }
    }
    match failures.first() {
        None => Ok(format!("{moved} requests handed over")),
        Some(first) => {
            Err(format!("{moved} of {chosen} requests handed over; {} stay, the first: {first}", failures.len()))
        }
    }
}

/// Hands one request over. False when it ended before it could leave.
async fn move_one(engine: Arc<Engine>, leaving: Leaving, target: Target) -> Result<bool, String> {
    let Leaving { id, meta, left } = leaving;
    let Ok(departure) = left.await else { return Ok(false) };
    let away = Away::new(Arc::clone(&engine.instance), id);
    let name = format!("{}+{id}", meta.id.replace(char::is_whitespace, "_"));
    let failed = |why: String| format!("{}: {why}", meta.id);
    let _lease = Lent::new(&engine, &name, id);
    let moved = engine.keeper.moves.expect(&name, away);
    let parcel = Parcel::new(&engine, &name, &meta, &departure);
    let request =
        MigrateInRequest { serialized_migrate_req: parcel.to_bytes(), serialization_format: FORMAT.to_owned() };
    let patience = engine.config.room_timeout;
    let message = request.encode_to_vec();
    let calling = grpc::call(&engine.client, &target, method::MIGRATE_IN, &message, MAX_ANSWER);
    let answer = tokio::time::timeout(patience, calling).await;
    let answer = answer.map_err(|_| failed(format!("{target} does not answer")))?;
    let answer = answer.map_err(|error| failed(format!("{target}: {error}")))?;
    match MigrateInResponse::decode(answer) {
        Ok(answer) if answer.success => {}
        Ok(answer) => return Err(failed(format!("{target} refuses: {}", answer.message))),
        Err(error) => return Err(failed(format!("{target}: {error}"))),
    }
    moved.within(patience).await.map_err(|why| failed(format!("{target} {why}")))?;
    Ok(true)
}

/// Blocks lent to another instance under a name, for as long as this is there.
struct Lent<'a> {
    engine: &'a Engine,
    name: &'a str,
}

impl<'a> Lent<'a> {
    fn new(engine: &'a Engine, name: &'a str, id: crate::core::RequestId) -> Self {
        engine.keeper.leases.lock().grant(name, id);
        Self { engine, name }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.engine.keeper.leases.lock().revoke(self.name);
    }
}

fn amount(request: &MigrateRequest) -> Result<Amount, String> {
    match (request.migration_type.as_str(), request.migration_value) {
        ("NUM_REQ", Some(MigrationValue::NumReqs(requests))) => {
            Ok(u64::try_from(requests).map_or(Amount::All, Amount::Requests))
        }
        ("TOKEN", Some(MigrationValue::NumTokens(tokens))) => Ok(Amount::Tokens(u64::try_from(tokens).unwrap_or(0))),
        ("RATIO", Some(MigrationValue::KvCacheUsageRatio(share))) => Ok(Amount::Share(f64::from(share))),
        (kind, value) => Err(format!("migration_type {kind:?} and value {value:?} do not belong together")),
    }
}

/// A host as an authority has it.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}
