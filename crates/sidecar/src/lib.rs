//! The P/D coordinator as a process beside a decode engine.
//!
//! It stands where the llm-d sidecar stands, takes its flags and its headers, and does the same for a client: a request that
//! names a prefill host becomes two legs, any other passes through. What it adds is the truth about both. In the order in
//! which a request meets them:
//!
//! - `server` binds the ports and routes; `rank` is one listener with its decoder.
//! - `generate` reads a request and decides; `passthrough` forwards what is no generation request.
//! - `target`, `targets` and `allow` say where a prefill may go; `kubernetes` follows the pods of a pool.
//! - `coordinator` runs the legs and relays the answer; their bodies come from `pd`.
//!
//! What is deliberately absent: names of metrics and spans (`telemetry` has them), sockets (`proxy`), and edits of JSON
//! (`openai`).

mod allow;
pub mod config;
mod generate;
mod headers;
pub mod kubernetes;
mod passthrough;
mod rank;
mod server;
mod target;
mod targets;

pub use allow::{RuleError, Rules};
pub use config::{Args, Config, Fault};
pub use server::{Running, StartError, start};
