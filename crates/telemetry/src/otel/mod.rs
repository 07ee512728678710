//! The `OTEL_*` variables of the OpenTelemetry specification, for what we do.
//!
//! Read through a look-up that the caller injects, so that nothing here touches the process environment. As the
//! specification asks, a value that cannot be used is reported and its default taken; all of them are reported, not only
//! the first.

mod exporter;
mod sampler;
mod values;

use std::fmt;

use crate::config::{Batch, SpanExport, SpanLimits, TelemetryConfig};
use values::Reader;

/// A variable whose value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The variable.
    pub variable: String,
    /// What is wrong, and what is done instead.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.problem)
    }
}

impl TelemetryConfig {
    /// Takes the standard variables over this configuration. `lookup` answers for a variable's name; an empty value counts
    /// as unset, as the specification says. Returns what could not be used.
    ///
    /// Spans are exported when `OTEL_TRACES_EXPORTER` says so or an OTLP endpoint is given; without both they are not.
    /// (The specification would export to a local collector; a proxy that nobody asked for traces should not try.)
    pub fn apply_environment(&mut self, lookup: impl Fn(&str) -> Option<String>) -> Vec<Fault> {
        let mut reader = Reader::new(&lookup);
        resource(self, &mut reader);
        self.sampler = sampler::read(self.sampler.clone(), &mut reader);
        self.batch = batch(self.batch, &mut reader);
        self.limits = limits(self.limits, &mut reader);
        self.propagate = propagators(&mut reader);
        if let Some(export) = exporter::read(&mut reader) {
            self.export = export;
        }
        if reader.boolean("OTEL_SDK_DISABLED") == Some(true) {
            self.export = SpanExport::None;
        }
        reader.faults
    }
}

/// The log level of `OTEL_LOG_LEVEL`, as `tracing` names it; `None` where it is unset.
pub fn log_level(lookup: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    match lookup("OTEL_LOG_LEVEL")?.to_ascii_lowercase().as_str() {
        "none" | "off" => Some("off"),
        "error" | "fatal" => Some("error"),
        "warn" | "warning" => Some("warn"),
        "info" => Some("info"),
        "debug" => Some("debug"),
        "verbose" | "trace" | "all" => Some("trace"),
        _ => None,
    }
}

fn resource(config: &mut TelemetryConfig, reader: &mut Reader<'_>) {
    let attributes = reader.pairs("OTEL_RESOURCE_ATTRIBUTES");
    if let Some((_, name)) = attributes.iter().find(|(key, _)| key == "service.name") {
        config.service_name.clone_from(name);
    }
    config.resource.extend(attributes.into_iter().filter(|(key, _)| key != "service.name"));
    if let Some(name) = reader.text("OTEL_SERVICE_NAME") {
        config.service_name = name;
    }
}

fn batch(default: Batch, reader: &mut Reader<'_>) -> Batch {
    let max_queue_size = reader.count("OTEL_BSP_MAX_QUEUE_SIZE").unwrap_or(default.max_queue_size);
    let mut max_export_batch_size =
        reader.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE").unwrap_or(default.max_export_batch_size);
    if max_export_batch_size > max_queue_size {
        let problem = format!("more than the queue holds; {max_queue_size} is used");
        reader.fault("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", problem);
        max_export_batch_size = max_queue_size;
    }
    Batch {
        schedule_delay: reader.millis("OTEL_BSP_SCHEDULE_DELAY").unwrap_or(default.schedule_delay),
        export_timeout: reader.millis("OTEL_BSP_EXPORT_TIMEOUT").unwrap_or(default.export_timeout),
        max_queue_size,
        max_export_batch_size,
    }
}

/// The span's own limits go before the general ones. There are no links here, so their limits are checked and change
/// nothing.
fn limits(default: SpanLimits, reader: &mut Reader<'_>) -> SpanLimits {
    let count = reader.limit("OTEL_ATTRIBUTE_COUNT_LIMIT");
    let length = reader.limit("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT");
    for unused in ["OTEL_SPAN_LINK_COUNT_LIMIT", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"] {
        reader.limit(unused);
    }
    SpanLimits {
        attributes: reader.limit("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT").or(count).unwrap_or(default.attributes),
        value_length: reader.limit("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT").or(length).unwrap_or(default.value_length),
        events: reader.limit("OTEL_SPAN_EVENT_COUNT_LIMIT").unwrap_or(default.events),
        event_attributes: reader
            .limit("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT")
            .or(count)
            .unwrap_or(default.event_attributes),
    }
}

/// Whether W3C trace context is read and written. Baggage is a header that we have no use for: it passes through as it
/// is, like any other, whether it is named or not.
fn propagators(reader: &mut Reader<'_>) -> bool {
    const VARIABLE: &str = "OTEL_PROPAGATORS";
    let Some(list) = reader.text(VARIABLE) else { return true };
    let names: Vec<_> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names == ["none"] {
        return false;
    }
    let (mut trace_context, mut usable) = (false, false);
    for name in names {
        match name {
            "tracecontext" => (trace_context, usable) = (true, true),
            "baggage" => usable = true,
            "none" => reader.fault(VARIABLE, "none stands alone; beside others it is left out"),
            "b3" | "b3multi" | "jaeger" | "xray" | "ottrace" => {
                reader.fault(VARIABLE, format!("{name} is not supported, only tracecontext, baggage and none are"));
            }
            _ => reader.fault(VARIABLE, format!("no propagator is called {name}")),
        }
    }
    if !usable {
        reader.fault(VARIABLE, "nothing usable is named; tracecontext and baggage are used");
    }
    trace_context || !usable
}

#[cfg(test)]
mod tests;
