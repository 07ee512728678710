//! From text to a configuration, collecting every fault on the way.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use pd::Protocol;
use telemetry::ClientTerms;

use super::layers::Notes;
use super::text::Text;
use super::{Config, Fault, OnPrefillFailure, Options, Pool, Serving, StageTls};
use crate::allow::Rules;
use crate::kubernetes::{Access, PoolGroup, PoolRef};

/// 64 MiB: a prompt of some millions of tokens, or a few images.
const DEFAULT_MAX_BODY: usize = 64 << 20;
/// An answer that waits for its client, in bytes.
const DEFAULT_MAX_BUFFERED: usize = 256 << 10;

/// Checks `options` and builds the configuration.
///
/// # Errors
/// Every fault, those that the notes brought along first.
pub(super) fn check(
    options: &Options,
    notes: Notes,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Vec<Fault>> {
    let mut check = Check { faults: notes.faults };
    let pod = Pod {
        address: environment("POD_IP").and_then(|text| text.parse().ok()),
        access: Access::in_cluster(environment),
    };
    let config = check.config(options, pod, notes.warnings);
    if check.faults.is_empty() { Ok(config) } else { Err(check.faults) }
}

/// What Kubernetes tells a pod about itself.
struct Pod {
    address: Option<IpAddr>,
    access: Option<Access>,
}

/// Reads settings; what cannot be read becomes a fault, and the default stands in so that the rest is checked too.
struct Check {
    faults: Vec<Fault>,
}

impl Check {
    fn config(&mut self, options: &Options, pod: Pod, warnings: Vec<String>) -> Config {
        let ranks = self.at_least("data-parallel-size", options.data_parallel_size.as_ref(), 1, 1);
        let port = self.parse("port", options.port.as_ref(), 8000);
        let decoder_port = self.at_least("model-server-port", options.model_server_port.as_ref(), 8200, 1);
        self.ranks_fit("port", port, ranks);
        self.ranks_fit("model-server-port", decoder_port, ranks);
        self.distinct(port, decoder_port, ranks);
        let (prefill_tls, decode_tls) = self.stages(options);
        let (prefill_retries, prefill_backoff) = self.retries(options);
        Config {
            host: self.parse("host", options.host.as_ref(), IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            port,
            decoder_port,
            ranks,
            pod_ip: pod.address,
            metrics_port: self.metrics_port(options),
            protocol: self.protocol(options),
            serving: self.serving(options),
            prefill_tls,
            decode_tls,
            allow: self.rules(options),
            pool: self.pool(options, pod.access),
            sampling: self.boolean("enable-prefiller-sampling", options.enable_prefiller_sampling.as_ref(), false),
            prefill_retries,
            prefill_backoff,
            prefill_timeout: self.positive(
                "prefill-timeout",
                options.prefill_timeout.as_ref(),
                Duration::from_secs(300),
            ),
            on_prefill_failure: self.on_prefill_failure(options),
            max_body: self.at_least("max-body-bytes", options.max_body_bytes.as_ref(), DEFAULT_MAX_BODY, 1),
            drain_timeout: self.duration("drain-timeout", options.drain_timeout.as_ref(), Duration::from_secs(60)),
            connect_timeout: self.positive("connect-timeout", options.connect_timeout.as_ref(), Duration::from_secs(5)),
            max_idle_per_host: self.parse("max-idle-conns-per-host", options.max_idle_conns_per_host.as_ref(), 1024),
            exact_token_accounting: self.boolean(
                "exact-token-accounting",
                options.exact_token_accounting.as_ref(),
                false,
            ),
            clients: self.clients(options),
            max_buffered: self.at_least(
                "max-buffered-bytes-per-stream",
                options.max_buffered_bytes_per_stream.as_ref(),
                DEFAULT_MAX_BUFFERED,
                8 << 10,
            ),
            tracing: self.boolean("tracing", options.tracing.as_ref(), false),
            warnings,
        }
    }

    fn clients(&mut self, options: &Options) -> ClientTerms {
        let usual = ClientTerms::default();
        let threshold = options.stall_threshold.as_ref();
        let ratio = self.parse("egress-check-ratio", options.egress_check_ratio.as_ref(), usual.egress_check_ratio);
        if !(0.0..=1.0).contains(&ratio) {
            self.fault("egress-check-ratio", format_args!("`{ratio}` is no number from 0 to 1"));
        }
        ClientTerms {
            stall_threshold: self.positive("stall-threshold", threshold, usual.stall_threshold),
            egress_check_ratio: ratio,
        }
    }

    fn fault(&mut self, setting: &str, what: impl Display) {
        self.faults.push(Fault::new(setting, what));
    }

    fn parse<T: FromStr<Err: Display>>(&mut self, setting: &str, text: Option<&Text>, default: T) -> T {
        let Some(Text(text)) = text else { return default };
        text.trim().parse().unwrap_or_else(|error| {
            self.fault(setting, format_args!("`{text}`: {error}"));
            default
        })
    }

    fn at_least<T>(&mut self, setting: &str, text: Option<&Text>, default: T, least: T) -> T
    where
        T: FromStr<Err: Display> + PartialOrd + Display + Copy,
    {
        let value = self.parse(setting, text, default);
        if value < least {
            self.fault(setting, format_args!("`{value}` is less than {least}"));
        }
        value
    }

    /// Booleans as Go's flag library reads them, since that is what manifests were written for.
    fn boolean(&mut self, setting: &str, text: Option<&Text>, default: bool) -> bool {
        let Some(Text(text)) = text else { return default };
        match text.as_str() {
            "true" | "True" | "TRUE" | "t" | "T" | "1" => true,
            "false" | "False" | "FALSE" | "f" | "F" | "0" => false,
            _ => {
                self.fault(setting, format_args!("`{text}` is neither true nor false"));
                default
            }
        }
    }

    fn duration(&mut self, setting: &str, text: Option<&Text>, default: Duration) -> Duration {
        let Some(Text(text)) = text else { return default };
        humantime::parse_duration(text.trim()).unwrap_or_else(|error| {
            self.fault(setting, format_args!("`{text}`: {error} (a duration looks like 300s or 200ms)"));
            default
        })
    }

    fn positive(&mut self, setting: &str, text: Option<&Text>, default: Duration) -> Duration {
        let value = self.duration(setting, text, default);
        if value.is_zero() {
            self.fault(setting, "must be more than zero");
        }
        value
    }

    /// The last rank's port must still be one.
    fn ranks_fit(&mut self, setting: &str, first: u16, ranks: u16) {
        if first != 0 && first.checked_add(ranks.saturating_sub(1)).is_none() {
            self.fault(setting, format_args!("{first} leaves no room for {ranks} ranks below 65536"));
        }
    }

    /// A sidecar that is its own decoder would forward to itself until something breaks.
    fn distinct(&mut self, port: u16, decoder: u16, ranks: u16) {
        if port != 0 && port.abs_diff(decoder) < ranks {
            self.fault(
                "port",
                format_args!("the range from {port} overlaps that of --model-server-port from {decoder}"),
            );
        }
    }

    fn metrics_port(&mut self, options: &Options) -> Option<u16> {
        match options.metrics_port.as_ref() {
            Some(Text(text)) if text == "off" => None,
            given => Some(self.parse("metrics-port", given, 9464)),
        }
    }

    fn protocol(&mut self, options: &Options) -> Protocol {
        let mut port = |name, given: &Option<Text>| self.at_least(name, given.as_ref(), pd::DEFAULT_BOOTSTRAP_PORT, 1);
        let sglang = port("sglang-bootstrap-port", &options.sglang_bootstrap_port);
        let mooncake = port("mooncake-bootstrap-port", &options.mooncake_bootstrap_port);
        let protocol = self.parse("kv-connector", options.kv_connector.as_ref(), Protocol::NixlV2);
        protocol.with_bootstrap_port(if protocol.query_port().is_some() { mooncake } else { sglang })
    }

    fn serving(&mut self, options: &Options) -> Serving {
        if !self.boolean("secure-serving", options.secure_serving.as_ref(), true) {
            return Serving::Plain;
        }
        let Some(Text(directory)) = options.cert_path.as_ref().filter(|Text(path)| !path.is_empty()) else {
            return Serving::SelfSigned;
        };
        let directory = Path::new(directory);
        for file in ["tls.crt", "tls.key"] {
            if let Err(error) = std::fs::metadata(directory.join(file)) {
                self.fault("cert-path", format_args!("{}: {error}", directory.join(file).display()));
            }
        }
        Serving::Directory(directory.to_owned())
    }

    fn stages(&mut self, options: &Options) -> (StageTls, StageTls) {
        let mut prefill = StageTls {
            enabled: self.boolean("prefiller-use-tls", options.prefiller_use_tls.as_ref(), false),
            skip_verify: self.boolean(
                "prefiller-tls-insecure-skip-verify",
                options.prefiller_tls_insecure_skip_verify.as_ref(),
                false,
            ),
        };
        let mut decode = StageTls {
            enabled: self.boolean("decoder-use-tls", options.decoder_use_tls.as_ref(), false),
            skip_verify: self.boolean(
                "decoder-tls-insecure-skip-verify",
                options.decoder_tls_insecure_skip_verify.as_ref(),
                false,
            ),
        };
        for stage in self.stage_list("enable-tls", options.enable_tls.as_deref()) {
            stage.of(&mut prefill, &mut decode).enabled = true;
        }
        for stage in self.stage_list("tls-insecure-skip-verify", options.tls_insecure_skip_verify.as_deref()) {
            stage.of(&mut prefill, &mut decode).skip_verify = true;
        }
        (prefill, decode)
    }

    fn stage_list(&mut self, setting: &str, texts: Option<&[Text]>) -> Vec<Stage> {
        let mut stages = Vec::new();
        for Text(text) in texts.unwrap_or_default() {
            match text.trim() {
                "" => {}
                "prefiller" => stages.push(Stage::Prefiller),
                "decoder" => stages.push(Stage::Decoder),
                "encoder" => self.fault(setting, "`encoder`: not supported yet"),
                other => self.fault(setting, format_args!("`{other}` is not a stage (prefiller, decoder)")),
            }
        }
        stages
    }

    fn retries(&mut self, options: &Options) -> (u32, Duration) {
        let retries = self.parse("prefill-max-retries", options.prefill_max_retries.as_ref(), 0);
        let backoff = options.prefill_retry_backoff.as_ref();
        let backoff = self.duration("prefill-retry-backoff", backoff, Duration::from_millis(200));
        if retries > 0 && backoff.is_zero() {
            self.fault("prefill-retry-backoff", "must be more than zero when there are retries");
        }
        (retries, backoff)
    }

    fn on_prefill_failure(&mut self, options: &Options) -> OnPrefillFailure {
        match options.on_prefill_failure.as_ref().map(|Text(text)| text.as_str()) {
            None | Some("error") => OnPrefillFailure::Error,
            Some("decode-only") => OnPrefillFailure::DecodeOnly,
            Some(other) => {
                self.fault("on-prefill-failure", format_args!("`{other}` is neither `error` nor `decode-only`"));
                OnPrefillFailure::Error
            }
        }
    }

    fn rules(&mut self, options: &Options) -> Rules {
        let Some(texts) = &options.prefill_allow else {
            return if self.pool_name(options).is_some() { Rules::none() } else { Rules::private() };
        };
        let mut rules = Rules::none();
        for Text(text) in texts {
            if let Err(error) = rules.add(text.trim()) {
                self.fault("prefill-allow", error);
            }
        }
        rules
    }

    /// The pool's name, where its pods are to be watched.
    fn pool_name(&mut self, options: &Options) -> Option<String> {
        let protection = options.enable_ssrf_protection.as_ref();
        let wanted = self.boolean("enable-ssrf-protection", protection, true);
        let joined = || {
            let Text(name) = options.inference_pool_name.as_ref()?;
            let namespace = options.inference_pool_namespace.as_ref().map_or("default", |Text(text)| text.as_str());
            Some(format!("{namespace}/{name}"))
        };
        let given = options.inference_pool.as_ref().map(|Text(text)| text.clone()).or_else(joined);
        given.filter(|name| wanted && !name.is_empty())
    }

    fn pool(&mut self, options: &Options, in_cluster: Option<Access>) -> Option<Pool> {
        let group = options.pool_group.as_ref();
        let group = self.parse("pool-group", group, PoolGroup::Stable);
        let name = self.pool_name(options);
        if name.is_none() && self.boolean("enable-ssrf-protection", options.enable_ssrf_protection.as_ref(), false) {
            self.fault("enable-ssrf-protection", "needs --inference-pool");
        }
        let name = name?;
        let given = options.kubernetes_api.as_ref().map(|Text(url)| Access::at(url));
        let access = given.or(in_cluster);
        if access.is_none() {
            self.fault("inference-pool", "needs --kubernetes-api outside of a cluster");
        }
        match PoolRef::parse(&name, group) {
            Ok(pool) => Some(Pool { pool, access: access? }),
            Err(error) => {
                self.fault("inference-pool", error);
                None
            }
        }
    }
}

/// A stage that can be reached over TLS.
enum Stage {
    Prefiller,
    Decoder,
}

impl Stage {
    fn of<'a>(&self, prefill: &'a mut StageTls, decode: &'a mut StageTls) -> &'a mut StageTls {
        match self {
            Self::Prefiller => prefill,
            Self::Decoder => decode,
        }
    }
}
