//! What the scheduler is told: [`Args`] as written, [`Config`] as checked.

mod args;
mod flags;
mod predict;
mod read;
mod reschedule;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use cluster::RedisConfig;
use cluster::cms::Store;
use cluster::discovery;

pub use args::Args;

use crate::locality::PrefixConfig;
use crate::policy::{BUILT_IN, Mode, Parameters, Policy, built_in};
use crate::predict::PredictorConfig;
use crate::prefix::IndexConfig;
use crate::reschedule::Settings;
use flags::Support;
use read::Reader;

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--{flag}: {problem}")]
pub struct Fault {
    /// The flag whose value is wrong, without dashes.
    pub flag: &'static str,
    /// What is wrong with it, and where it helps, what would be right.
    pub problem: String,
}

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The longest request body that is read.
    pub max_body_bytes: usize,
    /// How long requests in flight may take at shutdown.
    pub drain_timeout: Duration,
    /// How requests are placed.
    pub policy: Policy,
    /// Where instances are learnt from, as the policy's mode has it.
    pub source: Source,
    /// Whether what is in flight is counted (full mode).
    pub keeps_account: bool,
    /// How long a request in flight counts that no status shows.
    pub account_patience: Duration,
    /// How long a request counts that no gateway speaks of (lite mode).
    pub lrs_patience: Duration,
    /// How prefixes are looked up; `None` where they are not.
    pub prefix: Option<PrefixConfig>,
    /// How it is predicted what things will take; `None` where it is not.
    pub predictor: Option<PredictorConfig>,
    /// Tokens in one step at most, of instances that do not say.
    pub usual_batch: u64,
    /// How replicas agree on who places requests; `None` where there is one.
    pub election: Option<ElectionConfig>,
    /// Whether requests are moved, and by whom.
    pub rescheduling: Rescheduling,
}

/// Who has requests moved from instance to instance.
#[derive(Debug)]
pub enum Rescheduling {
    /// Nobody here.
    Off,
    /// This scheduler.
    Colocated(Settings),
    /// This process, which places none.
    Standalone(Settings),
}

/// Where instances are learnt from.
#[derive(Debug)]
pub enum Source {
    /// From what they write themselves: full mode.
    Cms {
        /// Where they write it.
        store: Store,
        /// How often their status is read.
        status_interval: Duration,
        /// How often it is read who there is.
        metadata_interval: Duration,
    },
    /// From discovery: lite mode.
    Discovery(discovery::Source),
}

/// How replicas agree on who places requests.
#[derive(Clone, Debug)]
pub struct ElectionConfig {
    /// Where the lease lies.
    pub redis: RedisConfig,
    /// How long it holds without being renewed.
    pub lease: Duration,
    /// Where gateways reach this replica; where it listens, if that is not said.
    pub advertise: Option<String>,
}

impl Args {
    /// Checks everything.
    ///
    /// # Errors
    /// All the faults there are, never only the first. The process should say them and exit with 78.
    pub fn validate(self) -> Result<Config, Vec<Fault>> {
        let mut read = Reader::new(&self);
        refuse_later(&mut read);
        let full = read.boolean("enable-full-mode-scheduling");
        read.boolean("allow-concurrent-scheduling");
        read.boolean("multi-model-support");
        let listen = SocketAddr::new(read.address("host"), read.number("port", 0..=u16::MAX));
        let max_body_bytes = read.number("max-body-bytes", 1..=usize::MAX);
        let drain_timeout = read.duration("drain-timeout");
        let source = if full { cms(&mut read) } else { read.discovery().map(Source::Discovery) };
        let prefix = prefix(&mut read);
        let mode = if full { Mode::Full } else { Mode::Lite };
        let policy = policy(&mut read, mode);
        let predictor = predict::predictor(&mut read, mode, policy.as_ref());
        let usual_batch = read.number("max-num-batched-tokens", 1..=u64::MAX);
        let keeps_account = read.boolean("enable-instance-status-local-account");
        let account_patience = read.seconds("request-local-account-staleness-seconds");
        let lrs_patience = read.duration("lrs-request-timeout");
        let rescheduling = reschedule::read(&mut read, full);
        let election = if read.boolean("leader-election") { election(&mut read) } else { None };
        let faults = read.faults();
        match (policy, source) {
            (Some(policy), Some(source)) if faults.is_empty() => Ok(Config {
                listen,
                max_body_bytes,
                drain_timeout,
                policy,
                source,
                keeps_account,
                account_patience,
                lrs_patience,
                prefix,
                predictor,
                usual_batch,
                election,
                rescheduling,
            }),
            _ => Err(faults),
        }
    }
}

/// What does not exist yet is refused rather than passed over: an operator who tunes it counts on it.
fn refuse_later(read: &mut Reader<'_>) {
    for flag in flags::all().filter(|flag| flag.support == Support::Later) {
        let is_off = flag.value == "BOOL" && !read.args().is_given(flag.name)
            || read.args().text(flag.name).is_none_or(|text| flag.value == "BOOL" && text == "false");
        if !is_off {
            read.fault(flag.name, "is not supported yet");
        }
    }
}

