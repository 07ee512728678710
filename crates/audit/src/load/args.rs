//! `candor load` and what it shares with `candor audit`: arguments, and what they come to.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use http::{HeaderValue, Uri};

use super::{Arrivals, Limit, Load, Target};
use crate::record::LoadReport;
use crate::workload::{Inject, Lengths, Prompts, Share, Workload};

/// A fault in the arguments: a sentence that names the flag.
pub type Fault = String;

/// What to send.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkloadArgs {
    /// Model to ask for
    #[arg(long, default_value = "candor")]
    pub model: String,
    /// Seed of everything random about the requests
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Prompt lengths: constant:N, uniform:MIN:MAX, lognormal:MEDIAN:SIGMA or lognormal:MEDIAN:SIGMA:MAX, sharegpt-prompt
    #[arg(long, value_name = "LENGTHS", default_value_t = Lengths::SHAREGPT_PROMPT)]
    pub prompt_tokens: Lengths,
    /// Output lengths, written likewise
    #[arg(long, value_name = "LENGTHS", default_value_t = Lengths::SHAREGPT_OUTPUT)]
    pub output_tokens: Lengths,
    /// Prompts from a file of lines {"prompt": "...", "max_tokens": n} instead of made-up ones
    #[arg(long, value_name = "FILE", conflicts_with = "prompt_tokens")]
    pub prompts: Option<PathBuf>,
    /// Share of chat completions; the rest are completions
    #[arg(long, value_name = "SHARE", default_value_t = Share::of(0.5))]
    pub chat_share: Share,
    /// Share of streaming requests
    #[arg(long, value_name = "SHARE", default_value_t = Share::ALL)]
    pub stream_share: Share,
    /// Share of streams that ask for a usage chunk
    #[arg(long, value_name = "SHARE", default_value_t = Share::of(0.5))]
    pub usage_share: Share,
    /// Share of requests whose client leaves before the first token
    #[arg(long, value_name = "SHARE", default_value_t = Share::NONE)]
    pub cancel_before_first: Share,
    /// How long after its start such a client leaves at most
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = humantime::parse_duration)]
    pub cancel_within: Duration,
    /// Share of streams whose client leaves before half of the tokens are there
    #[arg(long, value_name = "SHARE", default_value_t = Share::NONE)]
    pub cancel_mid_stream: Share,
    /// Header to send with a share of the requests, such as a simulated engine's fault header
    #[arg(long, value_name = "SHARE:NAME:VALUE")]
    pub inject: Vec<Inject>,
}

/// When and how much to send.
#[derive(Clone, Debug, clap::Args)]
pub struct Pace {
    /// Open loop: mean number of requests started per second (Poisson), however slow the answers
    #[arg(long, value_name = "PER_SECOND", conflicts_with = "concurrency")]
    pub rate: Option<f64>,
    /// Closed loop: this many clients, each sending its next request when its last one has ended
    #[arg(long, value_name = "CLIENTS", default_value_t = 16)]
    pub concurrency: usize,
    /// Closed loop: time over which the clients start
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    pub ramp: Duration,
    /// Stop after this many requests
    #[arg(long)]
    pub requests: Option<u64>,
    /// Stop starting requests after this time [default: 10s without --requests]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// How long one request may take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
}

/// Arguments of `candor load`: one load run in a process of its own.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Base URL of the server
    #[arg(long)]
    pub url: String,
    /// What to send.
    #[command(flatten)]
    pub workload: WorkloadArgs,
    /// When and how much.
    #[command(flatten)]
    pub pace: Pace,
    /// Echo listener in the serving process, to measure wake-up noise with
    #[arg(long, value_name = "HOST:PORT")]
    pub echo: Option<SocketAddr>,
    /// Draw no progress bar
    #[arg(long)]
    pub quiet: bool,
    /// File to write what the client saw to (JSON); stdout without it
    #[arg(long, value_name = "FILE")]
    pub records: Option<PathBuf>,
    /// File to append the client's spans to, the roots of the traces that its requests began (lines of OTLP/JSON)
    #[arg(long, value_name = "FILE")]
    pub spans: Option<PathBuf>,
}

impl WorkloadArgs {
    /// The workload that the arguments describe.
    ///
    /// # Errors
    /// When the file of prompts cannot be used.
    pub fn workload(self) -> Result<Workload, Fault> {
        let prompts = match &self.prompts {
            Some(path) => Prompts::read(path).map_err(|error| format!("--prompts: {error}"))?,
            None => Prompts::Made(self.prompt_tokens),
        };
        Ok(Workload {
            seed: self.seed,
            model: self.model,
            prompts,
            output: self.output_tokens,
            chat: self.chat_share,
            stream: self.stream_share,
            usage: self.usage_share,
            cancel_before_first: self.cancel_before_first,
            cancel_within: self.cancel_within,
            cancel_mid_stream: self.cancel_mid_stream,
            inject: self.inject,
        })
    }
}

