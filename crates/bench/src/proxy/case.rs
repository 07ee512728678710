//! What stands between load and engine: the cases of `bench proxy`, and how Candor's own components are called.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use super::yardstick;
use crate::Error;
use crate::process::{Launch, ProcessError, free_address};

/// The case that every other one is compared with.
pub(crate) const YARDSTICK: Case = Case::Nginx;

/// One way from load to engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Case {
    /// No proxy at all.
    Direct,
    /// Debian's nginx.
    Nginx,
    /// Debian's haproxy.
    Haproxy,
    /// Candor's gateway in front of one neutral instance.
    Gateway,
    /// Candor's sidecar, requests without a prefill target.
    Sidecar,
    /// Candor's sidecar, every request prefilled elsewhere by nixlv2.
    SidecarNixlv2,
    /// Gateway and sidecar on one core, every request disaggregated.
    GatewaySidecar,
    /// Candor's gateway, which asks a scheduler for every request.
    #[value(skip)]
    GatewayScheduler,
    /// The same, cutting every prompt into tokens.
    #[value(skip)]
    GatewayTokenizer,
    /// A gateway with scheduler and tokenizer that runs nixlv2 itself.
    #[value(skip)]
    GatewayLegs,
}

impl Case {
    /// Every case of `bench proxy`, in the order of the table.
    pub(crate) const ALL: [Self; 7] = [
        Self::Direct,
        Self::Nginx,
        Self::Haproxy,
        Self::Gateway,
        Self::Sidecar,
        Self::SidecarNixlv2,
        Self::GatewaySidecar,
    ];

    /// Its name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Gateway => "gateway",
            Self::Sidecar => "sidecar",
            Self::SidecarNixlv2 => "sidecar nixlv2",
            Self::GatewaySidecar => "gateway + sidecar",
            Self::GatewayScheduler => "gateway",
            Self::GatewayTokenizer => "gateway, tokens",
            Self::GatewayLegs => "gateway, legs",
        }
    }

    /// Whether it is one process of ours, which bars are set for.
    pub(crate) fn is_one_of_ours(self) -> bool {
        matches!(
            self,
            Self::Gateway
                | Self::Sidecar
                | Self::SidecarNixlv2
                | Self::GatewayScheduler
                | Self::GatewayTokenizer
                | Self::GatewayLegs
        )
    }

    /// Whether the load names the prefill target itself.
    pub(crate) fn names_prefiller(self) -> bool {
        self == Self::SidecarNixlv2
    }

    /// Processes of ours that a request passes.
    pub(crate) fn hops(self) -> u32 {
        match self {
            Self::Direct | Self::Nginx | Self::Haproxy => 0,
            Self::GatewaySidecar => 2,
            _ => 1,
        }
    }

    /// Whether every request is prefilled elsewhere first.
    pub(crate) fn disaggregates(self) -> bool {
        matches!(self, Self::SidecarNixlv2 | Self::GatewaySidecar | Self::GatewayLegs)
    }

    /// The span that its processes must each export once per request.
    pub(crate) fn request_spans(self) -> &'static [&'static str] {
        match self {
            Self::Direct | Self::Nginx | Self::Haproxy => &[],
            Self::Gateway | Self::GatewayScheduler | Self::GatewayTokenizer => &[GATEWAY_SPAN],
            Self::Sidecar | Self::SidecarNixlv2 => &[SIDECAR_SPAN],
            Self::GatewaySidecar | Self::GatewayLegs => &[GATEWAY_SPAN, SIDECAR_SPAN],
        }
    }

    /// The processes to start, in order, and the address that the load talks to.
    ///
    /// # Errors
    /// A yardstick is not installed, or there is no port or file to be had.
    pub(crate) fn launches(self, place: &Place<'_>) -> Result<(Vec<Launch>, SocketAddr), Error> {
        let front = free_address()?;
        let engine = place.engine;
        let launches = match self {
            Self::Direct => return Ok((Vec::new(), engine)),
            Self::Nginx => {
                vec![place.bare(self, yardstick::nginx(front, engine, place.directory)?)]
            }
            Self::Haproxy => {
                vec![place.bare(self, yardstick::haproxy(front, engine, place.directory)?)]
            }
            Self::Gateway => {
                vec![place.ours(self, "gateway", gateway_flags(front, &[("neutral-endpoints", engine)]))?]
            }
            Self::GatewayScheduler => {
                let neutral = gateway_flags(front, &[("neutral-endpoints", engine)]);
                vec![place.ours(self, "gateway", place.beside.scheduled(neutral))?]
            }
            Self::GatewayTokenizer => {
                let neutral = gateway_flags(front, &[("neutral-endpoints", engine)]);
                vec![place.ours(self, "gateway", place.beside.tokenizing(neutral))?]
            }
            Self::GatewayLegs => {
                let decoder = place.beside.decoder.unwrap_or(engine);
                let mut legs = gateway_flags(front, &[("prefill-endpoints", engine), ("decode-endpoints", decoder)]);
                legs.push("--pd-disagg-protocol=nixlv2".to_owned());
                vec![place.ours(self, "gateway", place.beside.tokenizing(legs))?]
            }
            Self::Sidecar | Self::SidecarNixlv2 => {
                vec![place.ours(self, "sidecar", sidecar_flags(front, engine)?)?]
            }
            Self::GatewaySidecar => {
                let behind = free_address()?;
                let endpoints = [("prefill-endpoints", engine), ("decode-endpoints", behind)];
                vec![
                    place.ours(self, "sidecar", sidecar_flags(behind, engine)?)?,
                    place.ours(self, "gateway", gateway_flags(front, &endpoints))?,
                ]
            }
        };
        Ok((launches, front))
    }
}

