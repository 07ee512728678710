//! An observatory on a free port, and questions to it.

use std::net::SocketAddr;

use http::{Method, Request, StatusCode, header};
use observatory::metrics::store::Sample;
use observatory::{Args, Running, StartError};
use proxy::{Body, Client, ClientConfig, Target, body};
use serde_json::Value;
use telemetry::{Telemetry, TelemetryConfig, clock};

/// Now, in Unix milliseconds.
pub(crate) fn now() -> i64 {
    i64::try_from(clock::now().unix_nanos() / 1_000_000).unwrap()
}

/// Starts an observatory on free ports, with further flags.
pub(crate) async fn start(flags: &[&str]) -> Running {
    try_start(flags).await.unwrap()
}

/// Starts one, or says why not.
pub(crate) async fn try_start(flags: &[&str]) -> Result<Running, StartError> {
    use clap::{Args as _, Command, FromArgMatches as _};
    let command = Args::augment_args(Command::new("observatory").no_binary_name(true));
    let free = ["--listen=127.0.0.1:0", "--otlp-grpc-listen=127.0.0.1:0", "--otlp-http-listen=127.0.0.1:0"];
    let flags = free.iter().chain(flags);
    let args = Args::from_arg_matches(&command.get_matches_from(flags)).unwrap();
    let telemetry = Telemetry::new(TelemetryConfig::new("candor-observatory")).unwrap();
    observatory::start(args.validate().unwrap(), telemetry).await
}

/// Appends samples to one series.
pub(crate) fn append(running: &Running, labels: &[(&str, &str)], samples: &[(i64, f64)]) {
    let mut appender = running.state.metrics.appender(now());
    for (at, value) in samples {
        appender.append(labels, Sample { at: *at, value: *value }).unwrap();
    }
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// `data` of a success.
    pub(crate) fn data(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.json()["data"].clone()
    }
}

/// Asks with GET.
pub(crate) async fn get(running: &Running, path: &str) -> Answer {
    ask(running, Request::get(path).body(Body::Empty).unwrap()).await
}

/// Asks with a form.
pub(crate) async fn post(running: &Running, path: &str, form: &[(&str, &str)]) -> Answer {
    post_to(running.addr, path, form).await
}

/// Asks a server with a form.
pub(crate) async fn post_to(addr: SocketAddr, path: &str, form: &[(&str, &str)]) -> Answer {
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    send(addr, request.body(Body::from(form)).unwrap()).await
}

/// Asks a server with GET.
pub(crate) async fn get_from(addr: SocketAddr, path: &str) -> Answer {
    send(addr, Request::get(path).body(Body::Empty).unwrap()).await
}

/// Sends JSON to a server.
pub(crate) async fn post_json(addr: SocketAddr, path: &str, body: String) -> Answer {
    let request = Request::builder().method(Method::POST).uri(path).header(header::CONTENT_TYPE, "application/json");
    send(addr, request.body(Body::from(body)).unwrap()).await
}

/// Sends a request.
pub(crate) async fn ask(running: &Running, request: Request<Body>) -> Answer {
    send(running.addr, request).await
}

async fn send(addr: SocketAddr, request: Request<Body>) -> Answer {
    let target = Target::parse(&format!("http://{addr}")).unwrap();
    let response = Client::new(ClientConfig::default()).send(&target, request).await.unwrap();
    let status = response.status();
    let bytes = body::collect(response.into_body(), 1 << 26).await.unwrap();
    Answer { status, body: String::from_utf8(bytes.to_vec()).unwrap() }
}
