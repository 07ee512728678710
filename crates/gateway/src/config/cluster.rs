//! Where engines are learnt from, and which schedulers choose among them.

use std::time::Duration;

use cluster::discovery::{EtcdConfig, Source};
use cluster::{Credentials, EtcdEndpoints, RedisConfig};
use http::HeaderValue;

use super::read::Reader;
use crate::endpoints::{Endpoint, Roster};
use crate::scheduler::SchedulerConfig;

/// Where the engines are learnt from.
#[derive(Debug, Clone)]
pub enum DiscoveryConfig {
    /// They were named, and stay who they are.
    Endpoints(Roster),
    /// They come and go.
    Source(Source),
}

/// Reads the discovery's flags.
pub(super) fn discovery(read: &mut Reader<'_>) -> DiscoveryConfig {
    read.only("llm-backend-discovery", &["endpoints", "redis", "etcd"], &["kubernetes"]);
    let kind = read.text("llm-backend-discovery");
    if let Some(kind @ ("redis" | "etcd")) = kind {
        for flag in ["prefill-endpoints", "decode-endpoints", "neutral-endpoints", "llm-backend-endpoints"] {
            if read.text(flag).is_some() {
                read.fault(flag, format!("names engines, but they are learnt from {kind} (--llm-backend-discovery)"));
            }
        }
    }
    match kind {
        Some("redis") => redis(read).map_or_else(none, DiscoveryConfig::Source),
        Some("etcd") => etcd(read).map_or_else(none, DiscoveryConfig::Source),
        _ => DiscoveryConfig::Endpoints(roster(read)),
    }
}

/// What stands where a fault was noted.
fn none() -> DiscoveryConfig {
    DiscoveryConfig::Endpoints(Roster::default())
}

fn redis(read: &mut Reader<'_>) -> Option<Source> {
    let host = read.text("discovery-redis-host").unwrap_or_default().to_owned();
    let port: u16 = read.number("discovery-redis-port", 1..=u16::MAX);
    let timeout = read.positive("discovery-redis-socket-timeout");
    let mut url = url::Url::parse("redis://host").ok()?;
    let named = url.set_host(Some(&host)).is_ok() && url.set_port(Some(port)).is_ok();
    let (name, password) = (read.text("discovery-redis-username"), read.text("discovery-redis-password"));
    let known = url.set_username(name.unwrap_or_default()).is_ok() && url.set_password(password).is_ok();
    let config = RedisConfig::parse(url.as_str(), timeout).ok().filter(|_| named && known);
    if config.is_none() {
        read.fault("discovery-redis-host", format!("`{host}` is no host"));
    }
    Some(Source::Redis {
        config: config?,
        refresh_interval: Duration::from_millis(read.number("discovery-redis-refresh-interval-ms", 1..=u64::MAX)),
        status_ttl: Duration::from_millis(read.number("discovery-redis-status-ttl-ms", 1..=u64::MAX)),
    })
}

fn etcd(read: &mut Reader<'_>) -> Option<Source> {
    let text = read.text("discovery-etcd-endpoints").unwrap_or_default().to_owned();
    let endpoints = EtcdEndpoints::parse(&text);
    if let Err(error) = &endpoints {
        read.fault("discovery-etcd-endpoints", error.to_string());
    }
    Some(Source::Etcd(EtcdConfig {
        endpoints: endpoints.ok()?,
        credentials: Credentials {
            username: read.text("discovery-etcd-username").unwrap_or_default().to_owned(),
            password: read.text("discovery-etcd-password").unwrap_or_default().to_owned(),
        },
        dial_timeout: read.positive("discovery-etcd-dial-timeout"),
        lease_ttl: read.positive("discovery-etcd-lease-ttl"),
        refresh_interval: read.positive("discovery-etcd-refresh-interval-sec"),
    }))
}

/// The engines that were named, and whether the lists make sense together.
fn roster(read: &mut Reader<'_>) -> Roster {
    let prefill = read.endpoints("prefill-endpoints");
    let decode = read.endpoints("decode-endpoints");
    let neutral = read.endpoints("neutral-endpoints");
    let backends = read.endpoints("llm-backend-endpoints");
    if !neutral.is_empty() && !backends.is_empty() {
        read.fault("llm-backend-endpoints", "is another name of --neutral-endpoints: give one of them");
    }
    let neutral: Vec<Endpoint> = neutral.into_iter().chain(backends).collect();
    match (prefill.is_empty(), decode.is_empty(), neutral.is_empty()) {
        (true, true, true) => read.fault(
            "neutral-endpoints",
            "no engine is named: give --prefill-endpoints and --decode-endpoints, or --neutral-endpoints",
        ),
        (false, true, _) => read.fault("prefill-endpoints", "needs --decode-endpoints beside it"),
        (true, false, _) => read.fault(
            "decode-endpoints",
            "needs --prefill-endpoints beside it; engines that do both are --neutral-endpoints",
        ),
        (false, false, false) => read.fault("neutral-endpoints", "excludes --prefill-endpoints and --decode-endpoints"),
        (false, false, true) | (true, true, false) => {}
    }
    if neutral.is_empty() { Roster::disaggregated(prefill, decode) } else { Roster::neutral(neutral) }
}

/// Reads the schedulers' flags. A policy is the scheduler's business; the gateway needs to know whether there is one.
pub(super) fn scheduler(read: &mut Reader<'_>) -> SchedulerConfig {
    const SCHEDULED: [&str; 6] = ["load-balance", "flood", "slo", "cache-aware", "power-of-two", "least-latency"];
    let mut endpoints = read.endpoints("scheduler-endpoints");
    match read.text("scheduling-policy") {
        Some("round-robin") => endpoints.clear(),
        None => {}
        Some(policy) if SCHEDULED.contains(&policy) && endpoints.is_empty() => {
            read.fault("scheduling-policy", format!("`{policy}` needs --scheduler-endpoints beside it"));
        }
        Some(policy) if SCHEDULED.contains(&policy) => {}
        Some(policy) => {
            let known = SCHEDULED.join(", ");
            read.fault("scheduling-policy", format!("`{policy}` is not known; supported: round-robin, {known}"));
        }
    }
    read.only("scheduler-discovery", &["endpoints"], &[]);
    let token = read.header_text("service-token").and_then(|token| HeaderValue::from_str(&token).ok());
    SchedulerConfig {
        endpoints,
        busy_patience: read.duration("wait-scheduling-timeout"),
        busy_interval: read.positive("wait-scheduling-retry-interval"),
        full_mode: read.boolean("enable-full-mode-scheduling"),
        separate_stages: read.boolean("separate-pd-scheduling"),
        report_interval: Some(read.duration("requests-report-duration")).filter(|interval| !interval.is_zero()),
        service_token: token.map(|mut token| {
            token.set_sensitive(true);
            token
        }),
    }
}
