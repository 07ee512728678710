//! The client's own spans. Every request carries a `traceparent`, which names a span of the client as the parent of all that
//! follows; so that span has to be somewhere, or every trace lacks its root.

use std::path::Path;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use telemetry::clock::{self, Moment};
use telemetry::load::{ClientRequest, record};
use telemetry::trace::{TRACEPARENT, TraceContext};
use telemetry::{Batch, ExportError, SpanExport, Telemetry, TelemetryConfig};

use crate::record::{End, LoadReport, Record};

/// The `service.name` of load generators.
const SERVICE: &str = "candor-load";

/// Appends a span for each request of a run to a file of OTLP/JSON lines.
///
/// # Errors
/// When the file cannot be opened.
pub async fn write(report: &LoadReport, model: &str, file: &Path) -> Result<(), ExportError> {
    let mut config = TelemetryConfig::new(SERVICE).with_export(SpanExport::File(file.to_owned()));
    config.batch = Batch { max_queue_size: report.records.len().max(1), ..Batch::default() };
    let telemetry = Telemetry::new(config)?;
    let tracer = telemetry.tracer();
    let began = began(report.began_unix_ns);
    for request in report.records.iter().filter_map(|record| seen(record, began, model)) {
        record(&tracer, request);
    }
    telemetry.shutdown().await;
    Ok(())
}

/// The run's beginning on this process's clock.
fn began(unix_nanos: u64) -> Moment {
    let now = clock::now();
    now - Duration::from_nanos(now.unix_nanos().saturating_sub(unix_nanos))
}

/// What a record comes to as a span; nothing where its identifiers are none of a trace.
fn seen(record: &Record, began: Moment, model: &str) -> Option<ClientRequest> {
    let (outcome, error) = match &record.end {
        End::Completed => ("completed", None),
        End::Cancelled => ("cancelled", None),
        End::Refused => ("failed", Some(record.status.map_or_else(String::new, |status| format!("answered {status}")))),
        End::Broken { why } | End::Unanswered { why } => ("failed", Some(why.clone())),
    };
    Some(ClientRequest {
        context: context(record)?,
        request_id: record.request_id.clone(),
        path: record.path.clone(),
        model: model.to_owned(),
        streaming: record.stream,
        status: record.status,
        tokens: record.tokens.max(record.usage_tokens.unwrap_or(0)),
        sent: began + Duration::from_nanos(record.start_ns),
        first_token: record.first_ns,
        ended: record.end_ns,
        outcome,
        error,
    })
}

/// The position in the trace that the request was sent with.
fn context(record: &Record) -> Option<TraceContext> {
    let text = format!("00-{}-{}-01", record.trace_id, record.span_id);
    let headers = HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_str(&text).ok()?)]);
    TraceContext::extract(&headers)
}
