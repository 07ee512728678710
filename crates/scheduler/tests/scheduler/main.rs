//! A scheduler over real sockets.
#![allow(clippy::unwrap_used, reason = "tests, their helpers included")]

mod api;
mod discovery;
mod election;
mod faults;
mod lite;
mod metrics;
mod predict;
mod prefix;
mod rescheduling;
mod support;
