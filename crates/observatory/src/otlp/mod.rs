//! OTLP in.

pub(crate) mod json;
