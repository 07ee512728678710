//! The truth about every request: one clock, one timeline, one catalogue.
//!
//! Components report *events* (what happened, and when on [`clock`]); this crate turns an event into metrics, spans and a
//! log line, so the three cannot disagree. It is the only crate that names a metric, a span or an attribute.
//!
//! - [`coordinator`], [`gateway`], [`scheduler`] and [`engine`] are the recorders: one call per event. [`load`] is that of a
//!   client who holds a stopwatch of its own.
//! - [`timeline`] holds the definitions of every latency, as pure functions of points in time.
//! - [`catalogue`] declares every metric; [`metrics`] counts them; [`exposition`] reads a scrape back.
//! - [`trace`], [`span`] and [`otlp`] make traces and take them where they belong.

mod attributes;
pub mod catalogue;
mod client;
pub mod clock;
mod config;
pub mod coordinator;
pub mod engine;
mod export;
pub mod exposition;
pub mod gateway;
mod itl;
pub mod load;
pub mod logs;
pub mod metrics;
pub mod observatory;
mod origin;
pub mod otel;
pub mod otlp;
mod outcome;
mod process;
mod sampling;
pub mod scheduler;
pub mod server_timing;
pub mod span;
mod telemetry;
pub mod timeline;
pub mod trace;

pub use client::{ClientTerms, Peer};
pub use config::{Batch, MemorySpans, SpanExport, SpanLimits, TelemetryConfig};
pub use export::ExportError;
pub use outcome::{Blame, Outcome, Stage};
pub use telemetry::Telemetry;
