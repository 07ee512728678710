//! An observatory of a test's own, and a client for it.

use std::sync::Arc;

use bytes::Bytes;
use clap::{Args as _, Command, FromArgMatches as _};
use http::{HeaderMap, Method, Request, StatusCode};
use observatory::{Args, Running};
use proxy::body::collect;
use proxy::{Body, Client, ClientConfig, Target};
use serde_json::{Value, json};
use telemetry::{Telemetry, TelemetryConfig};

/// An observatory on free ports, with further flags.
pub(crate) async fn start(flags: &[&str]) -> Running {
    let mut argv = vec!["--listen=127.0.0.1:0", "--otlp-grpc-listen=127.0.0.1:0", "--otlp-http-listen=127.0.0.1:0"];
    argv.extend(flags);
    let command = Args::augment_args(Command::new("observatory").no_binary_name(true));
    let args = Args::from_arg_matches(&command.get_matches_from(argv)).unwrap();
    let telemetry: Arc<Telemetry> = Telemetry::new(TelemetryConfig::new("observatory")).unwrap();
    observatory::start(args.validate().unwrap(), telemetry).await.unwrap()
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks for something.
pub(crate) async fn get(addr: std::net::SocketAddr, path: &str, accept: &str) -> Answer {
    send(addr, Method::GET, path, &[("accept", accept)], Bytes::new()).await
}

/// Sends something.
pub(crate) async fn post(
    addr: std::net::SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    send(addr, Method::POST, path, headers, body.into()).await
}

async fn send(addr: std::net::SocketAddr, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
    let client = Client::new(ClientConfig::default());
    let mut request = Request::builder().method(method).uri(path).header("host", addr.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client.send(&Target::from_addr(addr), request.body(Body::from(body)).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let body = collect(Body::from(body), 64 << 20).await.unwrap();
    Answer { status: head.status, headers: head.headers, body }
}

/// A path with a query.
pub(crate) fn asking(path: &str, params: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    format!("{path}?{query}")
}

/// The traces that a search finds.
pub(crate) async fn search(addr: std::net::SocketAddr, query: &str) -> Vec<Value> {
    let answer = get(addr, &asking("/api/search", &[("q", query), ("limit", "100")]), "application/json").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["traces"].as_array().unwrap().clone()
}

/// A request with spans of these names, in one trace, as OTLP/JSON.
pub(crate) fn export(service: &str, trace: u128, names: &[&str]) -> Value {
    let spans = names.iter().enumerate().map(|(number, name)| {
        json!({
            "traceId": format!("{trace:032x}"), "spanId": format!("{:016x}", number + 1), "name": name, "kind": 2,
            "startTimeUnixNano": "1795333620000000000", "endTimeUnixNano": "1795333620500000000",
        })
    });
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeSpans": [{"scope": {"name": "test"}, "spans": spans.collect::<Vec<_>>()}],
    }]})
}
