//! A component as a process: all faults of its configuration at once, or bound, running, and drained at a signal.

use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use proxy::DrainReport;
use telemetry::logs::{self, LogFormat};
use telemetry::{Telemetry, TelemetryConfig};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::output;

/// Exit status of a wrong configuration: `EX_CONFIG`.
const EXIT_CONFIG: u8 = 78;

/// What the command line says of logs.
pub(crate) struct Logging {
    /// The filter; the command's default where there is none.
    pub(crate) filter: Option<String>,
    /// How lines look.
    pub(crate) format: LogFormat,
}

impl Logging {
    /// Starts logging: the flag's filter, else `OTEL_LOG_LEVEL`, else `default`.
    pub(crate) fn start(&self, default: &str) -> Result<()> {
        let standard = telemetry::otel::log_level(variable);
        let filter = self.filter.as_deref().or(standard).unwrap_or(default);
        logs::init(self.format, logs::parse_filter(filter)?).context("cannot start logging")
    }
}

/// `candor gateway`.
pub(crate) fn gateway(args: gateway::Args, logging: &Logging) -> Result<ExitCode> {
    logging.start("info")?;
    let config = match args.validate() {
        Ok(config) => config,
        Err(faults) => return Ok(refuse(&faults)),
    };
    serve("candor-gateway", async |telemetry| {
        let running = gateway::start(config, telemetry).await?;
        stopped().await?;
        Ok(running.shutdown().await)
    })
}

/// `candor scheduler`.
pub(crate) fn scheduler(args: scheduler::Args, logging: &Logging) -> Result<ExitCode> {
    logging.start("info")?;
    let config = match args.validate() {
        Ok(config) => config,
        Err(faults) => return Ok(refuse(&faults)),
    };
    serve("candor-scheduler", async |telemetry| {
        let running = scheduler::start(config, telemetry).await?;
        stopped().await?;
        Ok(running.shutdown().await)
    })
}

/// `candor sidecar`.
pub(crate) fn sidecar(args: sidecar::Args, logging: &Logging) -> Result<ExitCode> {
    logging.start("info")?;
    let config = match args.validate() {
        Ok(config) => config,
        Err(faults) => return Ok(refuse(&faults)),
    };
    serve("llm-d-pd-proxy", async |telemetry| {
        let running = sidecar::start(config, telemetry).await?;
        stopped().await?;
        Ok(running.shutdown().await)
    })
}

/// `candor engine`.
pub(crate) fn engine(args: engine::Args, logging: &Logging) -> Result<ExitCode> {
    logging.start("info")?;
    let config = match args.validate() {
        Ok(config) => config,
        Err(faults) => return Ok(refuse(&faults)),
    };
    serve(config.service_name(), async |telemetry| {
        let running = engine::start(config, telemetry).await?;
        stopped().await?;
        Ok(running.shutdown().await)
    })
}

/// `candor agent`.
pub(crate) fn agent(args: agent::Args, logging: &Logging) -> Result<ExitCode> {
    logging.start("info")?;
    let config = match args.validate() {
        Ok(config) => config,
        Err(faults) => return Ok(refuse(&faults)),
    };
    serve("candor-agent", async |telemetry| {
        let running = agent::start(config, telemetry).await?;
        stopped().await?;
        Ok(running.shutdown().await)
    })
}

/// `candor observatory`.
pub(crate) fn observatory(args: observatory::Args, logging: &Logging) -> Result<ExitCode> {
    logging.start("info")?;
    let config = match args.validate() {
        Ok(config) => config,
        Err(faults) => return Ok(refuse(&faults)),
    };
    serve("candor-observatory", async |telemetry| {
        let running = observatory::start(config, telemetry).await?;
        stopped().await?;
        Ok(running.shutdown().await)
    })
}

/// Runs a component under telemetry that the standard variables configure; the exit status says whether it drained.
fn serve(
    service: &'static str,
    component: impl AsyncFnOnce(Arc<Telemetry>) -> Result<DrainReport>,
) -> Result<ExitCode> {
    let mut config = TelemetryConfig::new(service);
    for fault in config.apply_environment(variable) {
        tracing::warn!("{fault}");
    }
    runtime()?.block_on(async {
        let telemetry = Telemetry::new(config).context("cannot set up the export of spans")?;
        let report = component(Arc::clone(&telemetry)).await?;
        telemetry.shutdown().await;
        Ok(if report.complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// One thread where there is one core to run on: no lock is then ever contended, and no task moves between caches.
fn runtime() -> Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut builder = match cores {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().build().context("cannot start the runtime")
}

/// Resolves at SIGTERM or SIGINT.
async fn stopped() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Says every fault in a line of its own.
fn refuse(faults: &[impl Display]) -> ExitCode {
    for fault in faults {
        output::complain(&fault.to_string());
    }
    ExitCode::from(EXIT_CONFIG)
}

/// A variable of the process's environment; one that is not text counts as unset.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
