//! From a path to a signal, and OTLP/HTTP's answers.

use std::sync::Arc;

use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use prost::Message;
use proxy::Body;
use serde_json::json;
use telemetry::observatory::Signal;

use super::grpc;
use super::receiver::Receiver;
use super::wire::{Encoding, Partial, Refusal, accepted_message, body_of, packed};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// How OTLP arrives at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Http(Signal),
    Grpc(Signal),
}

impl Way {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/v1/traces" => Some(Self::Http(Signal::Traces)),
            "/v1/metrics" => Some(Self::Http(Signal::Metrics)),
            "/v1/logs" => Some(Self::Http(Signal::Logs)),
            _ => grpc::signal(path).map(Self::Grpc),
        }
    }
}

/// Whether OTLP arrives at this path.
#[must_use]
pub fn serves(path: &str) -> bool {
    Way::of(path).is_some()
}

/// Answers a request whose path [`serves`].
pub async fn handle(receiver: Arc<Receiver>, request: Request<Incoming>) -> Response<Body> {
    match Way::of(request.uri().path()) {
        Some(_) if request.method() != Method::POST => {
            let mut response = Response::new(Body::Empty);
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            response
        }
        Some(Way::Http(signal)) => over_http(receiver, signal, request).await,
        Some(Way::Grpc(signal)) => grpc::handle(receiver, signal, request).await,
        None => Response::new(Body::Empty),
    }
}

async fn over_http(receiver: Arc<Receiver>, signal: Signal, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    // A sender whose type is unknown is answered in JSON, which people can read.
    let encoding = encoding(&head.headers);
    let taken = match (encoding.clone(), packed(&head.headers, &CONTENT_ENCODING)) {
        (Ok(encoding), Ok(packed)) => match body_of(body).await {
            Ok(body) => Arc::clone(&receiver).take(signal, encoding, packed, body).await,
            Err(refusal) => receiver.refuse(signal, refusal),
        },
        (Err(refusal), _) | (_, Err(refusal)) => receiver.refuse(signal, refusal),
    };
    let encoding = encoding.unwrap_or(Encoding::Json);
    match taken {
        Ok(partial) => answer(StatusCode::OK, encoding, accepted(&partial, encoding, signal)),
        Err(refusal) => answer(status(&refusal), encoding, refused(&refusal, encoding)),
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim() {
        PROTOBUF | "application/protobuf" => Ok(Encoding::Protobuf),
        JSON => Ok(Encoding::Json),
        other => Err(Refusal::Unsupported(format!("Content-Type {other:?} is not OTLP: send {PROTOBUF} or {JSON}"))),
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
        Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
    }
}

fn accepted(partial: &Partial, encoding: Encoding, signal: Signal) -> Vec<u8> {
    match encoding {
        Encoding::Protobuf => accepted_message(partial),
        Encoding::Json if *partial == Partial::default() => b"{}".to_vec(),
        Encoding::Json => {
            let what = match signal {
                Signal::Traces => "rejectedSpans",
                Signal::Metrics => "rejectedDataPoints",
                Signal::Logs => "rejectedLogRecords",
            };
            let partial = json!({what: partial.rejected.to_string(), "errorMessage": partial.message});
            json!({"partialSuccess": partial}).to_string().into_bytes()
        }
    }
}

/// `google.rpc.Status`, which OTLP asks for.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn refused(refusal: &Refusal, encoding: Encoding) -> Vec<u8> {
    let (code, message) = (grpc::number(refusal), refusal.to_string());
    match encoding {
        Encoding::Protobuf => Status { code, message }.encode_to_vec(),
        Encoding::Json => json!({"code": code, "message": message}).to_string().into_bytes(),
    }
}

fn answer(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response<Body> {
    let kind = match encoding {
        Encoding::Protobuf => PROTOBUF,
        Encoding::Json => JSON,
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