impl Pace {
    /// Open or closed loop.
    ///
    /// # Errors
    /// When there would be no request at all.
    pub fn arrivals(&self) -> Result<Arrivals, Fault> {
        match self.rate {
            Some(rate) if rate.is_finite() && rate > 0.0 => Ok(Arrivals::Open { rate }),
            Some(rate) => Err(format!("--rate {rate} is not a positive number")),
            None if self.concurrency == 0 => Err("--concurrency 0 would send nothing".to_owned()),
            None => Ok(Arrivals::Closed { clients: self.concurrency, ramp: self.ramp }),
        }
    }

    /// When to stop: after what was asked for, after 10 s where nothing was.
    pub fn limit(&self) -> Limit {
        let time = match (self.duration, self.requests) {
            (Some(time), _) => time,
            (None, Some(_)) => Duration::from_secs(24 * 3600),
            (None, None) => Duration::from_secs(10),
        };
        Limit { requests: self.requests.unwrap_or(u64::MAX), time }
    }
}

impl Target {
    /// The server at an address.
    pub fn of(addr: SocketAddr) -> Self {
        // An address is printable ASCII, which is what a header value takes.
        let host = HeaderValue::from_str(&addr.to_string()).unwrap_or_else(|_| HeaderValue::from_static("localhost"));
        Self { addr, host }
    }

    /// The server at a base URL such as `http://127.0.0.1:8089`.
    ///
    /// # Errors
    /// When it is no `http` URL with a host that resolves.
    pub fn at(url: &str) -> Result<Self, Fault> {
        let uri: Uri = url.parse().map_err(|error| format!("{url:?} is no URL: {error}"))?;
        let authority = match (uri.scheme_str(), uri.authority()) {
            (Some("http"), Some(authority)) => authority,
            _ => return Err(format!("{url:?} is not of the form http://host:port")),
        };
        let found = (authority.host(), authority.port_u16().unwrap_or(80)).to_socket_addrs();
        let addr =
            found.map_err(|error| format!("{url:?}: {error}"))?.next().ok_or_else(|| format!("{url:?}: no address"))?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|error| format!("{url:?}: {error}"))?;
        Ok(Self { addr, host })
    }
}

impl Args {
    /// The run that the arguments describe.
    ///
    /// # Errors
    /// Every fault in them.
    pub fn validate(self) -> Result<Load, Vec<Fault>> {
        let limit = self.pace.limit();
        let timeout = self.pace.timeout;
        let mut faults = Vec::new();
        let mut note = |fault| faults.push(fault);
        let target = Target::at(&self.url).map_err(&mut note).ok();
        let arrivals = self.pace.arrivals().map_err(&mut note).ok();
        let workload = self.workload.workload().map_err(&mut note).ok();
        match (target, arrivals, workload) {
            (Some(target), Some(arrivals), Some(workload)) => Ok(Load {
                target,
                workload,
                arrivals,
                limit,
                timeout,
                echo: self.echo,
                quiet: self.quiet,
                nonce: rand::random(),
            }),
            _ => Err(faults),
        }
    }
}

/// Runs `candor load`: one current-thread runtime, the records as JSON, and a summary line for a person on stderr.
///
/// # Errors
/// When the run cannot start or its records cannot be written.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (records, spans, model) = (args.records.clone(), args.spans.clone(), args.workload.model.clone());
    let load = match args.validate() {
        Ok(load) => load,
        Err(faults) => return crate::refuse(&faults),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        tokio::select! {
            report = observed(load, &model, spans.as_deref()) => report.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        }
    })?;
    let Some(report) = report else {
        return Ok(ExitCode::from(crate::EXIT_INTERRUPTED));
    };
    write(&report, records.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

/// A run, and its spans when it is over: while it runs, this process does nothing but hold the stopwatch.
async fn observed(load: Load, model: &str, spans: Option<&Path>) -> anyhow::Result<LoadReport> {
    let report = load.run().await?;
    if let Some(file) = spans {
        super::write_spans(&report, model, file).await.with_context(|| format!("--spans {}", file.display()))?;
    }
    Ok(report)
}

fn write(report: &LoadReport, to: Option<&Path>) -> anyhow::Result<()> {
    match to {
        Some(path) => {
            let file = std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            serde_json::to_writer(std::io::BufWriter::new(file), report)?;
        }
        None => serde_json::to_writer(std::io::stdout().lock(), report)?,
    }
    Ok(())
}
