//! OTLP/gRPC: unary calls, over the HTTP/2 that every port speaks.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use hyper::body::Incoming;
use proxy::Body;
use proxy::grpc::{self, code};
use telemetry::observatory::Signal;

use super::receiver::Receiver;
use super::wire::{Encoding, Refusal, accepted_message, body_of, packed};

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The signal that a method takes.
pub(super) fn signal(path: &str) -> Option<Signal> {
    match path.strip_prefix("/opentelemetry.proto.collector.")? {
        "trace.v1.TraceService/Export" => Some(Signal::Traces),
        "metrics.v1.MetricsService/Export" => Some(Signal::Metrics),
        "logs.v1.LogsService/Export" => Some(Signal::Logs),
        _ => None,
    }
}

/// gRPC's number for what is wrong.
pub(super) fn number(refusal: &Refusal) -> i32 {
    match refusal {
        Refusal::Malformed(_) => code::INVALID_ARGUMENT,
        Refusal::TooLarge => code::RESOURCE_EXHAUSTED,
        Refusal::Unsupported(_) => code::UNIMPLEMENTED,
    }
}

pub(super) async fn handle(receiver: Arc<Receiver>, signal: Signal, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let taken = match message(&head.headers, body).await {
        Ok((packed, message)) => receiver.take(signal, Encoding::Protobuf, packed, message).await,
        Err(refusal) => receiver.refuse(signal, refusal),
    };
    match taken {
        Ok(partial) => grpc::answer(&accepted_message(&partial)),
        Err(refusal) => grpc::refusal(number(&refusal), &refusal.to_string()),
    }
}

/// The one message of a unary call, and whether it is compressed.
async fn message(headers: &HeaderMap, body: Incoming) -> Result<(bool, Bytes), Refusal> {
    let packs = packed(headers, &ENCODING)?;
    let malformed = |what: &str| Refusal::Malformed(format!("not a gRPC message: {what}"));
    match grpc::unframed(body_of(body).await?).map_err(malformed)? {
        (true, _) if !packs => Err(malformed("compressed, and grpc-encoding does not say how")),
        message => Ok(message),
    }
}
