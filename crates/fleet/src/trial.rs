//! One load run against one group.

use std::path::PathBuf;
use std::time::Duration;

use audit::{Bounds, Delta, Evidence, Faults, LoadReport, Scrape, Spans, Verdict};

use crate::child::{LoadChild, LoadOrder};
use crate::fleet::Fleet;
use crate::group::{Group, MODEL};

/// After the client has its last byte the server still has to notice, count and, where a client left, clean up.
const SETTLE: Duration = Duration::from_millis(500);

/// How often a running trial is looked at.
const GLANCE: Duration = Duration::from_secs(1);

/// A load run to be made.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What it is called in the report.
    pub title: String,
    /// Flags of `candor load`.
    pub flags: Vec<String>,
    /// Whether requests are meant to fail.
    pub faults: Faults,
}

/// A load run that was made, to be compared once its spans have been exported.
#[derive(Debug)]
pub struct Tried {
    trial: Trial,
    /// What the client saw.
    pub load: LoadReport,
    /// Whether the group has coordinators.
    coordinated: bool,
    /// What the metrics of gateway and sidecars grew by.
    pub metrics: Delta,
}

impl Trial {
    /// A trial with these flags of `candor load`; the model is the fleet's.
    pub fn new(title: impl Into<String>, flags: &[&str]) -> Self {
        let model = format!("--model={MODEL}");
        let flags = flags.iter().map(|flag| (*flag).to_owned()).chain([model]).collect();
        Self { title: title.into(), flags, faults: Faults::None }
    }

    /// Runs the load in a process of its own; `glance` is called every second while it runs.
    ///
    /// # Errors
    /// When the process cannot be run, or a metric endpoint does not answer.
    pub async fn run<G>(self, fleet: &Fleet, group: &Group, mut glance: G) -> anyhow::Result<Tried>
    where
        G: AsyncFnMut(),
    {
        let endpoints = group.metrics();
        let before = Scrape::of(&endpoints).await?;
        let records: PathBuf = fleet.scratch().join(format!("{}.records.json", group.config.name));
        // Among those of the components: they are one trace.
        let spans = fleet.scratch().join(format!("{}-client.jsonl", group.config.name));
        let (gateway, echo, flags) = (group.gateway(), fleet.echo(), self.flags.as_slice());
        let order = LoadOrder { gateway, echo, flags, records: &records, spans: &spans };
        let mut child = LoadChild::start(&order)?;
        let load = loop {
            tokio::select! {
                load = child.report() => break load?,
                () = tokio::time::sleep(GLANCE) => glance().await,
            }
        };
        tokio::time::sleep(SETTLE).await;
        let metrics = Scrape::of(&endpoints).await?.since(&before);
        Ok(Tried { trial: self, load, coordinated: group.sidecars().next().is_some(), metrics })
    }
}

impl Tried {
    /// Compares, with the spans that the fleet has exported since.
    pub fn verdict(self, spans: &Spans, bounds: Bounds) -> Verdict {
        let evidence = Evidence {
            title: self.trial.title,
            load: &self.load,
            spans: Some(spans),
            metrics: Some(&self.metrics),
            faults: self.trial.faults,
            coordinated: self.coordinated,
            bounds,
        };
        evidence.verdict()
    }
}
