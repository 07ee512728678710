//! `candor demo`: everything at once on one machine, under load, audited.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use audit::{Bounds, Verdict};
use proxy::{Client, ClientConfig};

use crate::admin;
use crate::fleet::Fleet;
use crate::forward::Forwarder;
use crate::group::Group;
use crate::live::Live;
use crate::observed::Observed;
use crate::placing::Placing;
use crate::topology::{Connector, GroupConfig, Latency};
use crate::trial::{Trial, Tried};

/// How often what an engine failed is tried again. Nothing fails here by itself; a person may make it (`/admin/faults`).
const RETRIES: u8 = 2;

/// Groups of neutral engines, beside the protocols where schedulers are shown: one behind a scheduler in full mode and one
/// behind one in lite mode, as these alternate.
const NEUTRAL: [&str; 2] = ["neutral1", "neutral2"];

/// Arguments of `candor demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Protocols to show
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Connector::ALL)]
    pub protocols: Vec<Connector>,
    /// Concurrent streams
    #[arg(long, default_value_t = 100)]
    pub streams: u32,
    /// How long the load of each protocol lasts
    #[arg(long, value_name = "TIME", default_value = "8s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// Place requests by schedulers, in turn in full mode and in lite mode, also those to two groups of neutral engines: every
    /// panel has data, at a cost that the bounds on time can feel on two cores [default: instances take turns]
    #[arg(long)]
    pub schedulers: bool,
    /// Place all requests by schedulers in full mode, which know the engines by what they say of themselves
    #[arg(long, conflicts_with = "schedulers")]
    pub full_mode: bool,
    /// Redis for what engines say of themselves, `redis://[[user]:password@]host[:port]`, without a database: each protocol
    /// takes one [default: this process's memory]
    #[arg(long, value_name = "URL", requires = "full_mode")]
    pub cms: Option<String>,
    /// Stay up after the verdict, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
    /// Also write the verdicts as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where the observatory listens: metrics of everything, in a browser and for Grafana; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    pub observatory_listen: SocketAddr,
    /// OTLP/HTTP receiver (such as http://localhost:4318) to send the spans on to, instead of the observatory; they are left
    /// in files either way
    #[arg(long, value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Directory for spans and records [default: a new temporary one]
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// Runs the demo on a runtime of its own, to its verdict (and on, with `--keep`). Ctrl-C stops everything, a second one at once.
///
/// # Errors
/// When a component or the load process cannot run.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(demo(args))
}

async fn demo(args: &Args) -> anyhow::Result<ExitCode> {
    let group =
        |connector: &Connector| GroupConfig { retries: RETRIES, ..GroupConfig::two_and_two(*connector, Latency::BUSY) };
    let mut configs: Vec<GroupConfig> = args.protocols.iter().map(group).collect();
    if args.schedulers {
        configs.extend(
            NEUTRAL.map(|name| GroupConfig { retries: RETRIES, ..GroupConfig::two_neutral(name, Latency::BUSY) }),
        );
    }
    let directory = args.directory.clone().unwrap_or_else(crate::temporary_directory);
    let fleet = Fleet::start_placed(&configs, &directory, &placing(args)).await?;
    let observed = fleet.observe(&observatory_flags(args)).await?;
    let code = until_interrupted(show(args, &fleet, &observed)).await;
    // Also then: what the instances have written in a Redis that others read must not outlive them.
    let stop = async {
        fleet.forget(observed).await?;
        fleet.shutdown().await?;
        code
    };
    until_interrupted(stop).await
}

/// What `control` comes to, unless Ctrl-C comes first. The load process is told of that by the terminal itself, and killed
/// where it is not.
async fn until_interrupted(control: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(audit::EXIT_INTERRUPTED)),
        code = control => code,
    }
}

/// Everything there is to see, to the verdict; with `--keep` it never ends.
async fn show(args: &Args, fleet: &Fleet, observed: &Observed) -> anyhow::Result<ExitCode> {
    writeln!(std::io::stdout(), "\n  observatory: {}\n", observed.url())?;
    crate::listing::print(fleet)?;
    let mut watch = Watch::new(fleet, args, &observed.url()).await?;
    let tried = load(fleet, args, &mut watch).await?;
    let spans = fleet.spans().await?;
    watch.forward().await;
    let verdicts: Vec<Verdict> = tried.into_iter().map(|tried| tried.verdict(&spans, Bounds::default())).collect();
    let code = audit::conclude(&verdicts, args.json.as_deref())?;
    if args.keep {
        writeln!(std::io::stdout(), "everything stays up until Ctrl-C")?;
        watch.for_ever().await;
    }
    Ok(code)
}

