//! What stands between load and engine: the cases of `bench proxy`, and how Candor's own components are called.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use super::yardstick;
use crate::Error;
use crate::process::{Launch, ProcessError, free_address};

/// The case that every other one is compared with.
pub(super) const YARDSTICK: Case = Case::Nginx;

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
}

impl Case {
    /// Every case, in the order of the table.
    pub(super) const ALL: [Self; 7] = [
        Self::Direct,
        Self::Nginx,
        Self::Haproxy,
        Self::Gateway,
        Self::Sidecar,
        Self::SidecarNixlv2,
        Self::GatewaySidecar,
    ];

    /// Its name in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Gateway => "gateway",
            Self::Sidecar => "sidecar",
            Self::SidecarNixlv2 => "sidecar nixlv2",
            Self::GatewaySidecar => "gateway + sidecar",
        }
    }

    /// Whether it is one process of ours, which bars are set for.
    pub(super) fn is_one_of_ours(self) -> bool {
        matches!(self, Self::Gateway | Self::Sidecar | Self::SidecarNixlv2)
    }

    /// Whether the load names the prefill target itself.
    pub(super) fn names_prefiller(self) -> bool {
        self == Self::SidecarNixlv2
    }

    /// Processes of ours that a request passes.
    pub(super) fn hops(self) -> u32 {
        match self {
            Self::Direct | Self::Nginx | Self::Haproxy => 0,
            Self::Gateway | Self::Sidecar | Self::SidecarNixlv2 => 1,
            Self::GatewaySidecar => 2,
        }
    }

    /// Whether every request is prefilled elsewhere first.
    pub(super) fn disaggregates(self) -> bool {
        matches!(self, Self::SidecarNixlv2 | Self::GatewaySidecar)
    }

    /// The span that its processes must each export once per request.
    pub(super) fn request_spans(self) -> &'static [&'static str] {
        match self {
            Self::Direct | Self::Nginx | Self::Haproxy => &[],
            Self::Gateway => &[GATEWAY_SPAN],
            Self::Sidecar | Self::SidecarNixlv2 => &[SIDECAR_SPAN],
            Self::GatewaySidecar => &[GATEWAY_SPAN, SIDECAR_SPAN],
        }
    }

    /// The processes to start, in order, and the address that the load talks to.
    ///
    /// # Errors
    /// A yardstick is not installed, or there is no port or file to be had.
    pub(super) fn launches(self, place: &Place<'_>) -> Result<(Vec<Launch>, SocketAddr), Error> {
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

/// Where a case's processes run and what they talk to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The null engine, which is also the collector of spans.
    pub(super) engine: SocketAddr,
    /// For configurations and logs.
    pub(super) directory: &'a Path,
    /// The core of the proxy under test.
    pub(super) cpu: usize,
    /// Path prefix of the collector, so that spans are counted apart.
    pub(super) collector: &'a str,
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
            name: format!("{} {component}", case.name()).replace(' ', "-"),
            command,
            environment,
            cpu: self.cpu,
        })
    }
}
