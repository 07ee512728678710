//! The observatory beside a fleet: it scrapes every component, with the labels that the manifests for a cluster give them.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use observatory::metrics::scrape::ScrapeTarget;
use telemetry::{Telemetry, TelemetryConfig};

use crate::flags;
use crate::group::{Group, MODEL};
use crate::threads::{Place, Threads};

/// The `namespace` of everything in a fleet.
const NAMESPACE: &str = "candor-demo";

/// A running observatory.
pub struct Observed {
    running: observatory::Running,
    telemetry: Arc<Telemetry>,
}

impl Observed {
    /// Starts one with these flags, which scrapes itself and the components of `groups`.
    pub(crate) async fn start(threads: &Threads, groups: &[Group], flags: &[String]) -> anyhow::Result<Self> {
        let args: observatory::Args = flags::read("observatory", flags)?;
        let config = args.validate().map_err(|found| flags::faults("observatory", &found))?;
        let start = async move {
            let telemetry = Telemetry::new(TelemetryConfig::new("candor-observatory"))?;
            let running = observatory::start(config, Arc::clone(&telemetry)).await?;
            anyhow::Ok(Self { running, telemetry })
        };
        let observed = threads
            .run(Place::Observatory, start)
            .await?
            .context("the observatory did not start; --observatory-listen names another address for it")?;
        let mut targets = vec![target(observed.addr(), "observatory", &[])?];
        for group in groups {
            targets.extend(targets_of(group)?);
        }
        observed.running.state.targets.set("the fleet", targets);
        Ok(observed)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.running.addr
    }

    /// Where a browser goes.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// Stops it. Says whether every answer had been given.
    pub(crate) async fn shutdown(self, threads: &Threads) -> anyhow::Result<bool> {
        threads
            .run(Place::Observatory, async move {
                let report = self.running.shutdown().await;
                self.telemetry.shutdown().await;
                report.complete
            })
            .await
    }
}

fn targets_of(group: &Group) -> anyhow::Result<Vec<ScrapeTarget>> {
    let mut targets = vec![target(group.gateway(), "gateway", &[])?];
    if let Some(addr) = group.scheduler() {
        targets.push(target(addr, "scheduler", &[])?);
    }
    for addr in group.sidecars().filter_map(|(_, metrics)| metrics) {
        targets.push(target(addr, "sidecar", &[])?);
    }
    for (role, addr) in group.engines() {
        // As the PodMonitors for engines relabel: what a pod is for, and its model.
        targets.push(target(addr, "engine", &[("infer_type", role.as_str()), ("model", MODEL)])?);
    }
    Ok(targets)
}

fn target(addr: SocketAddr, job: &str, more: &[(&str, &str)]) -> anyhow::Result<ScrapeTarget> {
    let labels = [("job", job), ("namespace", NAMESPACE)].into_iter().chain(more.iter().copied());
    Ok(ScrapeTarget::new(&format!("http://{addr}/metrics"), labels)?)
}
