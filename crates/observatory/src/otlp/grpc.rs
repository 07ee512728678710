//! OTLP/gRPC: unary calls, over the HTTP/2 that every port speaks.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use proxy::Body;
use telemetry::observatory::Signal;

use super::receiver::Receiver;
use super::wire::{Encoding, Partial, Refusal, accepted_message, body_of, packed};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

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
pub(super) fn code(refusal: &Refusal) -> i32 {
    /// The request cannot be meant so; sending it again does not help.
    const INVALID_ARGUMENT: i32 = 3;
    const RESOURCE_EXHAUSTED: i32 = 8;
    const UNIMPLEMENTED: i32 = 12;
    match refusal {
        Refusal::Malformed(_) => INVALID_ARGUMENT,
        Refusal::TooLarge => RESOURCE_EXHAUSTED,
        Refusal::Unsupported(_) => UNIMPLEMENTED,
    }
}

pub(super) async fn handle(receiver: Arc<Receiver>, signal: Signal, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let taken = match message(&head.headers, body).await {
        Ok((packed, message)) => receiver.take(signal, Encoding::Protobuf, packed, message).await,
        Err(refusal) => receiver.refuse(signal, refusal),
    };
    match taken {
        Ok(partial) => accepted(&partial),
        Err(refusal) => refused(&refusal),
    }
}

/// The one message of a unary call, and whether it is compressed.
async fn message(headers: &HeaderMap, body: Incoming) -> Result<(bool, Bytes), Refusal> {
    let packs = packed(headers, &ENCODING)?;
    let mut body = body_of(body).await?;
    let malformed = |what: &str| Refusal::Malformed(format!("not a gRPC message: {what}"));
    if body.len() < PREFIX {
        return Err(malformed("shorter than its own prefix"));
    }
    let prefix = body.split_to(PREFIX);
    let length = prefix[1..].iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    if length != body.len() {
        return Err(malformed("its length is not what its prefix says"));
    }
    match prefix[0] {
        0 => Ok((false, body)),
        1 if packs => Ok((true, body)),
        _ => Err(malformed("compressed, and grpc-encoding does not say how")),
    }
}

fn accepted(partial: &Partial) -> Response<Body> {
    let message = accepted_message(partial);
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(0));
    framed.put_slice(&message);
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    let body = Full::new(framed.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    response(Body::wrap(body))
}

/// An answer without a message: its trailers are in its head.
fn refused(refusal: &Refusal) -> Response<Body> {
    let mut response = response(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(STATUS, HeaderValue::from(code(refusal)));
    if let Ok(message) = HeaderValue::from_str(&escaped(&refusal.to_string())) {
        headers.insert(MESSAGE, message);
    }
    response
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// A text as gRPC writes it into a header: what is not printable ASCII, and the percent sign, by its number.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
        escaped
    })
}
