//! Starting and stopping one group.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use audit::Endpoint;
use cluster::Publication;
use telemetry::Telemetry;

use crate::flags;
use crate::placing::Chooser;
use crate::threads::{Place, Threads};
use crate::topology::{Connector, GroupConfig};
use crate::traces::Traces;

/// The `service.name` of gateways.
const GATEWAY_SERVICE: &str = "candor-gateway";
/// The `service.name` of sidecars, by which the seed's dashboards find them.
const SIDECAR_SERVICE: &str = "llm-d-pd-proxy";
/// The `service.name` of schedulers.
const SCHEDULER_SERVICE: &str = "candor-scheduler";
/// How often an engine's status may change in the CMS; upstream's llumlet has the same.
const PUSH_INTERVAL: Duration = Duration::from_millis(40);
/// Requests on a neutral engine that takes none any more are moved to another.
const RESCHEDULING: [&str; 3] =
    ["--colocated-rescheduling-mode", "--rescheduling-policies=neutral_failover", "--rescheduling-interval-ms=100"];
/// The model that the engines serve.
pub const MODEL: &str = "candor-sim";

/// A running component and its telemetry.
struct Part<R> {
    running: R,
    telemetry: Arc<Telemetry>,
}

/// A running group.
pub struct Group {
    /// What it was started as.
    pub config: GroupConfig,
    gateway: Part<gateway::Running>,
    sidecars: Vec<Part<sidecar::Running>>,
    prefill: Vec<Part<engine::Running>>,
    decode: Vec<Part<engine::Running>>,
    neutral: Vec<Part<engine::Running>>,
    scheduler: Option<Part<scheduler::Running>>,
}

impl Group {
    /// Starts engines, then a sidecar before each decode engine, then the gateway, and where one chooses a scheduler: in full
    /// mode engines say in the CMS how they are, in lite mode the gateway says it.
    pub(crate) async fn start(
        config: GroupConfig,
        chooser: &Chooser,
        traces: &Traces,
        threads: &Threads,
    ) -> anyhow::Result<Self> {
        let starting = Starting { config, chooser, traces, threads };
        let mut prefill: Vec<Part<engine::Running>> = Vec::new();
        for index in 0..config.prefill {
            let part = starting.engine(Role::Prefill, index, prefill.first()).await?;
            starting.publish(Role::Prefill, index, &part.running, part.running.addr);
            prefill.push(part);
        }
        let (mut decode, mut sidecars) = (Vec::new(), Vec::new());
        for index in 0..config.decode {
            let part = starting.engine(Role::Decode, index, prefill.first()).await?;
            let sidecar = starting.sidecar(index, &part.running, prefill.first()).await?;
            starting.publish(Role::Decode, index, &part.running, sidecar.running.addr);
            sidecars.push(sidecar);
            decode.push(part);
        }
        let mut neutral = Vec::new();
        for index in 0..config.neutral {
            let part = starting.engine(Role::Neutral, index, None).await?;
            starting.publish(Role::Neutral, index, &part.running, part.running.addr);
            neutral.push(part);
        }
        let fronts = endpoints(&prefill, &sidecars, &neutral);
        let scheduler = starting.scheduler(&fronts).await?;
        let gateway = starting.gateway(&fronts, scheduler.as_ref()).await?;
        Ok(Self { config, gateway, sidecars, prefill, decode, neutral, scheduler })
    }

    /// Where clients connect.
    pub fn gateway(&self) -> SocketAddr {
        self.gateway.running.addr
    }

    /// Sidecars: where they serve, and where their metrics are.
    pub fn sidecars(&self) -> impl Iterator<Item = (SocketAddr, Option<SocketAddr>)> {
        self.sidecars.iter().map(|part| (part.running.addr, part.running.metrics_addr))
    }

    /// The scheduler, where there is one.
    pub fn scheduler(&self) -> Option<SocketAddr> {
        self.scheduler.as_ref().map(|part| part.running.addr)
    }

    /// Prefill engines.
    pub fn prefill(&self) -> impl Iterator<Item = SocketAddr> {
        self.prefill.iter().map(|part| part.running.addr)
    }

