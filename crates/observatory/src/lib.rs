//! The observatory: what Prometheus, Tempo and Grafana are to a cluster, for one machine.
//!
//! One process, one port: it takes samples in, keeps them compressed and bounded, and answers the standard query APIs, so
//! that the page it serves and a Grafana elsewhere ask the same questions in the same words.
//!
//! | what | module |
//! |---|---|
//! | from a path to its handler | `server` |
//! | samples: the store that keeps them | [`metrics`] |
//! | spans: the store that keeps them, the language to ask for them | [`traces`], [`traceql`] |
//! | spans, samples and logs as they arrive | [`otlp`] |
//! | the language of questions about samples | [`promql`] |
//! | the HTTP APIs | [`api`] |
//! | what outlives the process | `disk` |
//! | the page, and the stores of others that it can be pointed at | `page`, `elsewhere` |
//! | flags, and what they become | [`config`] |
//!
//! Deliberately absent: knowledge of any particular metric, span or attribute. What is shown of them is said by dashboards.

#![forbid(unsafe_code)]

pub mod api;
pub mod config;
mod disk;
mod elsewhere;
pub mod metrics;
pub mod otlp;
mod page;
pub mod promql;
mod reply;
mod running;
mod server;
mod state;
mod time;
pub mod traceql;
pub mod traces;

pub use config::{Args, Config, Fault};
pub use disk::DiskError;
pub use elsewhere::Backend;
pub use running::{Running, StartError, start};
pub use state::State;
