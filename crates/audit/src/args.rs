//! `candor audit`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use crate::compare::{Bounds, Evidence, Faults};
use crate::load::{self, Fault, Load, Pace, WorkloadArgs};
use crate::scrape::{Endpoint, Scrape};
use crate::spans::Spans;
use crate::verdict::Verdict;
use crate::{EXIT_BROKEN, EXIT_INTERRUPTED, overview, report};

/// A run with components of its own, to audit without a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// The seed document's example: 2 ms gateway, 50 ms prefill, 3 ms KV transfer, 10 ms decode step
    SeedExample,
    /// Every protocol in turn, 100 concurrent streams each
    Protocols,
    /// Chat and completions, streamed and not, clients that leave
    Mixed,
    /// Engines that answer 4xx and 5xx, and break off
    Faults,
    /// More requests than the gateway admits and the scheduler places, clients that leave, engines that die and come back
    Overload,
}

/// Arguments of `candor audit`: drives load, and holds what Candor reports against the client's stopwatch.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Start engines, sidecars and gateway on loopback and audit those, instead of --gateway
    #[arg(long, value_enum, conflicts_with_all = ["gateway", "metrics", "spans", "echo"])]
    pub scenario: Option<Scenario>,
    /// Base URL of the gateway (or sidecar) to send requests to
    #[arg(long, value_name = "URL", required_unless_present = "scenario")]
    pub gateway: Option<String>,
    /// Metric endpoints of gateway and sidecars
    #[arg(long, value_name = "URL")]
    pub metrics: Vec<String>,
    /// Files of OTLP/JSON lines to which the audited processes export their spans
    #[arg(long, value_name = "FILE")]
    pub spans: Vec<PathBuf>,
    /// How long to wait after the run for spans to be exported
    #[arg(long, value_name = "TIME", default_value = "6s", value_parser = humantime::parse_duration)]
    pub settle: Duration,
    /// Largest |reported - stopwatch| at the median, beyond the wake-up noise
    #[arg(long, value_name = "TIME", default_value = "200us", value_parser = humantime::parse_duration)]
    pub bound_p50: Duration,
    /// Likewise at the 99th percentile
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = humantime::parse_duration)]
    pub bound_p99: Duration,
    /// Echo listener beside the gateway, to measure wake-up noise with
    #[arg(long, value_name = "HOST:PORT")]
    pub echo: Option<std::net::SocketAddr>,
    /// Also write the verdict as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// What to send.
    #[command(flatten)]
    pub workload: WorkloadArgs,
    /// When and how much.
    #[command(flatten)]
    pub pace: Pace,
}

/// An audit of external targets, ready to go.
struct External {
    load: Load,
    gateway: String,
    metrics: Vec<Endpoint>,
    spans: Vec<PathBuf>,
    settle: Duration,
    faults: Faults,
    bounds: Bounds,
}

impl Args {
    /// The bounds that the arguments ask for.
    pub fn bounds(&self) -> Bounds {
        Bounds { p50: self.bound_p50, p99: self.bound_p99 }
    }

    fn validate(self) -> Result<External, Vec<Fault>> {
        let bounds = self.bounds();
        let faults_expected = !self.workload.inject.is_empty();
        let gateway = self.gateway.unwrap_or_default();
        let mut faults = Vec::new();
        let mut metrics = Vec::new();
        for url in &self.metrics {
            match Endpoint::at(url) {
                Ok(endpoint) => metrics.push(endpoint),
                Err(fault) => faults.push(format!("--metrics: {fault}")),
            }
        }
        let load = load::Args {
            url: gateway.clone(),
            workload: self.workload,
            pace: self.pace,
            echo: self.echo,
            quiet: false,
            records: None,
            spans: None,
        };
        match load.validate() {
            Ok(load) if faults.is_empty() => Ok(External {
                load,
                gateway,
                metrics,
                spans: self.spans,
                settle: self.settle,
                faults: if faults_expected { Faults::Expected } else { Faults::None },
                bounds,
            }),
            Ok(_) => Err(faults),
            Err(more) => {
                faults.extend(more);
                Err(faults)
            }
        }
    }
}

/// Audits external targets: this process is the client. (A scenario needs components, which this crate knows nothing
/// of; `fleet` runs it.)
///
/// # Errors
/// When the run cannot be done: a target that does not answer at all, spans that cannot be read.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let json = args.json.clone();
    let external = match args.validate() {
        Ok(external) => external,
        Err(faults) => return crate::refuse(&faults),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let verdict = runtime.block_on(async {
        tokio::select! {
            verdict = external.audit() => verdict.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        }
    })?;
    match verdict {
        Some(verdict) => conclude(&[verdict], json.as_deref()),
        None => Ok(ExitCode::from(EXIT_INTERRUPTED)),
    }
}

impl External {
    async fn audit(self) -> anyhow::Result<Verdict> {
        let before = Scrape::of(&self.metrics).await?;
        let load = self.load.run().await?;
        tokio::time::sleep(self.settle).await;
        let after = Scrape::of(&self.metrics).await?;
        let spans = (!self.spans.is_empty()).then(|| Spans::read(&self.spans)).transpose()?;
        let delta = (!self.metrics.is_empty()).then(|| after.since(&before));
        let evidence = Evidence {
            title: self.gateway,
            load: &load,
            spans: spans.as_ref(),
            metrics: delta.as_ref(),
            faults: self.faults,
            coordinated: true,
            bounds: self.bounds,
        };
        Ok(evidence.verdict())
    }
}

/// Prints verdicts to stdout, writes them as JSON where that is wanted, and turns them into an exit status.
///
/// # Errors
/// When a verdict cannot be written.
pub fn conclude(verdicts: &[Verdict], json: Option<&Path>) -> anyhow::Result<ExitCode> {
    let mut stdout = std::io::stdout().lock();
    for verdict in verdicts {
        report::write(verdict, &mut stdout)?;
        writeln!(stdout)?;
    }
    if verdicts.len() > 1 {
        overview::write(verdicts, &mut stdout)?;
    }
    if let Some(path) = json {
        let file = std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        serde_json::to_writer_pretty(std::io::BufWriter::new(file), verdicts)?;
    }
    let holds = verdicts.iter().all(Verdict::holds);
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::from(EXIT_BROKEN) })
}