    /// Decode engines.
    pub fn decode(&self) -> impl Iterator<Item = SocketAddr> {
        self.decode.iter().map(|part| part.running.addr)
    }

    /// Neutral engines.
    pub fn neutral(&self) -> impl Iterator<Item = SocketAddr> {
        self.neutral.iter().map(|part| part.running.addr)
    }

    /// All engines, and what they are for.
    pub(crate) fn engines(&self) -> impl Iterator<Item = (Role, SocketAddr)> {
        let prefill = self.prefill().map(|addr| (Role::Prefill, addr));
        let decode = self.decode().map(|addr| (Role::Decode, addr));
        prefill.chain(decode).chain(self.neutral().map(|addr| (Role::Neutral, addr)))
    }

    /// Where gateway and sidecars expose their metrics.
    pub fn metrics(&self) -> Vec<Endpoint> {
        let sidecars = self.sidecars().filter_map(|(_, metrics)| metrics);
        std::iter::once(self.gateway()).chain(sidecars).map(Endpoint::metrics).collect()
    }

    /// Stops everything, what clients reach first, and sends the spans that still wait. Says whether every stream had
    /// ended.
    pub(crate) async fn shutdown(self, threads: &Threads) -> anyhow::Result<bool> {
        let Self { gateway, sidecars, prefill, decode, neutral, scheduler, .. } = self;
        let mut complete = threads
            .run(Place::Components, async move {
                let report = gateway.running.shutdown().await;
                gateway.telemetry.shutdown().await;
                report.complete
            })
            .await?;
        if let Some(part) = scheduler {
            let stop = async move {
                let report = part.running.shutdown().await;
                part.telemetry.shutdown().await;
                report.complete
            };
            complete &= threads.run(Place::Components, stop).await?;
        }
        for part in sidecars {
            let stop = async move {
                let report = part.running.shutdown().await;
                part.telemetry.shutdown().await;
                report.complete
            };
            complete &= threads.run(Place::Components, stop).await?;
        }
        for part in prefill.into_iter().chain(decode).chain(neutral) {
            let stop = async move {
                let report = part.running.shutdown().await;
                part.telemetry.shutdown().await;
                report.complete
            };
            complete &= threads.run(Place::Components, stop).await?;
        }
        Ok(complete)
    }
}

/// What an engine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Prefill,
    Decode,
    Neutral,
}

impl Role {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::Neutral => "neutral",
        }
    }
}

/// What every start needs.
struct Starting<'a> {
    config: GroupConfig,
    chooser: &'a Chooser,
    traces: &'a Traces,
    threads: &'a Threads,
}

