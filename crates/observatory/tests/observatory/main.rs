//! The observatory over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

mod api;
mod conformance;
mod faults;
mod grafana;
mod page;
mod restart;
mod scrape;
mod support;
