//! `OTEL_TRACES_EXPORTER` and `OTEL_EXPORTER_OTLP_*`.

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Uri};

use super::values::Reader;
use crate::config::SpanExport;
use crate::otlp::{OtlpConfig, Protocol, TlsFiles};

const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// The port that the specification gives to gRPC.
const GRPC_PORT: u16 = 4317;

/// Where spans go by the environment; `None` where it does not say.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<SpanExport> {
    let endpoint = reader.either([TRACES_ENDPOINT, ENDPOINT]);
    match reader.text("OTEL_TRACES_EXPORTER").as_deref() {
        Some("none") => Some(SpanExport::None),
        Some("console" | "logging") => Some(SpanExport::Console),
        Some("otlp") => Some(otlp(reader, endpoint)),
        None => endpoint.map(|endpoint| otlp(reader, Some(endpoint))),
        Some(other) => {
            reader.fault("OTEL_TRACES_EXPORTER", format!("{other} is not otlp, console or none; otlp is used"));
            Some(otlp(reader, endpoint))
        }
    }
}

fn otlp(reader: &mut Reader<'_>, endpoint: Option<(&'static str, String)>) -> SpanExport {
    let mut given = endpoint.and_then(|(variable, value)| Some((variable, url(reader, variable, &value)?)));
    if let Some((_, uri)) = &mut given {
        without_scheme(reader, uri);
    }
    let port = given.as_ref().and_then(|(_, uri)| uri.port_u16());
    let protocol = protocol(reader, port);
    let endpoint = match given {
        Some((ENDPOINT, uri)) if protocol != Protocol::Grpc => with_traces_path(&uri),
        Some((_, uri)) => uri,
        None if protocol == Protocol::Grpc => Uri::from_static("http://localhost:4317"),
        None => Uri::from_static("http://localhost:4318/v1/traces"),
    };
    let mut config = OtlpConfig::new(endpoint, protocol);
    config.headers = headers(reader);
    let timeout = reader.either(["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]);
    if let Some(timeout) = timeout.and_then(|(variable, value)| reader.millis_of(variable, &value)) {
        config.timeout = timeout;
    }
    config.gzip = compression(reader);
    config.tls = TlsFiles {
        certificate: file(reader, ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"]),
        client_certificate: file(
            reader,
            ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"],
        ),
        client_key: file(reader, ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"]),
    };
    SpanExport::Otlp(Box::new(config))
}

/// A URL, or `host:port` as gRPC users write it.
fn url(reader: &mut Reader<'_>, variable: &'static str, value: &str) -> Option<Uri> {
    let uri = value
        .parse::<Uri>()
        .ok()
        .filter(|uri| uri.authority().is_some() && matches!(uri.scheme_str(), None | Some("http" | "https")));
    if uri.is_none() {
        reader.fault(variable, format!("{value} is not an http or https URL; the default endpoint is used"));
    }
    uri
}

/// Gives an endpoint without scheme one: `https` unless `…_INSECURE` says that it is not.
fn without_scheme(reader: &mut Reader<'_>, uri: &mut Uri) {
    let insecure = reader.either(["OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"]);
    let insecure = insecure.and_then(|(variable, value)| reader.boolean_of(variable, &value));
    if uri.scheme().is_none() {
        let scheme = if insecure == Some(true) { "http" } else { "https" };
        let host = uri.authority().map_or("", |authority| authority.as_str());
        *uri = format!("{scheme}://{host}").parse().unwrap_or_else(|_| uri.clone());
    }
}

/// The general endpoint is a base: traces go to `v1/traces` below it.
fn with_traces_path(base: &Uri) -> Uri {
    let mut parts = base.clone().into_parts();
    let path = format!("{}/v1/traces", base.path().trim_end_matches('/'));
    parts.path_and_query = path.parse::<PathAndQuery>().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| base.clone())
}

/// `http/protobuf`, unless the variable or the endpoint's well-known port says otherwise: a receiver of gRPC would drop
/// anything else without a word.
fn protocol(reader: &mut Reader<'_>, port: Option<u16>) -> Protocol {
    let by_port = if port == Some(GRPC_PORT) { Protocol::Grpc } else { Protocol::HttpProtobuf };
    let said = reader.either(["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]);
    let Some((variable, value)) = said else { return by_port };
    match value.as_str() {
        "grpc" => Protocol::Grpc,
        "http/protobuf" => Protocol::HttpProtobuf,
        "http/json" => Protocol::HttpJson,
        other => {
            reader.fault(variable, format!("{other} is not grpc, http/protobuf or http/json; http/protobuf is used"));
            by_port
        }
    }
}

fn headers(reader: &mut Reader<'_>) -> Vec<(HeaderName, HeaderValue)> {
    const NAMES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
    let Some((variable, _)) = reader.either(NAMES) else { return Vec::new() };
    let mut headers = Vec::new();
    for (name, value) in reader.pairs(variable) {
        match (name.parse(), value.parse()) {
            (Ok(name), Ok(value)) => headers.push((name, value)),
            _ => reader.fault(variable, format!("{name} is not a legal header; it is left out")),
        }
    }
    headers
}

fn compression(reader: &mut Reader<'_>) -> bool {
    let said = reader.either(["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"]);
    let Some((variable, value)) = said else { return false };
    if !matches!(value.as_str(), "gzip" | "none") {
        reader.fault(variable, format!("{value} is not gzip or none; none is used"));
    }
    value == "gzip"
}

fn file(reader: &Reader<'_>, names: [&'static str; 2]) -> Option<std::path::PathBuf> {
    reader.either(names).map(|(_, path)| path.into())
}
