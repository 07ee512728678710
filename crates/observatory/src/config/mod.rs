//! Flags of `candor observatory` and the configuration they become. All faults of a command line are reported together.

mod args;
mod fault;
mod secret;
mod traces;

pub use args::Args;
pub use fault::Fault;
pub use secret::Secret;
pub use traces::{TraceArgs, TraceConfig};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::elsewhere::Backend;
use crate::metrics::scrape::{Discovery, ScrapeTarget, Timing};
use crate::metrics::store::Limits;
use crate::promql;

/// A validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What a caller must show; nothing where only this machine can call.
    pub token: Option<Secret>,
    /// What the store of samples may hold.
    pub limits: Limits,
    /// Where samples and spans are kept on the disk.
    pub data_dir: Option<PathBuf>,
    /// A Prometheus that answers instead of the store of samples.
    pub prometheus: Option<Backend>,
    /// A Tempo that answers instead of the store of spans.
    pub tempo: Option<Backend>,
    /// What is scraped.
    pub targets: Vec<ScrapeTarget>,
    /// Who knows what else is.
    pub discovery: Vec<Discovery>,
    /// How often, and for how long.
    pub timing: Timing,
    /// What one query may cost.
    pub query_limits: promql::Limits,
    /// How long requests in flight may take to finish.
    pub drain_timeout: Duration,
    /// Spans and OTLP.
    pub traces: TraceConfig,
}

impl Args {
    /// Checks everything.
    ///
    /// # Errors
    /// With all faults at once.
    pub fn validate(self) -> Result<Config, Vec<Fault>> {
        let mut faults = Vec::new();
        let token = self.token.filter(|token| !token.is_empty());
        if token.is_none() && !self.listen.ip().is_loopback() {
            faults.push(Fault::Open(self.listen));
        }
        if token.as_ref().is_some_and(|token| http::HeaderValue::from_str(token).is_err()) {
            faults.push(Fault::Token);
        }
        if self.retention < Duration::from_secs(60) {
            faults.push(Fault::Range { flag: "retention", expected: "a minute or more" });
        }
        if self.max_bytes < 1 << 20 {
            faults.push(Fault::Range { flag: "max-bytes", expected: "a mebibyte (1048576) or more" });
        }
        if self.max_series == 0 {
            faults.push(Fault::Range { flag: "max-series", expected: "1 or more" });
        }
        let mut backend = |flag, url: Option<String>| {
            let read = url.filter(|url| !url.is_empty()).map(|url| Backend::parse(&url)).transpose();
            read.unwrap_or_else(|fault| {
                faults.push(Fault::Url { flag, fault });
                None
            })
        };
        let prometheus = backend("prometheus-url", self.prometheus_url);
        let tempo = backend("tempo-url", self.tempo_url);
        let traces = self.traces.validate(self.retention, token.is_some(), &mut faults);
        if self.scrape_interval < Duration::from_millis(100) {
            faults.push(Fault::Range { flag: "scrape-interval", expected: "100ms or more" });
        }
        if self.scrape_timeout.is_zero() || self.scrape_timeout > self.scrape_interval {
            faults.push(Fault::Range {
                flag: "scrape-timeout",
                expected: "longer than nothing, and not than --scrape-interval",
            });
        }
        if self.query_max_samples == 0 {
            faults.push(Fault::Range { flag: "query-max-samples", expected: "1 or more" });
        }
        if self.query_timeout.is_zero() {
            faults.push(Fault::Range { flag: "query-timeout", expected: "longer than nothing" });
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Config {
            listen: self.listen,
            token: token.map(Secret::new),
            limits: Limits { retention: self.retention, max_bytes: self.max_bytes, max_series: self.max_series },
            data_dir: self.data_dir,
            prometheus,
            tempo,
            targets: self.scrape,
            discovery: self.scrape_http_sd,
            timing: Timing { interval: self.scrape_interval, timeout: self.scrape_timeout },
            query_limits: promql::Limits { max_samples: self.query_max_samples, timeout: self.query_timeout },
            drain_timeout: self.drain_timeout,
            traces,
        })
    }
}

#[cfg(test)]
mod tests;
