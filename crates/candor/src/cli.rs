//! Subcommands, and what each of them starts.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use telemetry::catalogue;
use telemetry::logs::LogFormat;

use crate::component::{self, Logging};
use crate::output;

/// A control plane for LLM serving with prefill/decode disaggregation, whose every number is true.
#[derive(Parser)]
#[command(name = "candor", version, about, propagate_version = true, max_term_width = 110)]
pub(crate) struct Cli {
    /// What to log: a level, or target=level, separated by commas
    #[arg(long, global = true, env = "CANDOR_LOG", value_name = "FILTER")]
    log_level: Option<String>,
    /// How log lines look
    #[arg(long, global = true, env = "CANDOR_LOG_FORMAT", value_enum, default_value_t = Format::Human)]
    log_format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// One line for people
    Human,
    /// One JSON object per line
    Json,
}

#[derive(Subcommand)]
#[expect(clippy::large_enum_variant, reason = "parsed once")]
enum Command {
    /// Everything on this machine: engines, sidecars, gateway, a load, and the audit's verdict
    Demo(fleet::demo::Args),
    /// The front door: OpenAI's API over many engines
    Gateway(gateway::Args),
    /// Where each request goes; takes the place of Llumnix's scheduler
    Scheduler(scheduler::Args),
    /// The P/D coordinator in front of a decode engine; takes the place of llm-d's sidecar
    Sidecar(sidecar::Args),
    /// A simulated vLLM or SGLang instance
    Engine(engine::Args),
    /// Prometheus and its query API for one machine; the page's server
    Observatory(observatory::Args),
    /// Make an unpatched vLLM or SGLang an instance of full mode
    Agent(agent::Args),
    /// Hold what was reported against a stopwatch in the client
    Audit(audit::Args),
    /// What Candor costs beside a bare proxy
    Bench(bench::Args),
    /// Every metric: name, type, labels, buckets, and when it is observed
    Metrics {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// As the reference page of the documentation
        #[arg(long, conflicts_with = "json")]
        markdown: bool,
    },
    /// Grafana's dashboards and Prometheus' alerts, as files
    Dashboards(dashboards::Args),
    /// The client of an audit, in a process of its own
    #[command(hide = true)]
    Load(audit::load::Args),
}

impl Cli {
    /// Runs the subcommand to its end.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let logging = Logging { filter: self.log_level, format: self.log_format.into() };
        match self.command {
            Command::Gateway(args) => component::gateway(args, &logging),
            Command::Scheduler(args) => component::scheduler(args, &logging),
            Command::Sidecar(args) => component::sidecar(args, &logging),
            Command::Engine(args) => component::engine(args, &logging),
            Command::Observatory(args) => component::observatory(args, &logging),
            Command::Agent(args) => component::agent(args, &logging),
            Command::Demo(args) => {
                logging.start("warn")?;
                fleet::demo::run(&args)
            }
            Command::Audit(args) => {
                logging.start("warn")?;
                match args.scenario {
                    Some(scenario) => fleet::scenario::run(scenario, &args),
                    None => audit::run(args),
                }
            }
            Command::Load(args) => audit::load::run(args),
            Command::Bench(args) => Ok(match bench::run(&args)? {
                bench::Verdict::Held => ExitCode::SUCCESS,
                bench::Verdict::Missed => ExitCode::FAILURE,
            }),
            Command::Dashboards(args) => {
                output::print(&dashboards::run(&args)?)?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Metrics { json, markdown } => {
                output::print(&match (json, markdown) {
                    (true, _) => format!("{:#}\n", catalogue::json()),
                    (_, true) => catalogue::markdown(),
                    _ => catalogue::table(),
                })?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Human => Self::Human,
            Format::Json => Self::Json,
        }
    }
}
