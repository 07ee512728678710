//! Configuration: flags, YAML and environment, laid over each other and validated as a whole.
//!
//! A flag beats YAML, YAML beats the environment, the environment beats the default. Validation looks at everything before it
//! answers: an invalid configuration is a list of [`Fault`]s, one line each, and the process never starts half.

mod foreign;
mod layers;
mod options;
mod text;
mod validate;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use coordinator::OnPrefillFailure;
use pd::Protocol;
use telemetry::ClientTerms;

use self::options::Options;
use crate::allow::Rules;
use crate::kubernetes::{Access, PoolRef};

/// The command line of the sidecar.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Settings as an inline YAML document; its keys are the names of the flags
    #[arg(long, value_name = "YAML")]
    configuration: Option<String>,
    /// Settings in a YAML file
    #[arg(long, value_name = "FILE")]
    configuration_file: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    foreign: foreign::Foreign,
}

/// One thing that is wrong with a configuration, as a line to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(String);

impl Fault {
    fn new(setting: &str, what: impl fmt::Display) -> Self {
        Self(format!("--{setting}: {what}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Args {
    /// Reads flags (without a program's name in front), for callers that start a sidecar without a command line.
    ///
    /// # Errors
    /// When a flag does not exist or lacks its value. What the values say is for [`Args::validate`] to judge.
    pub fn from_flags<I>(flags: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator,
        I::Item: Into<OsString> + Clone,
    {
        let command = <Self as clap::Args>::augment_args(clap::Command::new("sidecar").no_binary_name(true));
        <Self as clap::FromArgMatches>::from_arg_matches(&command.try_get_matches_from(flags)?)
    }

    /// Lays the sources over each other and checks the result.
    ///
    /// # Errors
    /// Every fault there is, in the order of the settings; the process should print them and exit with 78.
    pub fn validate(self) -> Result<Config, Vec<Fault>> {
        self.validate_in(&|name| std::env::var(name).ok())
    }

    /// As [`Args::validate`], with the environment given.
    ///
    /// # Errors
    /// As there.
    pub fn validate_in(self, environment: &dyn Fn(&str) -> Option<String>) -> Result<Config, Vec<Fault>> {
        let (options, notes) = layers::merge(self, environment)?;
        validate::check(&options, notes, environment)
    }
}

/// TLS towards one kind of engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTls {
    /// Connections are TLS.
    pub enabled: bool,
    /// The certificate is not verified.
    pub skip_verify: bool,
}

/// How the sidecar's own listener is secured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serving {
    /// In the clear.
    Plain,
    /// TLS with a certificate made at start.
    SelfSigned,
    /// TLS with `tls.crt` and `tls.key` of this directory.
    Directory(PathBuf),
}

/// An InferencePool to follow, and where to ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The pool.
    pub pool: PoolRef,
    /// The Kubernetes API.
    pub access: Access,
}

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of all listeners.
    pub host: IpAddr,
    /// Port of rank 0; 0 picks a free one for every rank.
    pub port: u16,
    /// Port of rank 0's decode engine on this host.
    pub decoder_port: u16,
    /// Data-parallel ranks, at least 1.
    pub ranks: u16,
    /// Address of this pod, by which data-parallel headers name its ranks.
    pub pod_ip: Option<IpAddr>,
    /// Port of `/metrics`; `None` serves none.
    pub metrics_port: Option<u16>,
    /// The P/D protocol.
    pub protocol: Protocol,
    /// TLS of the listeners.
    pub serving: Serving,
    /// TLS towards prefill engines.
    pub prefill_tls: StageTls,
    /// TLS towards the decode engine.
    pub decode_tls: StageTls,
    /// Prefill targets allowed by name and range.
    pub allow: Rules,
    /// The InferencePool whose pods are allowed as well.
    pub pool: Option<Pool>,
    /// Candidates are tried in random order.
    pub sampling: bool,
    /// Attempts after every candidate has had one.
    pub prefill_retries: u32,
    /// Pause before each of those.
    pub prefill_backoff: Duration,
    /// Limit of the whole prefill stage.
    pub prefill_timeout: Duration,
    /// What a failed prefill means.
    pub on_prefill_failure: OnPrefillFailure,
    /// Limit of a request body in bytes; also of a prefill response.
    pub max_body: usize,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// How long a connect may take.
    pub connect_timeout: Duration,
    /// Idle connections kept per engine.
    pub max_idle_per_host: usize,
    /// vLLM is asked for a token count in every chunk.
    pub exact_token_accounting: bool,
    /// What is watched of clients.
    pub clients: ClientTerms,
    /// How much of an answer may wait for a slow client, in bytes.
    pub max_buffered: usize,
    /// Spans are exported.
    pub tracing: bool,
    /// Settings that were accepted and deserve a word in the log.
    pub warnings: Vec<String>,
}
