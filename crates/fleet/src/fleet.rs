//! All groups of a run, and what they share.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use audit::Spans;
use tokio::net::TcpListener;

use crate::group::Group;
use crate::observed::Observed;
use crate::placing::Placing;
use crate::threads::{Place, Threads};
use crate::topology::GroupConfig;
use crate::traces::{self, Traces};

/// A running fleet. It must be shut down: dropping it ends its threads, and what streams are left with them.
pub struct Fleet {
    groups: Vec<Group>,
    traces: Traces,
    directory: PathBuf,
    echo: SocketAddr,
    threads: Threads,
}

impl Fleet {
    /// Starts every group in this process, over real TCP on loopback and free ports. Spans and records go to files in
    /// `directory`.
    ///
    /// # Errors
    /// When a component cannot start.
    pub async fn start(configs: &[GroupConfig], directory: &Path) -> anyhow::Result<Self> {
        Self::start_placed(configs, directory, &Placing::InTurn).await
    }

    /// The same, with instances chosen as `placing` says.
    ///
    /// # Errors
    /// When a component cannot start.
    pub async fn start_placed(configs: &[GroupConfig], directory: &Path, placing: &Placing) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let threads = Threads::start()?;
        let traces = Traces::new(directory);
        let listener = TcpListener::bind("127.0.0.1:0").await?.into_std()?;
        let echo = listener.local_addr()?;
        threads.leave(Place::Echo, async move {
            // A listener that was just bound is one here too; without it the load process says that nobody echoes.
            if let Ok(listener) = TcpListener::from_std(listener)
                && let Err(error) = audit::echo::serve(listener).await
            {
                tracing::warn!(%error, "echo listener failed");
            }
        });
        let mut groups = Vec::new();
        for (index, config) in configs.iter().enumerate() {
            let chooser = placing.chooser(index)?;
            groups.push(Group::start(*config, &chooser, &traces, &threads).await?);
        }
        Ok(Self { groups, traces, directory: directory.to_owned(), echo, threads })
    }

    /// The groups, in the order of their configurations.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The echo listener.
    pub fn echo(&self) -> SocketAddr {
        self.echo
    }

    /// The spans' export.
    pub(crate) fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Where files of the run are left.
    pub(crate) fn scratch(&self) -> &Path {
        &self.directory
    }

    /// Starts an observatory with these flags on a thread of its own, and lets it scrape every component.
    ///
    /// # Errors
    /// When a flag is refused, or its address cannot be listened on.
    pub async fn observe(&self, flags: &[String]) -> anyhow::Result<Observed> {
        Observed::start(&self.threads, &self.groups, flags).await
    }

    /// Waits until the spans of ended requests have been exported, and reads them back.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn spans(&self) -> anyhow::Result<Spans> {
        tokio::time::sleep(3 * traces::EXPORT_EVERY).await;
        Ok(Spans::read(&self.traces.files()?)?)
    }

    /// Stops an observatory.
    ///
    /// # Errors
    /// When it panicked while it stopped.
    pub async fn forget(&self, observed: Observed) -> anyhow::Result<()> {
        if !observed.shutdown(&self.threads).await? {
            tracing::warn!("answers of the observatory were cut off at shutdown");
        }
        Ok(())
    }

    /// Stops every component.
    ///
    /// # Errors
    /// When a component panicked while it stopped.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        for group in self.groups {
            let name = group.config.name;
            if !group.shutdown(&self.threads).await? {
                tracing::warn!(group = name, "streams were cut off at shutdown");
            }
        }
        Ok(())
    }
}
