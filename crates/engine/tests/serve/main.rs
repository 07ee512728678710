//! Engines as their clients meet them: over real sockets.

#![expect(clippy::unwrap_used, reason = "in a test's helper, a panic is the report")]

mod apis;
mod faults;
mod handover;
mod http;
mod migrate;
mod publish;
mod support;
