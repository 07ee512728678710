//! The P/D coordinator as a process beside a decode engine.
//!
//! It stands where the llm-d sidecar stands, takes its flags and its headers, and does the same for a client: a request that
//! names a prefill host becomes two legs, any other passes through. What it adds is the truth about both. In the order in
//! which a request meets them:
//!
//! - `server` binds the ports and routes; `rank` is one listener with its decoder.
//! - `generate` reads a request and decides; `passthrough` forwards what is no generation request.
//! - `target`, `targets` and `allow` say where a prefill may go; `kubernetes` follows the pods of a pool.
//! - `prefill` runs the first leg of a serial protocol, `concurrent` both legs of the others; the bodies of all legs come
//!   from `pd`.
//! - `release` sends the leg that frees a prefill's blocks when the client has left between the stages.
//! - `answer` reads what has to be read of the decoder's answer before it can go on; `relay` hands it on, counts its
//!   tokens, and gives it a truthful end.
//!
//! What is deliberately absent: names of metrics and spans (`telemetry` has them), sockets (`proxy`), and edits of JSON
//! (`openai`).

mod allow;
mod answer;
mod asked;
mod concurrent;
pub mod config;
mod failure;
mod generate;
mod headers;
pub mod kubernetes;
mod passthrough;
mod prefill;
mod rank;
mod relay;
mod release;
mod server;
mod target;
mod targets;

pub use allow::{RuleError, Rules};
pub use config::{Args, Config, Fault};
pub use server::{Running, StartError, start};
