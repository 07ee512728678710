//! The truth about every request: one clock, one timeline, one catalogue.
//!
//! Components report *events* (what happened, and when on [`clock`]); this crate turns an event into a metric, a span
//! and a log line, so the three cannot disagree. It is the only crate that names a metric, a span or an attribute.

pub mod clock;
pub mod server_timing;
pub mod trace;
