//! Candor as processes: what is left of a request when one of them is killed, restarted or asked to stop.

#![expect(clippy::unwrap_used, reason = "a test helper fails its test by panicking")]

mod accounts;
mod demo;
mod descriptors;
mod outside;
mod settling;
mod support;
