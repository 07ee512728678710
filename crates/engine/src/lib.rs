//! A simulated vLLM or SGLang instance.
//!
//! What stands in front of an engine can only be trusted as far as it was tried against one. This engine needs no
//! accelerator and no model, and is honest where it counts: requests compete for a real token budget, real batch slots
//! and real KV blocks ([`core`]); blocks handed from prefill to decode stay occupied until somebody really asked for
//! them over TCP; answers have a real vLLM's shapes and its timing of head, first token and gaps; every series and span
//! it exports follows from what it did.
//!
//! From the inside out: [`core`] decides (no IO, no clock), `instance` runs it in real time, `kv` talks to other
//! instances, `api` understands requests and renders answers, `http` serves them, `fault` breaks them on demand. `publish` tells a cluster of the
//! instance, and `migrate` hands requests in mid-life over to another one, as a llumlet does.

mod api;
mod config;
pub mod core;
mod engine;
mod fault;
mod http;
mod instance;
mod kv;
mod migrate;
mod observe;
mod publish;
mod running;
mod text;

pub use api::Dialect;
pub use config::{Args, Config, Connector, Fault, KvArgs, LatencyArgs, Role};
pub use fault::HEADER as FAULT_HEADER;
pub use instance::Clockwork;
pub use running::{Running, StartError, start};
