//! Flags of publishing, and what they come to.

use std::time::Duration;

use super::Publication;
use crate::cms::Store;
use crate::discovery::{EtcdConfig, Registry};
use crate::{Credentials, EtcdEndpoints, RedisConfig};

/// Flags of what an instance says of itself to schedulers and gateways.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub struct PublishArgs {
    /// Redis to publish metadata and status in: redis://user:password@host:port/database, of which only the host must be there.
    /// (`memory` is for components of one process.)
    #[arg(long, value_name = "STORE")]
    pub cms: Option<String>,
    /// Where to announce the instance: redis://… or etcd://host:port,…
    #[arg(long, value_name = "STORE")]
    pub discovery: Option<String>,
    /// Id in the CMS, and name of the pod in discovery; without it, one that no other instance has
    #[arg(long, value_name = "ID")]
    pub instance_id: Option<String>,
    /// What fails together with this instance; without it, the instance's id
    #[arg(long, value_name = "ID")]
    pub unit_id: Option<String>,
    /// The machine; without it, its host name
    #[arg(long, value_name = "NAME")]
    pub node_id: Option<String>,
    /// Data-parallel rank, which becomes part of the id where there are several
    #[arg(long, value_name = "RANK", default_value_t = 0)]
    pub dp_rank: u16,
    /// Data-parallel ranks there are
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub dp_size: u16,
    /// Where requests are to be sent, if not to this instance itself: the sidecar in front of it
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Statuses are this far apart at least
    #[arg(long, value_name = "DURATION", default_value = "40ms", value_parser = humantime::parse_duration)]
    pub cms_push_interval: Duration,
    /// How long the stores may take to answer
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    pub cms_timeout: Duration,
    /// How often the discovery record is written again
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub announce_interval: Duration,
}

/// A flag that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--{flag}: {problem}")]
pub struct PublishFault {
    flag: &'static str,
    problem: String,
}

impl PublishArgs {
    /// What to publish; nothing when no store is named. `own_id` stands in for an id that is not given.
    pub fn validate(self, own_id: &str, faults: &mut Vec<PublishFault>) -> Option<Publication> {
        let mut fault = |flag, problem: String| faults.push(PublishFault { flag, problem });
        if self.dp_rank >= self.dp_size {
            fault("dp-rank", format!("{} is not below --dp-size {}", self.dp_rank, self.dp_size));
        }
        let cms = self.cms.as_deref().and_then(|text| {
            let store = cms(text, self.cms_timeout);
            store.map_err(|problem| fault("cms", problem)).ok()
        });
        let registry = self.discovery.as_deref().and_then(|text| {
            let registry = registry(text, self.cms_timeout);
            registry.map_err(|problem| fault("discovery", problem)).ok()
        });
        let endpoint = self.advertise.as_deref().and_then(|text| {
            let endpoint = host_and_port(text);
            endpoint.map_err(|problem| fault("advertise", problem)).ok()
        });
        if cms.is_none() && registry.is_none() {
            return None;
        }
        let instance_id = self.instance_id.unwrap_or_else(|| own_id.to_owned());
        Some(Publication {
            cms,
            registry,
            unit_id: self.unit_id.unwrap_or_else(|| instance_id.clone()),
            node_id: self.node_id.unwrap_or_else(node_name),
            instance_id,
            dp_rank: self.dp_rank,
            dp_size: self.dp_size,
            endpoint,
            push_interval: self.cms_push_interval,
            announce_interval: self.announce_interval,
        })
    }
}

fn cms(text: &str, timeout: Duration) -> Result<Store, String> {
    if text == "memory" {
        return Err("nobody else could read a store in this process's memory: name a Redis".to_owned());
    }
    RedisConfig::parse(text, timeout).map(Store::redis).map_err(|error| error.to_string())
}

fn registry(text: &str, timeout: Duration) -> Result<Registry, String> {
    if let Some(endpoints) = text.strip_prefix("etcd://") {
        let endpoints = EtcdEndpoints::parse(endpoints).map_err(|error| error.to_string())?;
        return Ok(Registry::Etcd(EtcdConfig {
            endpoints,
            credentials: Credentials::default(),
            dial_timeout: timeout,
            lease_ttl: Duration::from_secs(60),
            refresh_interval: Duration::from_secs(60),
        }));
    }
    RedisConfig::parse(text, timeout).map(Registry::Redis).map_err(|error| error.to_string())
}

/// Reads `host:port`; an IPv6 host is in brackets, and returned without them.
///
/// # Errors
/// When it is something else, with the text in the message.
pub fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let split = text.rsplit_once(':').and_then(|(host, port)| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().ok().filter(|port| *port != 0)?;
        (!host.is_empty()).then(|| (host.to_owned(), port))
    });
    split.ok_or_else(|| format!("{text:?} is not host:port"))
}

fn node_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
