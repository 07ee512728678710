//! What a test asks of the simulation itself, beside what a real engine has.
//!
//! - `GET /admin/state`: the true state, down to blocks.
//! - `GET`, `POST`, `DELETE /admin/faults`: the rules in force; `POST` takes a list of rules and replaces them.
//! - `POST /admin/refuse?ms=500`: stop listening for a while, so that connections are refused.
//! - `POST /admin/cordon?ms=500`: ask for no requests for a while, as an instance does that is about to be stopped.
//! - `POST /admin/reset_prefix_cache`.

use super::{Refusal, document};
use crate::engine::Engine;
use crate::fault::Rule;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use proxy::Body;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn handle(engine: &Arc<Engine>, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/admin/state") => Ok(state(engine)),
        (&Method::GET, "/admin/faults") => Ok(document(&json!(engine.faults.rules()))),
        (&Method::POST, "/admin/faults") => set_faults(engine, request).await,
        (&Method::DELETE, "/admin/faults") => {
            engine.faults.clear();
            Ok(Response::default())
        }
        (&Method::POST, "/admin/refuse") => refuse(engine, &request),
        (&Method::POST, "/admin/cordon") => {
            engine.cordon(millis(&request)?);
            Ok(Response::default())
        }
        (&Method::POST, "/admin/reset_prefix_cache") => {
            engine.instance.reset_prefix_cache();
            Ok(Response::default())
        }
        _ => Err(Refusal::not_found("Not Found")),
    }
}

fn state(engine: &Engine) -> Response<Body> {
    let state = engine.instance.state();
    let totals = engine.instance.totals();
    document(&json!({
        "role": engine.config.role.as_str(),
        "engine_id": engine.config.engine_id,
        "running": state.running,
        "waiting": state.waiting,
        "fetching": state.fetching,
        "away": engine.instance.snapshot().load.away.requests,
        "holds": state.holds,
        "leases": engine.keeper.leases.lock().len(),
        "rooms": engine.keeper.rooms.len(),
        "kv_blocks": {
            "capacity": state.capacity,
            "used": state.used,
            "held": state.held,
            "free": state.capacity - state.used,
        },
        "totals": {
            "steps": totals.steps,
            "preemptions": totals.preemptions,
            "prefix_queries": totals.prefix_queries,
            "prefix_hits": totals.prefix_hits,
            "external_queries": totals.external_queries,
            "external_hits": totals.external_hits,
            "expired_holds": totals.expired_holds,
        },
    }))
}

async fn set_faults(engine: &Engine, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let body = super::generate::read(engine, request.into_body()).await?;
    let rules: Vec<Rule> = serde_json::from_slice(&body).map_err(bad)?;
    engine.faults.replace(rules).map_err(bad)?;
    Ok(Response::default())
}

fn refuse(engine: &Engine, request: &Request<Incoming>) -> Result<Response<Body>, Refusal> {
    // A full queue means that it is about to refuse already.
    let _ = engine.refuse.try_send(millis(request)?);
    Ok(Response::default())
}

fn millis(request: &Request<Incoming>) -> Result<Duration, Refusal> {
    let query = request.uri().query().unwrap_or_default();
    let millis = query.strip_prefix("ms=").and_then(|millis| millis.parse().ok());
    millis.map(Duration::from_millis).ok_or_else(|| Refusal::bad_request("expected ?ms=<milliseconds>"))
}

fn bad(error: impl std::fmt::Display) -> Refusal {
    Refusal::bad_request(error.to_string())
}
