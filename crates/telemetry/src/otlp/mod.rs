//! OTLP: the OpenTelemetry protocol.

/// Where and how to send.
#[derive(Clone, Debug)]
pub struct OtlpConfig {}
