//! Reading text into types while collecting every fault. A getter that meets a fault notes it and answers with a placeholder,
//! which is never used: with a fault there is no configuration.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use cluster::api::{Endpoint, InferType, LlmInstance};
use cluster::discovery::{EtcdConfig, Source};
use cluster::{Credentials, EtcdEndpoints, RedisConfig};

use super::{Args, Fault};

pub(super) struct Reader<'a> {
    args: &'a Args,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(args: &'a Args) -> Self {
        Self { args, faults: Vec::new() }
    }

    pub(super) fn args(&self) -> &'a Args {
        self.args
    }

    pub(super) fn fault(&mut self, flag: &'static str, problem: impl Into<String>) {
        self.faults.push(Fault { flag, problem: problem.into() });
    }

    pub(super) fn faults(self) -> Vec<Fault> {
        self.faults
    }

    pub(super) fn required(&mut self, flag: &'static str) -> Option<&'a str> {
        let text = self.args.text(flag);
        if text.is_none() {
            self.fault(flag, "must have a value");
        }
        text
    }

    /// The text as a `T`, or a fault that says what it is not.
    fn parsed<T: FromStr>(&mut self, flag: &'static str, what: &str, is_right: impl Fn(&T) -> bool) -> Option<T> {
        let text = self.required(flag)?;
        let value = text.parse().ok().filter(is_right);
        if value.is_none() {
            self.fault(flag, format!("`{text}` is no {what}"));
        }
        value
    }

    pub(super) fn address(&mut self, flag: &'static str) -> IpAddr {
        self.parsed(flag, "IP address", |_| true).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    pub(super) fn number<N>(&mut self, flag: &'static str, range: RangeInclusive<N>) -> N
    where
        N: FromStr + PartialOrd + Copy + Display,
    {
        let (least, most) = (*range.start(), *range.end());
        let what = format!("whole number from {least} to {most}");
        self.parsed(flag, &what, |number| range.contains(number)).unwrap_or(least)
    }

    pub(super) fn boolean(&mut self, flag: &'static str) -> bool {
        match self.required(flag).map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "1" | "yes" | "on") => true,
            Some("false" | "0" | "no" | "off") | None => false,
            Some(text) => {
                self.fault(flag, format!("`{text}` is neither true nor false"));
                false
            }
        }
    }

    pub(super) fn duration(&mut self, flag: &'static str) -> Duration {
        let text = self.required(flag).unwrap_or("0s");
        humantime::parse_duration(text).unwrap_or_else(|_| {
            self.fault(flag, format!("`{text}` is no duration, as `2ms`, `30s` or `5m` are"));
            Duration::ZERO
        })
    }

    /// A number that is at least this.
    pub(super) fn real(&mut self, flag: &'static str, least: f64) -> f64 {
        let what = format!("number of at least {least}");
        self.parsed(flag, &what, |number: &f64| *number >= least).unwrap_or(least)
    }

    pub(super) fn seconds(&mut self, flag: &'static str) -> Duration {
        let most = 1e9;
        let seconds = self.parsed(flag, "number of seconds above 0", |seconds: &f64| *seconds > 0.0 && *seconds < most);
        Duration::from_secs_f64(seconds.unwrap_or(1.0))
    }

    pub(super) fn milliseconds(&mut self, flag: &'static str) -> Duration {
        Duration::from_millis(u64::from(self.number(flag, 1..=u32::MAX)))
    }

    /// A Redis by its URL.
    pub(super) fn redis_url(&mut self, flag: &'static str, timeout: Duration) -> Option<RedisConfig> {
        let url = self.required(flag)?;
        RedisConfig::parse(url, timeout).map_err(|error| self.fault(flag, error.to_string())).ok()
    }

    /// A Redis by its URL (`url`), or by upstream's flags (`<family>-host` and so on).
    pub(super) fn redis(&mut self, url: &'static str, family: &'static str) -> Option<RedisConfig> {
        let [host, port, user, password, timeout] = match family {
            "cms-redis" => [
                "cms-redis-host",
                "cms-redis-port",
                "cms-redis-username",
                "cms-redis-password",
                "cms-redis-socket-timeout",
            ],
            _ => [
                "discovery-redis-host",
                "discovery-redis-port",
                "discovery-redis-username",
                "discovery-redis-password",
                "discovery-redis-socket-timeout",
            ],
        };
        let timeout = self.seconds(timeout);
        if !url.is_empty() && self.args.is_given(url) {
            return self.redis_url(url, timeout);
        }
        let port = self.number(port, 1..=u16::MAX);
        let name = self.required(host)?;
        let user = (self.args.text(user).unwrap_or_default(), self.args.text(password).unwrap_or_default());
        RedisConfig::new((name, port), user, timeout).map_err(|error| self.fault(host, error.to_string())).ok()
    }

    /// Where instances are learnt from in lite mode.
    pub(super) fn discovery(&mut self) -> Option<Source> {
        match self.required("llm-backend-discovery")? {
            "redis" => {
                let config = self.redis("", "discovery-redis");
                let refresh_interval = self.milliseconds("discovery-redis-refresh-interval-ms");
                let status_ttl = self.milliseconds("discovery-redis-status-ttl-ms");
                Some(Source::Redis { config: config?, refresh_interval, status_ttl })
            }
            "etcd" => self.etcd().map(Source::Etcd),
            "endpoints" => self.listed().map(Source::Endpoints),
            other => {
                self.fault(
                    "llm-backend-discovery",
                    format!("`{other}` is not known; supported: redis, etcd, endpoints"),
                );
                None
            }
        }
    }

    fn etcd(&mut self) -> Option<EtcdConfig> {
        let text = self.required("discovery-etcd-endpoints")?;
        let endpoints =
            EtcdEndpoints::parse(text).map_err(|error| self.fault("discovery-etcd-endpoints", error.to_string()));
        let word = |name| self.args.text(name).unwrap_or_default().to_owned();
        let credentials =
            Credentials { username: word("discovery-etcd-username"), password: word("discovery-etcd-password") };
        Some(EtcdConfig {
            dial_timeout: self.seconds("discovery-etcd-dial-timeout"),
            lease_ttl: self.seconds("discovery-etcd-lease-ttl"),
            refresh_interval: self.seconds("discovery-etcd-refresh-interval-sec"),
            endpoints: endpoints.ok()?,
            credentials,
        })
    }

    fn listed(&mut self) -> Option<Vec<LlmInstance>> {
        let lists = [
            ("llm-backend-endpoints", InferType::Neutral),
            ("prefill-endpoints", InferType::Prefill),
            ("decode-endpoints", InferType::Decode),
        ];
        let mut instances = Vec::new();
        for (flag, infer_type) in lists {
            for text in
                self.args.text(flag).unwrap_or_default().split(',').map(str::trim).filter(|text| !text.is_empty())
            {
                match endpoint(text) {
                    Some(endpoint) => {
                        let id = endpoint.to_string();
                        instances.push(LlmInstance { id, infer_type, endpoint, dp_size: 1, ..LlmInstance::default() });
                    }
                    None => self.fault(flag, format!("`{text}` is no endpoint: it should be host:port")),
                }
            }
        }
        if instances.is_empty() && self.faults.is_empty() {
            self.fault("llm-backend-endpoints", "no instance is named: `endpoints` needs a list");
        }
        Some(instances)
    }
}

/// `host:port`, `[address]:port`, or a host alone, which then means port 80 as upstream has it.
fn endpoint(text: &str) -> Option<Endpoint> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, 80),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_right = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/@?#".contains(c));
    is_right.then(|| Endpoint { host: host.to_owned(), port })
}
