//! The flags themselves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::traces::TraceArgs;
use crate::metrics::scrape::{Discovery, ScrapeTarget};

/// Flags of the observatory.
#[derive(Clone, clap::Args)]
pub struct Args {
    /// Address and port of the page, the query APIs and OTLP/HTTP; port 0 picks a free one
    #[arg(long, env = "CANDOR_OBSERVATORY_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// What callers must send as `Authorization: Bearer TOKEN`; needed to listen beyond this machine
    #[arg(long, env = "CANDOR_OBSERVATORY_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// How long samples and spans are kept
    #[arg(long, env = "CANDOR_OBSERVATORY_RETENTION", value_name = "TIME", default_value = "6h",
          value_parser = humantime::parse_duration)]
    pub retention: Duration,
    /// Memory for samples; the oldest go first
    #[arg(long, env = "CANDOR_OBSERVATORY_MAX_BYTES", value_name = "BYTES", default_value_t = 512 << 20)]
    pub max_bytes: usize,
    /// Series at once; further label sets are refused and counted
    #[arg(long, env = "CANDOR_OBSERVATORY_MAX_SERIES", value_name = "COUNT", default_value_t = 200_000)]
    pub max_series: usize,
    /// Folder in which samples and spans outlive a restart; one process at a time may use it
    #[arg(long, env = "CANDOR_OBSERVATORY_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Prometheus to ask instead of storing samples, such as http://prometheus:9090
    #[arg(long, env = "CANDOR_OBSERVATORY_PROMETHEUS_URL", value_name = "URL")]
    pub prometheus_url: Option<String>,
    /// Tempo to ask instead of storing spans, such as http://tempo:3200
    #[arg(long, env = "CANDOR_OBSERVATORY_TEMPO_URL", value_name = "URL")]
    pub tempo_url: Option<String>,
    /// A page of metrics to scrape: URL;label=value;… (job, namespace, infer_type …); may be said more than once
    #[arg(long, env = "CANDOR_OBSERVATORY_SCRAPE", value_name = "URL[;LABEL=VALUE]", value_delimiter = ',')]
    pub scrape: Vec<ScrapeTarget>,
    /// An endpoint that lists targets as Prometheus' http_sd does; labels as for --scrape
    #[arg(long, env = "CANDOR_OBSERVATORY_SCRAPE_HTTP_SD", value_name = "URL[;LABEL=VALUE]", value_delimiter = ',')]
    pub scrape_http_sd: Vec<Discovery>,
    /// Time between two scrapes of a target
    #[arg(long, env = "CANDOR_OBSERVATORY_SCRAPE_INTERVAL", value_name = "TIME", default_value = "10s",
          value_parser = humantime::parse_duration)]
    pub scrape_interval: Duration,
    /// How long a target may take to answer
    #[arg(long, env = "CANDOR_OBSERVATORY_SCRAPE_TIMEOUT", value_name = "TIME", default_value = "10s",
          value_parser = humantime::parse_duration)]
    pub scrape_timeout: Duration,
    /// Samples that one query may hold in memory
    #[arg(long, env = "CANDOR_OBSERVATORY_QUERY_MAX_SAMPLES", value_name = "COUNT", default_value_t = 25_000_000)]
    pub query_max_samples: usize,
    /// How long one query may take
    #[arg(long, env = "CANDOR_OBSERVATORY_QUERY_TIMEOUT", value_name = "TIME", default_value = "30s",
          value_parser = humantime::parse_duration)]
    pub query_timeout: Duration,
    /// How long requests in flight may take to finish after SIGTERM
    #[arg(long, env = "CANDOR_OBSERVATORY_DRAIN_TIMEOUT", value_name = "TIME", default_value = "10s",
          value_parser = humantime::parse_duration)]
    pub drain_timeout: Duration,
    /// Spans and OTLP
    #[command(flatten)]
    pub traces: TraceArgs,
}

impl std::fmt::Debug for Args {
    /// Says nothing of the values: one is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Args").finish_non_exhaustive()
    }
}
