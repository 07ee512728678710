//! The agent: makes an instance of full mode out of an engine that knows nothing of it.
//!
//! A patched engine has a llumlet, which reads the engine's own scheduler. Any other engine has `/metrics` and `/health`, and
//! the sidecar in front of it knows each request. The agent puts the two together and writes the same records. What it can
//! know, what it estimates and what it leaves at 0 is said field by field in `docs/agent.md`.
//!
//! From the outside in: `run` starts the tasks, `probe` asks engine and sidecar, `observation` reads a scrape, `estimate` makes
//! a status of it (no IO, times are arguments), `http` shows how things stand.

mod config;
mod estimate;
mod http;
mod mean;
mod observation;
mod probe;
mod run;
mod watch;

pub use config::{Args, Config, Fault};
pub use run::{Running, StartError, start};