fn cms(read: &mut Reader<'_>) -> Option<Source> {
    let redis = read.redis("cms", "cms-redis");
    let status_interval = read.milliseconds("cms-pull-status-interval-ms");
    let metadata_interval = read.milliseconds("cms-pull-metadata-interval-ms");
    Some(Source::Cms { store: Store::redis(redis?), status_interval, metadata_interval })
}

fn election(read: &mut Reader<'_>) -> Option<ElectionConfig> {
    let lease = read.duration("leader-election-lease");
    if lease < Duration::from_millis(100) {
        read.fault("leader-election-lease", "must be 100ms or longer");
    }
    let redis = match read.args().is_given("leader-election-redis") {
        true => read.redis_url("leader-election-redis", lease),
        false => read.redis("cms", "cms-redis"),
    };
    Some(ElectionConfig { redis: redis?, lease, advertise: read.args().text("advertise-endpoint").map(str::to_owned) })
}

fn prefix(read: &mut Reader<'_>) -> Option<PrefixConfig> {
    let config = PrefixConfig {
        min_tokens: read.number("cache-aware-scheduling-min-tokens", 0..=u64::MAX),
        chunk: read.number("kvs-chunk-size", 1..=1 << 20),
        index: IndexConfig {
            most_blocks: read.number("kvs-approximate-max-blocks", 1..=1 << 32),
            age: read.duration("kvs-approximate-max-age"),
        },
    };
    match read.args().text("kvs-backend")? {
        "approximate" => Some(config),
        other => {
            let problem =
                if matches!(other, "mooncake" | "v6d" | "events") { "is not supported yet" } else { "is not known" };
            read.fault("kvs-backend", format!("`{other}` {problem}; supported: approximate"));
            None
        }
    }
}

/// The policy's flags that have a default of their own in each mode.
const BY_MODE: &[(&str, &str, &str)] = &[
    ("dispatch-neutral-load-metric", "all_prefills_tokens_num", "num_tokens"),
    ("dispatch-prefill-load-metric", "all_prefills_tokens_num", "num_tokens"),
    ("dispatch-decode-load-metric", "kv_cache_usage_ratio_projected", "num_tokens"),
    ("dispatch-neutral-load-threshold", "8192", "inf"),
    ("dispatch-prefill-load-threshold", "2048", "inf"),
    ("dispatch-decode-load-threshold", "1.0", "inf"),
];

fn policy(read: &mut Reader<'_>, mode: Mode) -> Option<Policy> {
    let args = read.args();
    let flag = |name: &str| {
        let by_mode = || BY_MODE.iter().find(|(known, ..)| *known == name);
        let default = || by_mode().map(|(_, full, lite)| if mode == Mode::Full { *full } else { *lite });
        args.text(name).or_else(default).map(str::to_owned)
    };
    let parameters = Parameters { flag: &flag, seed: rand::random() };
    let (flag, text) = match args.text("policy-config") {
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => ("policy-config", text),
            Err(error) => {
                read.fault("policy-config", format!("{path}: {error}"));
                return None;
            }
        },
        None => ("scheduling-policy", built_in_text(read, mode)?),
    };
    match Policy::parse(&text, parameters) {
        Ok(policy) if policy.mode() == mode => Some(policy),
        Ok(_) => {
            read.fault(flag, "the file's `mode` and --enable-full-mode-scheduling contradict each other");
            None
        }
        Err(fault) => {
            read.fault(flag, fault.to_string());
            None
        }
    }
}

fn built_in_text(read: &mut Reader<'_>, mode: Mode) -> Option<String> {
    let name = read.required("scheduling-policy")?;
    let name = match (read.boolean("enable-cache-aware-scheduling"), read.boolean("enable-adaptive-pd"), name) {
        (true, false, "load-balance") => "cache-aware",
        (false, true, "slo") => "adaptive-pd",
        (true, _, other) if other != "cache-aware" => {
            read.fault("enable-cache-aware-scheduling", format!("is of no effect on the policy `{other}`"));
            return None;
        }
        (_, true, other) if other != "adaptive-pd" => {
            read.fault("enable-adaptive-pd", format!("goes with --scheduling-policy slo, not with `{other}`"));
            return None;
        }
        (_, _, name) => name,
    };
    if name == "cache-aware" && !read.args().is_given("kvs-backend") {
        read.fault("kvs-backend", "must have a value for the policy `cache-aware`; supported: approximate");
    }
    let found = built_in(name, mode);
    if found.is_none() {
        let problem = if built_in(name, Mode::Full).is_some() { "needs full mode" } else { "is not known" };
        let of_mode = BUILT_IN.iter().filter(|(_, of, _)| *of == mode).map(|(name, ..)| *name);
        let known = of_mode.collect::<Vec<_>>().join(", ");
        read.fault("scheduling-policy", format!("`{name}` {problem}; supported: {known}"));
    }
    found.map(str::to_owned)
}
