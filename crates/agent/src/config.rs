//! Flags of `candor agent` and the configuration they become. All faults of a command line are reported together.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use cluster::Publication;
use cluster::api::InferType;
use cluster::publication::{PublishArgs, PublishFault};
use proxy::Target;

/// Flags of the agent.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The engine: its base URL, or host:port
    #[arg(long, value_name = "URL")]
    pub engine: String,
    /// What the engine is used for: neutral, prefill or decode
    #[arg(long, value_name = "TYPE", default_value = "neutral")]
    pub infer_type: String,
    /// Metrics port of the sidecar in front of the engine, where requests in flight are followed between two scrapes
    #[arg(long, value_name = "URL")]
    pub sidecar: Option<String>,
    /// Address to serve /healthz, /readyz and /metrics on
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub host: IpAddr,
    /// Port for that; 0 picks a free one
    #[arg(long, default_value_t = 9465)]
    pub port: u16,

    /// How often the engine's metrics are read
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = humantime::parse_duration)]
    pub scrape_interval: Duration,
    /// How long the engine may take to answer
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    pub scrape_timeout: Duration,
    /// How often the sidecar is asked for its requests
    #[arg(long, value_name = "DURATION", default_value = "20ms", value_parser = humantime::parse_duration)]
    pub follow_interval: Duration,
    /// An engine that does not answer for so long is not sent to
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    pub silent_after: Duration,
    /// An engine that has requests and makes no progress for so long hangs, and is not sent to
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pub hang_after: Duration,

    /// Tokens that fit into the engine's KV cache, where its metrics do not say
    #[arg(long, value_name = "TOKENS")]
    pub kv_tokens: Option<u32>,
    /// Tokens in one step at most, which no engine's metrics say
    #[arg(long, value_name = "TOKENS", default_value_t = 8192)]
    pub max_num_batched_tokens: u32,
    /// Where the other side of a KV transfer turns to, where that is needed: SGLang's bootstrap server, for example
    #[arg(long, value_name = "HOST:PORT")]
    pub kv_endpoint: Option<String>,

    #[command(flatten)]
    /// What schedulers and gateways are told
    pub publish: PublishArgs,
}

/// A validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The engine.
    pub engine: Target,
    /// What it is used for.
    pub infer_type: InferType,
    /// The sidecar's metrics port.
    pub sidecar: Option<Target>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// How often and how patiently the engine is asked.
    pub pace: Pace,
    /// What its metrics do not say.
    pub known: Known,
    /// Where to say what.
    pub publication: Publication,
}

/// How often things are asked, and how long nothing may come of it.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two scrapes.
    pub scrape_interval: Duration,
    /// For one answer.
    pub scrape_timeout: Duration,
    /// Between two looks at the sidecar.
    pub follow_interval: Duration,
    /// Until silence counts.
    pub silent_after: Duration,
    /// Until a lack of progress counts.
    pub hang_after: Duration,
}

/// What the operator knows of the engine.
#[derive(Clone, Debug)]
pub struct Known {
    /// Size of the KV cache.
    pub kv_tokens: Option<u32>,
    /// Size of a step.
    pub max_num_batched_tokens: u32,
    /// Where KV transfers are arranged.
    pub kv_endpoint: Option<(String, u16)>,
}

/// One thing wrong with a command line.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A flag's value.
    #[error("--{flag}: {problem}")]
    Flag {
        /// The flag.
        flag: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// What is to be published cannot be.
    #[error(transparent)]
    Publish(#[from] PublishFault),
    /// There is nobody to tell.
    #[error("--cms or --discovery is needed: there is nobody to tell otherwise")]
    Nobody,
}

impl Args {
    /// Checks everything.
    ///
    /// # Errors
    /// Every fault there is.
    pub fn validate(self) -> Result<Config, Vec<Fault>> {
        let mut faults = Vec::new();
        let engine = read(&mut faults, "engine", target(&self.engine));
        let infer_type = read(&mut faults, "infer-type", self.infer_type.parse().map_err(text));
        let sidecar = self.sidecar.as_deref().and_then(|url| read(&mut faults, "sidecar", target(url)));
        let endpoint = self.kv_endpoint.as_deref().map(cluster::publication::host_and_port);
        let kv_endpoint = endpoint.and_then(|endpoint| read(&mut faults, "kv-endpoint", endpoint));
        for (flag, interval) in [("scrape-interval", self.scrape_interval), ("follow-interval", self.follow_interval)] {
            if interval.is_zero() {
                faults.push(Fault::Flag { flag, problem: "must be longer than nothing".to_owned() });
            }
        }
        let own_id = engine.as_ref().map_or_else(String::new, |engine| engine.authority().to_owned());
        let mut unpublished = Vec::new();
        let named = self.publish.cms.is_some() || self.publish.discovery.is_some();
        let publication = self.publish.validate(&own_id, &mut unpublished);
        faults.extend(unpublished.into_iter().map(Fault::Publish));
        if !named {
            faults.push(Fault::Nobody);
        }
        let (Some(engine), Some(infer_type), Some(mut publication), true) =
            (engine, infer_type, publication, faults.is_empty())
        else {
            return Err(faults);
        };
        if publication.endpoint.is_none() {
            publication.endpoint = cluster::publication::host_and_port(engine.authority()).ok();
        }
        Ok(Config {
            engine,
            infer_type,
            sidecar,
            listen: SocketAddr::new(self.host, self.port),
            pace: Pace {
                scrape_interval: self.scrape_interval,
                scrape_timeout: self.scrape_timeout,
                follow_interval: self.follow_interval,
                silent_after: self.silent_after,
                hang_after: self.hang_after,
            },
            known: Known {
                kv_tokens: self.kv_tokens,
                max_num_batched_tokens: self.max_num_batched_tokens,
                kv_endpoint,
            },
            publication,
        })
    }
}

fn read<T>(faults: &mut Vec<Fault>, flag: &'static str, value: Result<T, String>) -> Option<T> {
    value.map_err(|problem| faults.push(Fault::Flag { flag, problem })).ok()
}

/// A base URL whose path, if it has one, is ignored.
fn target(url: &str) -> Result<Target, String> {
    let target = Target::parse(url).map_err(text)?;
    // An endpoint is published with its port; a URL without one means its scheme's.
    match url.trim_end_matches('/').rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => Ok(target),
        _ => Err(format!("{url:?} should name its port, as http://127.0.0.1:8000 does")),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests;
