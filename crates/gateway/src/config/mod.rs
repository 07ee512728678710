//! What the gateway is told: [`Args`] as written, [`Config`] as checked.
//!
//! A configuration is checked as a whole: [`Args::validate`] lists every fault there is, and a gateway with a fault never
//! starts half. The parts of [`Config`] that are not settings (limits on heads, pool sizes) are constants where they are
//! used, with their reasons.

mod access;
mod args;
mod cluster;
mod disagg;
mod extra;
mod flags;
mod read;
#[cfg(test)]
mod tests;
mod tokens;
mod traffic;
#[cfg(test)]
mod upstream_tests;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use telemetry::ClientTerms;

pub(crate) use access::AccessConfig;
pub use args::Args;

use crate::disagg::DisaggConfig;
use crate::mirror::MirrorConfig;
pub use crate::retry::RetryConfig;
pub use crate::scheduler::SchedulerConfig;
use crate::traffic::TrafficConfig;
pub use cluster::DiscoveryConfig;
use flags::flags;
use flags::refused::REFUSED;
use read::Reader;
pub(crate) use tokens::TokenSettings;

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{flag}: {problem}")]
pub struct Fault {
    /// The flag whose value is wrong, without dashes.
    pub flag: &'static str,
    /// What is wrong with it, and where it helps, what would be right.
    pub problem: String,
}

impl Fault {
    pub(crate) fn new(flag: &'static str, problem: impl Into<String>) -> Self {
        Self { flag, problem: problem.into() }
    }
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Who may use the gateway.
    pub(crate) access: AccessConfig,
    /// Where the engines are learnt from.
    pub discovery: DiscoveryConfig,
    /// The schedulers, if any.
    pub scheduler: SchedulerConfig,
    /// The longest request body that is read.
    pub max_body_bytes: usize,
    /// Whether engines are asked for a running token count on every chunk.
    pub exact_token_accounting: bool,
    /// How often the engines are asked which models they serve.
    pub models_refresh_interval: Duration,
    /// The key for the gateway's own questions to the engines.
    pub engine_api_key: Option<Secret>,
    /// How requests are admitted.
    pub queue: QueueConfig,
    /// How often, and after what, a request is sent again.
    pub retry: RetryConfig,
    /// How prompts are counted.
    pub(crate) tokens: TokenSettings,
    /// How requests leave the cluster.
    pub traffic: TrafficConfig,
    /// How the gateway runs a P/D protocol; `None` leaves that to sidecars.
    pub disagg: Option<DisaggConfig>,
    /// Where copies of requests go.
    pub mirror: Option<MirrorConfig>,
    /// How long the gateway waits for whom.
    pub timeouts: Timeouts,
    /// What is watched of clients.
    pub clients: ClientTerms,
    /// How much of an answer may wait for a slow client.
    pub max_buffered_bytes: usize,
    /// A wait before each placement, as if choosing took so long.
    pub injected_routing_delay: Option<Duration>,
    effective: Vec<Effective>,
}

/// How requests are admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueConfig {
    /// How many requests may wait.
    pub places: usize,
    /// How many requests are placed at once.
    pub slots: usize,
    /// How long a request may wait.
    pub timeout: Duration,
    /// After how long a client that found the queue full is told to come back.
    pub retry_after: Duration,
}

/// How long the gateway waits for whom.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the head of a client's request.
    pub client_header: Duration,
    /// For a client's next request on an open connection.
    pub client_idle: Duration,
    /// For a connection to an engine.
    pub connect: Duration,
    /// For the head of an engine's answer.
    pub response_header: Duration,
    /// For the next chunk of an engine's answer.
    pub stream_idle: Duration,
    /// For requests in flight, at shutdown.
    pub drain: Duration,
}

/// Text that must not be shown; [`fmt::Debug`] hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that sends it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A setting as `/config` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// The flag's name.
    pub name: &'static str,
    /// Its value; a secret one is `***`.
    pub value: Option<String>,
    /// Where it came from: `default`, `file`, `env`, `flag` or `extra-args`.
    pub source: &'static str,
}

impl Config {
    /// Every setting with its effective value and where it came from, in the order of the flag table.
    pub fn effective(&self) -> &[Effective] {
        &self.effective
    }
}

impl Args {
    /// Reads the settings file and checks everything.
    ///
    /// # Errors
    /// All the faults there are, never only the first. The process should say them and exit with 78.
    pub fn validate(mut self) -> Result<Config, Vec<Fault>> {
        let mut faults = Vec::new();
        self.merge_file(&mut faults);
        self.merge_extra(&mut faults);
        let mut read = Reader::new(&self, faults);
        read.refuse(REFUSED);
        let listen = SocketAddr::new(read.address("host"), read.number("port", 0..=u16::MAX));
        let max_body_bytes = read.number("max-body-bytes", 1..=usize::MAX);
        let config = Config {
            listen,
            access: AccessConfig::read(&mut read, listen),
            discovery: cluster::discovery(&mut read),
            scheduler: cluster::scheduler(&mut read),
            max_body_bytes,
            exact_token_accounting: read.boolean("exact-token-accounting"),
            models_refresh_interval: read.positive("models-refresh-interval"),
            engine_api_key: read.header_text("engine-api-key").map(Secret),
            queue: queue(&mut read),
            retry: RetryConfig { max: read.number("retry-max-count", 0..=100) },
            tokens: TokenSettings::read(&mut read),
            traffic: traffic::read(&mut read),
            disagg: disagg::read(&mut read, max_body_bytes),
            mirror: traffic::mirror(&mut read),
            timeouts: timeouts(&mut read),
            clients: ClientTerms {
                stall_threshold: read.positive("stall-threshold"),
                egress_check_ratio: read.ratio("egress-check-ratio"),
            },
            max_buffered_bytes: read.number("max-buffered-bytes-per-stream", 8 << 10..=usize::MAX),
            injected_routing_delay: read.optional_duration("inject-routing-delay"),
            effective: self.effective(),
        };
        read.finish(config)
    }

    fn effective(&self) -> Vec<Effective> {
        let shown = flags().filter_map(|flag| {
            let setting = self.settings.get(flag.name)?;
            let value = setting.value.clone().filter(|value| !value.is_empty());
            Some(Effective {
                name: flag.name,
                value: value.map(|value| if flag.secret { "***".to_owned() } else { value }),
                source: setting.source.as_str(),
            })
        });
        shown.collect()
    }
}

fn queue(read: &mut Reader<'_>) -> QueueConfig {
    QueueConfig {
        places: read.number("max-queue-size", 0..=1_000_000),
        slots: read.number("wait-queue-threads", 1..=1_000_000),
        timeout: read.positive("queue-timeout"),
        retry_after: read.positive("wait-queue-interval"),
    }
}

fn timeouts(read: &mut Reader<'_>) -> Timeouts {
    Timeouts {
        client_header: read.positive("client-header-timeout"),
        client_idle: read.positive("client-idle-timeout"),
        connect: read.positive("connect-timeout"),
        response_header: read.positive("response-header-timeout"),
        stream_idle: read.positive("stream-idle-timeout"),
        drain: read.duration("drain-timeout"),
    }
}
