//! Spans in over real sockets, and found again: OTLP in all its ways, Tempo's API, restarts, and what is wrong with a
//! request.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod receiving;
mod restart;
mod sdk;
mod support;
mod tempo;