impl Starting<'_> {
    fn instance(&self, what: &str, index: u8) -> String {
        format!("{}-{what}-{index}", self.config.name)
    }

    async fn engine(
        &self,
        role: Role,
        index: u8,
        first: Option<&Part<engine::Running>>,
    ) -> anyhow::Result<Part<engine::Running>> {
        let flags = self.engine_flags(role, index, first.map(|part| &part.running));
        let args: engine::Args = flags::read("engine", &flags)?;
        let config = args.validate().map_err(|found| flags::faults("engine", &found))?;
        let (traces, instance) = (self.traces.clone(), self.instance(role.as_str(), index));
        let start = async move {
            let telemetry = traces.telemetry(config.service_name(), &instance)?;
            let running = engine::start(config, Arc::clone(&telemetry)).await?;
            anyhow::Ok(Part { running, telemetry })
        };
        self.threads.run(Place::Components, start).await?.context("an engine did not start")
    }

    fn engine_flags(&self, role: Role, index: u8, first: Option<&engine::Running>) -> Vec<String> {
        let GroupConfig { connector, latency, seed, .. } = self.config;
        let micros = |time: Duration| format!("{}us", time.as_micros());
        // The sidecar knows one bootstrap port for all prefill hosts, as in a deployment where every pod has its own
        // address; so prefill engines get addresses of their own here too.
        let host = match role {
            Role::Prefill => format!("127.0.0.{}", index.saturating_add(1)),
            Role::Decode | Role::Neutral => "127.0.0.1".to_owned(),
        };
        let mut flags = vec![
            format!("--host={host}"),
            "--port=0".to_owned(),
            format!("--model={MODEL}"),
            format!("--role={}", role.as_str()),
            format!("--dialect={}", connector.dialect()),
            format!("--kv-connector={connector}"),
            format!("--seed={}", seed.wrapping_add(u64::from(index))),
            format!("--prefill-base={}", micros(latency.prefill)),
            format!("--prefill-per-token={}", micros(latency.prefill_per_token)),
            format!("--decode-step={}", micros(latency.decode_step)),
            format!("--output-cost={}", micros(latency.output)),
            "--decode-per-seq=0us".to_owned(),
            format!("--kv-transfer-base={}", micros(latency.kv_transfer)),
            "--kv-transfer-per-block=0us".to_owned(),
            // A client that leaves in time costs SGLang a prefill that waits for its decoder; a run must outlast it.
            "--room-timeout=2s".to_owned(),
        ];
        if connector == Connector::Lmcache {
            let store = first.map_or_else(|| "self".to_owned(), |first| first.side_channel_addr.to_string());
            flags.push(format!("--shared-store={store}"));
        }
        if let (Role::Prefill, Some(first)) = (role, first) {
            flags.push(format!("--bootstrap-port={}", first.bootstrap_addr.port()));
        }
        flags
    }

    async fn sidecar(
        &self,
        index: u8,
        decoder: &engine::Running,
        prefill: Option<&Part<engine::Running>>,
    ) -> anyhow::Result<Part<sidecar::Running>> {
        let bootstrap = prefill.map_or(0, |part| part.running.bootstrap_addr.port());
        let flags = [
            "--host=127.0.0.1".to_owned(),
            "--port=0".to_owned(),
            "--metrics-port=0".to_owned(),
            "--secure-serving=false".to_owned(),
            "--tracing=true".to_owned(),
            format!("--model-server-port={}", decoder.addr.port()),
            format!("--kv-connector={}", self.config.connector),
            format!("--sglang-bootstrap-port={bootstrap}"),
            format!("--prefill-max-retries={}", self.config.retries),
        ];
        let args: sidecar::Args = flags::read("sidecar", &flags)?;
        let config = args.validate().map_err(|found| flags::faults("sidecar", &found))?;
        let (traces, instance) = (self.traces.clone(), self.instance("sidecar", index));
        let start = async move {
            let telemetry = traces.telemetry(SIDECAR_SERVICE, &instance)?;
            let running = sidecar::start(config, Arc::clone(&telemetry)).await?;
            anyhow::Ok(Part { running, telemetry })
        };
        self.threads.run(Place::Components, start).await?.context("a sidecar did not start")
    }

    /// Has an engine say in the CMS, if there is one, how it is, and that requests are to be sent to `front`.
    fn publish(&self, role: Role, index: u8, engine: &engine::Running, front: SocketAddr) {
        let Chooser::Full(store) = self.chooser else {
            return;
        };
        let instance_id = self.instance(role.as_str(), index);
        let publication = Publication {
            cms: Some(store.clone()),
            registry: None,
            unit_id: instance_id.clone(),
            node_id: "loopback".to_owned(),
            instance_id,
            dp_rank: 0,
            dp_size: 1,
            endpoint: Some((front.ip().to_string(), front.port())),
            push_interval: PUSH_INTERVAL,
            announce_interval: PUSH_INTERVAL,
        };
        self.threads.within(Place::Components, || engine.publish(publication));
    }

    /// The scheduler, if one chooses.
    async fn scheduler(&self, fronts: &[String]) -> anyhow::Result<Option<Part<scheduler::Running>>> {
        let mut flags =
            vec!["--host=127.0.0.1".to_owned(), "--port=0".to_owned(), "--failover-domain=instance".to_owned()];
        match self.chooser {
            Chooser::Nobody => return Ok(None),
            Chooser::Full(_) => {
                flags.push("--cms-pull-metadata-interval-ms=500".to_owned());
                // A neutral engine has its whole request to itself, so that it can hand it over.
                if self.config.neutral > 0 {
                    flags.extend(RESCHEDULING.map(str::to_owned));
                }
                flags.push("--enable-predictor-enhanced-scheduling=true".to_owned());
            }
            Chooser::Lite => {
                flags.push("--enable-full-mode-scheduling=false".to_owned());
                flags.push("--llm-backend-discovery=endpoints".to_owned());
                flags.extend_from_slice(fronts);
            }
        }
        // Tokens are estimated here, four bytes each; a block of text is as many as this.
        flags.extend(["--kvs-backend=approximate", "--cache-aware-scheduling-min-tokens=64"].map(str::to_owned));
        if let Some(policy) = self.config.room.policy() {
            let file = self.traces.directory().join("policy.toml");
            std::fs::write(&file, policy).with_context(|| format!("cannot write {}", file.display()))?;
            flags.push(format!("--policy-config={}", file.display()));
        } else {
            flags.push("--scheduling-policy=cache-aware".to_owned());
        }
        let args: scheduler::Args = flags::read("scheduler", &flags)?;
        let mut config = args.validate().map_err(|found| flags::faults("scheduler", &found))?;
        if let (scheduler::Source::Cms { store: of, .. }, Chooser::Full(store)) = (&mut config.source, self.chooser) {
            *of = store.clone();
        }
        let (traces, instance) = (self.traces.clone(), self.instance("scheduler", 0));
        let start = async move {
            let telemetry = traces.telemetry(SCHEDULER_SERVICE, &instance)?;
            let running = scheduler::start(config, Arc::clone(&telemetry)).await?;
            anyhow::Ok(Part { running, telemetry })
        };
        self.threads.run(Place::Components, start).await?.map(Some).context("the scheduler did not start")
    }

    async fn gateway(
        &self,
        fronts: &[String],
        scheduler: Option<&Part<scheduler::Running>>,
    ) -> anyhow::Result<Part<gateway::Running>> {
        let mut flags = vec!["--host=127.0.0.1".to_owned(), "--port=0".to_owned()];
        flags.extend_from_slice(fronts);
        flags.push(format!("--retry-max-count={}", self.config.retries));
        flags.extend(scheduler.map(|part| format!("--scheduler-endpoints={}", part.running.addr)));
        if matches!(self.chooser, Chooser::Lite) {
            flags.push("--enable-full-mode-scheduling=false".to_owned());
        }
        flags.extend(self.config.room.gateway_flags().iter().map(|&flag| flag.to_owned()));
        let delay = self.config.latency.gateway;
        if !delay.is_zero() {
            flags.push(format!("--inject-routing-delay={}us", delay.as_micros()));
        }
        let args: gateway::Args = flags::read("gateway", &flags)?;
        let config = args.validate().map_err(|found| flags::faults("gateway", &found))?;
        let (traces, instance) = (self.traces.clone(), self.instance("gateway", 0));
        let start = async move {
            let telemetry = traces.telemetry(GATEWAY_SERVICE, &instance)?;
            let running = gateway::start(config, Arc::clone(&telemetry)).await?;
            anyhow::Ok(Part { running, telemetry })
        };
        self.threads.run(Place::Components, start).await?.context("the gateway did not start")
    }
}

/// The flags by which a gateway and a scheduler are told of the instances that requests are sent to.
fn endpoints(
    prefill: &[Part<engine::Running>],
    sidecars: &[Part<sidecar::Running>],
    neutral: &[Part<engine::Running>],
) -> Vec<String> {
    let engines = |of: &[Part<engine::Running>]| of.iter().map(|part| part.running.addr).collect();
    let decode = sidecars.iter().map(|part| part.running.addr).collect();
    let flag = |(name, addrs): (&str, Vec<SocketAddr>)| {
        let addrs: Vec<String> = addrs.iter().map(ToString::to_string).collect();
        (!addrs.is_empty()).then(|| format!("--{name}={}", addrs.join(",")))
    };
    let kinds = [
        ("prefill-endpoints", engines(prefill)),
        ("decode-endpoints", decode),
        ("llm-backend-endpoints", engines(neutral)),
    ];
    kinds.into_iter().filter_map(flag).collect()
}
