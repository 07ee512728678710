//! The load generator as a process of its own: this program again, with the hidden `load` subcommand.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use audit::LoadReport;
use tokio::process::{Child, Command};

/// A load process under way; dropping it kills it.
#[derive(Debug)]
pub(crate) struct LoadChild {
    child: Child,
    records: PathBuf,
}

/// What a load process is told.
#[derive(Clone, Debug)]
pub(crate) struct LoadOrder<'a> {
    pub(crate) gateway: SocketAddr,
    pub(crate) echo: SocketAddr,
    /// Further flags of `candor load`.
    pub(crate) flags: &'a [String],
    /// Where it leaves its records for this process.
    pub(crate) records: &'a Path,
    /// Where it leaves its spans.
    pub(crate) spans: &'a Path,
}

impl LoadChild {
    /// Starts it.
    pub(crate) fn start(order: &LoadOrder<'_>) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("where is this program?")?;
        let child = Command::new(program)
            .arg("load")
            .arg(format!("--url=http://{}", order.gateway))
            .arg(format!("--echo={}", order.echo))
            .arg("--quiet")
            .arg("--records")
            .arg(order.records)
            .arg("--spans")
            .arg(order.spans)
            .args(order.flags)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("the load process did not start")?;
        Ok(Self { child, records: order.records.to_owned() })
    }

    /// Waits for its end and reads what it saw. Cancel safe: it can be waited for again.
    pub(crate) async fn report(&mut self) -> anyhow::Result<LoadReport> {
        let status = self.child.wait().await?;
        if !status.success() {
            bail!("the load process ended with {status}");
        }
        let file = std::fs::File::open(&self.records).context("the load process left no records")?;
        Ok(serde_json::from_reader(std::io::BufReader::new(file))?)
    }
}
