//! Everything at once on one machine: engines, sidecars and gateways in one process, over real TCP on loopback.
//!
//! A [`Fleet`] is a deployment in miniature, made of the very components that an operator starts, configured by the very
//! flags. Nothing is shortcut: a request crosses the same sockets, only the machine is smaller. The client is never part
//! of it; load comes from a process of its own ([`Trial`]), because a stopwatch must not wait for what it measures.
//!
//! [`demo`] shows a fleet to a person; [`scenario`] audits one for a script. Both end with the audit's verdict.

#![forbid(unsafe_code)]

mod admin;
mod child;
pub mod demo;
mod flags;
mod fleet;
mod forward;
mod group;
mod listing;
mod live;
mod observed;
mod placing;
pub mod scenario;
mod threads;
mod topology;
mod traces;
mod trial;

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

pub use fleet::Fleet;
pub use group::{Group, MODEL};
pub use observed::Observed;
pub use placing::Placing;
pub use topology::{Connector, GroupConfig, Latency, Room};
pub use trial::{Trial, Tried};

/// Runs a fleet's control on a runtime of its own, until its end or Ctrl-C. The components have their own threads; this
/// one starts them, watches the load process, and compares.
fn block_on(control: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            biased;
            // The load process is told by the terminal itself, and killed where it is not; the components end with
            // their threads.
            _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(audit::EXIT_INTERRUPTED)),
            code = control => code,
        }
    })
}

/// A directory for the files of this run, under the system's temporary one.
fn temporary_directory() -> PathBuf {
    std::env::temp_dir().join(format!("candor-{}", std::process::id()))
}