const GATEWAY_SPAN: &str = "gateway.request";
const SIDECAR_SPAN: &str = "llm_d.pd_proxy.request";

fn gateway_flags(listen: SocketAddr, endpoints: &[(&str, SocketAddr)]) -> Vec<String> {
    let mut flags = vec![format!("--host={}", listen.ip()), format!("--port={}", listen.port())];
    flags.extend(endpoints.iter().map(|(flag, address)| format!("--{flag}={address}")));
    flags
}

fn sidecar_flags(listen: SocketAddr, engine: SocketAddr) -> Result<Vec<String>, ProcessError> {
    Ok(vec![
        format!("--host={}", listen.ip()),
        format!("--port={}", listen.port()),
        format!("--model-server-port={}", engine.port()),
        format!("--metrics-port={}", free_address()?.port()),
        "--kv-connector=nixlv2".to_owned(),
        "--secure-proxy=false".to_owned(),
        "--tracing=true".to_owned(),
    ])
}

/// What a gateway at work has beside its engine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beside<'a> {
    /// The engine of decode legs, where it is another one.
    pub(crate) decoder: Option<SocketAddr>,
    /// Who places its requests.
    pub(crate) scheduler: Option<SocketAddr>,
    /// The directory of a tokenizer.
    pub(crate) tokenizer: Option<&'a Path>,
}

impl Beside<'_> {
    fn scheduled(self, mut flags: Vec<String>) -> Vec<String> {
        flags.extend(self.scheduler.map(|address| format!("--scheduler-endpoints={address}")));
        flags
    }

    fn tokenizing(self, flags: Vec<String>) -> Vec<String> {
        let mut flags = self.scheduled(flags);
        flags.extend(self.tokenizer.map(|path| format!("--tokenizer-path={}", path.display())));
        flags
    }
}

/// Where a case's processes run and what they talk to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The null engine, which is also the collector of spans.
    pub(crate) engine: SocketAddr,
    /// For configurations and logs.
    pub(crate) directory: &'a Path,
    /// The core of the proxy under test.
    pub(crate) cpu: usize,
    /// Path prefix of the collector, so that spans are counted apart.
    pub(crate) collector: &'a str,
    /// What else there is to talk to.
    pub(crate) beside: Beside<'a>,
}

impl Place<'_> {
    fn bare(&self, case: Case, command: Vec<OsString>) -> Launch {
        Launch { name: case.name().to_owned(), command, environment: Vec::new(), cpu: self.cpu }
    }

    /// A component of this very executable, telemetry fully on.
    fn ours(&self, case: Case, component: &str, flags: Vec<String>) -> Result<Launch, ProcessError> {
        let program = std::env::current_exe().map_err(ProcessError::io("cannot find this executable"))?;
        let command = std::iter::once(program.into_os_string())
            .chain([component.into()])
            .chain(flags.into_iter().map(OsString::from))
            .collect();
        let environment = vec![
            ("OTEL_TRACES_EXPORTER", "otlp".to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}{}", self.engine, self.collector)),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()),
            ("OTEL_TRACES_SAMPLER", "parentbased_always_on".to_owned()),
        ];
        Ok(Launch {
            name: format!("{} {component}", case.name()).replace([' ', ','], "-"),
            command,
            environment,
            cpu: self.cpu,
        })
    }
}
