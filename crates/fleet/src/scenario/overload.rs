//! More of everything than there is room for.
//!
//! Requests come faster than the gateway may place them, so that its queue fills and patience ends; the scheduler finds
//! prefill instances busy; clients leave in every phase; engines answer with errors, break off in mid-stream, and are gone
//! for a while. Whatever becomes of a request, gateway and sidecars must have counted it as the client saw it.

use std::net::SocketAddr;

use audit::verdict::{Holds, NumberCheck, Verdict};
use proxy::{Client, ClientConfig};

use crate::admin;
use crate::group::Group;
use crate::topology::{Connector, GroupConfig, Latency, Room};

pub(super) fn groups() -> Vec<GroupConfig> {
    let scarce =
        |connector| GroupConfig { room: Room::Scarce, ..GroupConfig::two_and_two(connector, Latency::SLOW_PLACING) };
    Connector::ALL.map(scarce).to_vec()
}

pub(super) const LOAD: &[&str] = &[
    "--rate=120",
    "--duration=6s",
    "--stream-share=0.7",
    "--cancel-before-first=0.15",
    "--cancel-within=200ms",
    "--cancel-mid-stream=0.1",
    "--inject=0.04:x-candor-fault:status=503",
    "--inject=0.04:x-candor-fault:status=422",
    "--inject=0.05:x-candor-fault:reset-after-tokens=3",
    "--prompt-tokens=lognormal:128:0.8:1024",
    "--output-tokens=uniform:4:12",
];

/// How long an engine is gone, ms.
const GONE_MS: u32 = 1_500;

/// Lets engines die and come back while a load runs.
pub(super) struct Outages {
    client: Client,
    seconds: u32,
    decode: Option<SocketAddr>,
    prefill: Option<SocketAddr>,
}

impl Outages {
    /// A decode engine of `group` first, a prefill engine later.
    pub(super) fn of(group: &Group) -> Self {
        let client = Client::new(ClientConfig::default());
        Self { client, seconds: 0, decode: group.decode().next(), prefill: group.prefill().last() }
    }

    /// Another second has passed.
    pub(super) async fn second(&mut self) {
        self.seconds += 1;
        let engine = match self.seconds {
            1 => self.decode,
            3 => self.prefill,
            _ => None,
        };
        if let Some(engine) = engine
            && let Err(error) = self.refuse(engine).await
        {
            tracing::warn!(%engine, %error, "an engine that was to die lives");
        }
    }

    /// Has an engine close its port for a while.
    async fn refuse(&self, engine: SocketAddr) -> anyhow::Result<()> {
        admin::post(&self.client, engine, &format!("refuse?ms={GONE_MS}")).await
    }
}

/// What must have occurred, or nothing of it was audited.
const OCCURRED: &[&str] = &[
    "request_total{200}",
    "request_total{429}",
    "request_total{499}",
    "request_total{503}",
    "gateway_rejected_total{queue_full}",
    "gateway_rejected_total{queue_timeout}",
    "request_outcome_total{failed, schedule}",
    "pd_proxy_requests_total{cancelled}",
    "pd_proxy_requests_total{failed}",
];

pub(super) fn expect(verdict: &Verdict) -> Vec<NumberCheck> {
    let check = |&name: &&str| {
        let count = verdict.numbers.iter().find(|number| number.name == name).map_or(0.0, |number| number.expected);
        let holds = if count > 0.0 { Holds::Yes } else { Holds::No("the load brought about none".to_owned()) };
        NumberCheck {
            name: format!("{name} occurred"),
            expected: count,
            reported: count,
            tolerance: 0.0,
            unit: "",
            holds,
        }
    };
    OCCURRED.iter().map(check).collect()
}
