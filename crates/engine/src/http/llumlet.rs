//! The llumlet's gRPC, on the instance's own port: that speaks HTTP/2 as well.

use crate::engine::Engine;
use crate::migrate;
use bytes::Bytes;
use cluster::records::llumlet::method;
use http::{Request, Response};
use hyper::body::Incoming;
use prost::{DecodeError, Message};
use proxy::Body;
use proxy::body::collect;
use proxy::grpc::{self, code};
use std::sync::Arc;

/// Longest message: a prompt of a million tokens in blocks of 16 is as many hashes of 20 digits.
const MAX_MESSAGE: usize = 1 << 22;

/// Answers one call.
pub(super) async fn handle(engine: Arc<Engine>, request: Request<Incoming>) -> Response<Body> {
    let is_migrate = request.uri().path() == method::MIGRATE;
    let message = match message(request.into_body()).await {
        Ok(message) => message,
        Err(why) => return grpc::refusal(code::INVALID_ARGUMENT, &why),
    };
    let answer = if is_migrate { out(engine, message).await } else { take_in(&engine, message) };
    match answer {
        Ok(answer) => grpc::answer(&answer),
        Err(error) => grpc::refusal(code::INVALID_ARGUMENT, &error.to_string()),
    }
}

/// `Migrate`. What has begun goes on when the caller leaves: requests may not be lost between two instances.
async fn out(engine: Arc<Engine>, message: Bytes) -> Result<Vec<u8>, DecodeError> {
    let request = Message::decode(message)?;
    let running = engine.background.clone().spawn(migrate::migrate(engine, request));
    Ok(running.await.ok().flatten().unwrap_or_default().encode_to_vec())
}

fn take_in(engine: &Arc<Engine>, message: Bytes) -> Result<Vec<u8>, DecodeError> {
    Ok(migrate::take_in(engine, &Message::decode(message)?).encode_to_vec())
}

/// The message of a call.
async fn message(body: Incoming) -> Result<Bytes, String> {
    let body = collect(body, MAX_MESSAGE).await.map_err(|error| error.to_string())?;
    match grpc::unframed(body)? {
        (false, message) => Ok(message),
        (true, _) => Err("compressed messages are not read".to_owned()),
    }
}