/// A run of seconds is to be seen in more than two points.
///
/// OTLP arrives on the page's port as well; the usual ports may be a collector's.
fn observatory_flags(args: &Args) -> [String; 5] {
    let listen = format!("--listen={}", args.observatory_listen);
    let free = ["--otlp-grpc-listen=127.0.0.1:0", "--otlp-http-listen=127.0.0.1:0"].map(str::to_owned);
    let [grpc, http] = free;
    [listen, "--scrape-interval=1s".to_owned(), "--scrape-timeout=1s".to_owned(), grpc, http]
}

fn placing(args: &Args) -> Placing {
    match (&args.cms, args.full_mode) {
        (Some(url), _) => Placing::InRedis(url.clone()),
        (None, true) => Placing::InMemory,
        (None, false) if args.schedulers => Placing::Alternating,
        (None, false) => Placing::InTurn,
    }
}

/// Loads one group after the other, so that each has the machine to itself.
async fn load(fleet: &Fleet, args: &Args, watch: &mut Watch) -> anyhow::Result<Vec<Tried>> {
    let mut tried = Vec::new();
    for group in fleet.groups() {
        let name = group.config.name;
        let trial = Trial::new(
            name,
            &[
                &format!("--concurrency={}", args.streams),
                &format!("--duration={}ms", args.duration.as_millis()),
                "--ramp=1s",
                "--prompt-tokens=lognormal:128:0.8:1024",
                "--output-tokens=uniform:16:48",
            ],
        );
        let mut cordon = Cordon::of(group);
        let second = async || {
            cordon.second().await;
            watch.glance(name).await;
        };
        tried.push(trial.run(fleet, group, second).await?);
        watch.glance(name).await;
    }
    writeln!(std::io::stdout())?;
    Ok(tried)
}

/// An engine that asks for no requests for a while, so that what it has is moved to another: where a scheduler would do that.
struct Cordon {
    client: Client,
    seconds: u32,
    engine: Option<SocketAddr>,
}

impl Cordon {
    /// For how long, ms.
    const TIME_MS: u32 = 1_500;

    fn of(group: &Group) -> Self {
        let engine = group.neutral().next().filter(|_| group.scheduler().is_some());
        Self { client: Client::new(ClientConfig::default()), seconds: 0, engine }
    }

    /// Another second has passed.
    async fn second(&mut self) {
        self.seconds += 1;
        if self.seconds == 2
            && let Some(engine) = self.engine
            && let Err(error) = admin::post(&self.client, engine, &format!("cordon?ms={}", Self::TIME_MS)).await
        {
            tracing::warn!(%engine, %error, "an engine that was to ask for no requests goes on");
        }
    }
}

/// What is looked at while the load runs.
struct Watch {
    live: Live,
    forwarder: Forwarder,
}

impl Watch {
    /// Spans go on to the observatory, or to whoever was named instead.
    async fn new(fleet: &Fleet, args: &Args, observatory: &str) -> anyhow::Result<Self> {
        let endpoint = args.otlp_endpoint.as_deref().unwrap_or(observatory);
        let forwarder = Forwarder::new(endpoint, fleet.traces().clone())?;
        Ok(Self { live: Live::new(fleet.groups()).await?, forwarder })
    }

    async fn glance(&mut self, group: &str) {
        // A terminal that has gone away is no reason to end the run; its verdict is in the exit status too.
        if let Err(error) = self.live.show(group).await {
            tracing::debug!(%error, "live table not shown");
        }
        self.forward().await;
    }

    async fn forward(&mut self) {
        if let Err(error) = self.forwarder.round().await {
            tracing::warn!(
                error = format!("{error:#}"),
                "spans not taken by the OTLP receiver; they are offered again"
            );
        }
    }

    async fn for_ever(&mut self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.forward().await;
        }
    }
}
