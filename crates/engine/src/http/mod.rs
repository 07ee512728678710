//! The HTTP surface: routes, errors, and the faults that come before a request is looked at.

mod admin;
mod answer;
mod generate;
mod llumlet;
mod stream;

use crate::api::Refusal;
use crate::engine::Engine;
use crate::fault::Fault;
use bytes::Bytes;
use cluster::records::llumlet::method;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use openai::Api;
use proxy::Body;
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers one request.
pub(crate) async fn handle(engine: Arc<Engine>, request: Request<Incoming>) -> Response<Body> {
    let api = Api::from_path(request.uri().path());
    route(engine, request).await.unwrap_or_else(|refusal| refuse(api, &refusal))
}

async fn route(engine: Arc<Engine>, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let path = request.uri().path();
    if path.starts_with("/admin/") {
        return admin::handle(&engine, request).await;
    }
    let fault = engine.faults.pick(path, request.headers());
    let fault = fault.map_err(|error| Refusal::bad_request(error.to_string()))?;
    suffer(&fault).await?;
    match (request.method(), path) {
        (&Method::GET, "/health" | "/ping") => Ok(health(&engine)),
        (&Method::GET, "/version") => Ok(document(&json!({"version": "0.32.0"}))),
        (&Method::GET, "/v1/models") => Ok(models(&engine)),
        (&Method::GET, "/metrics") => Ok(engine.recorder.metrics(request.headers()).await),
        (&Method::POST, "/tokenize") => generate::tokenize(&engine, request).await,
        (&Method::POST, method::MIGRATE | method::MIGRATE_IN) => Ok(llumlet::handle(engine, request).await),
        (&Method::POST, path) => match Api::from_path(path) {
            Some(Api::Embeddings) => generate::embed(engine, fault, request).await,
            Some(api @ (Api::ChatCompletions | Api::Completions | Api::Responses | Api::Messages)) => {
                generate::generate(engine, api, fault, request).await
            }
            _ => Err(Refusal::not_found("Not Found")),
        },
        (_, path) if Api::from_path(path).is_some() => {
            Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed", "Method Not Allowed"))
        }
        _ => Err(Refusal::not_found("Not Found")),
    }
}

/// The part of a fault that happens whatever was asked.
async fn suffer(fault: &Fault) -> Result<(), Refusal> {
    if let Some(delay) = fault.delay {
        tokio::time::sleep(delay).await;
    }
    if fault.hang {
        std::future::pending::<()>().await;
    }
    match fault.status.and_then(|status| StatusCode::from_u16(status).ok()) {
        Some(status) => Err(Refusal::new(status, "InjectedFault", "fault injected on request")),
        None => Ok(()),
    }
}

fn health(engine: &Engine) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    if !engine.is_ready() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

fn models(engine: &Engine) -> Response<Body> {
    let root = engine.config.models.first();
    let created = engine.started.unix_nanos() / 1_000_000_000;
    let model = |id: &String| -> Value {
        json!({
            "id": id, "object": "model", "created": created, "owned_by": "candor", "root": root, "parent": null,
            "max_model_len": engine.config.max_model_len, "permission": [],
        })
    };
    let data: Vec<Value> = engine.config.models.iter().map(model).collect();
    document(&json!({"object": "list", "data": data}))
}

fn refuse(api: Option<Api>, refusal: &Refusal) -> Response<Body> {
    let mut response = json_response(refusal.to_json_of(api).into());
    *response.status_mut() = refusal.status;
    response
}

fn document(value: &Value) -> Response<Body> {
    json_response(value.to_string().into())
}

fn json_response(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
