//! P/D protocols run by the gateway itself, for engines that have no sidecar before them.
//!
//! The coordinator is the very one that a sidecar runs, here without a hop between: it is told how long ago the request
//! was received, hands out its own spans below the gateway's, and says its durations with the answer. What the gateway
//! reports of a request (the parts of its TTFT among them) is therefore made by the same code in both arrangements.

use std::sync::Arc;
use std::time::Duration;

use coordinator::{Asked, Decoder, Failure, Prefiller, Runner, Settings, Wishes};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue};
use openai::{Api, Body as Json};
use pd::{Order, Peer, Protocol};
use proxy::{Client, Drain};
use telemetry::Stage;
use telemetry::clock;
use telemetry::coordinator::{Begin, Connector, Coordinator, Request as LegsRecord};
use telemetry::gateway::Request as Record;

use crate::ask::Ask;
use crate::endpoints::{CurrentRoster, Instance};
use crate::errors::{Refusal, Sent};
use crate::headers::{ELAPSED, REQUEST_ID};
use crate::prepare::Prepared;
use crate::routing::{Excluded, Placement};

/// Prefill instances that have a chance at a request beside the one that was chosen for it.
const SPARE_PREFILLS: usize = 2;

/// The coordinator inside the gateway.
pub(crate) struct Disagg {
    runner: Runner,
    telemetry: Coordinator,
    connector: Connector,
    client: Client,
    drain: Drain,
    roster: CurrentRoster,
}

impl Disagg {
    pub(crate) fn new(
        settings: Settings,
        client: Client,
        process: &telemetry::Telemetry,
        drain: Drain,
        roster: CurrentRoster,
    ) -> Self {
        let connector = coordinator::connector(settings.protocol);
        Self {
            runner: Runner::new(settings, client.clone()),
            telemetry: Coordinator::new(process, connector),
            connector,
            client,
            drain,
            roster,
        }
    }

    /// Runs the legs of a request that was placed on a decode instance and `prefill`, and waits for the head of its answer.
    pub(crate) async fn dispatch(
        &self,
        ask: &Ask,
        record: &mut Record,
        prepared: &Prepared,
        (placement, prefill): (&Placement, &Arc<Instance>),
        excluded: &Excluded,
    ) -> Sent {
        let mut legs = self.begin(ask, record, prepared);
        let decoder = self.decoder(&placement.serving);
        legs.decode_target(decoder.target.authority());
        let prefillers = self.prefillers(prefill, excluded);
        legs.candidates(prefillers.len());
        let asked = self.asked(ask, prepared)?;
        match Box::pin(self.runner.run(&asked, &decoder, &prefillers, &mut legs)).await {
            Ok(decoded) => Ok(Box::pin(decoded.answer(legs, true)).await),
            Err(failure) => self.failed(failure, legs),
        }
    }

    /// Whether a request's stages can be placed apart. A request that is tried on the decoder first cannot: there has to be one.
    pub(crate) fn has_stages(&self, ask: &Ask, prepared: &Prepared) -> bool {
        let protocol = self.runner.settings().protocol;
        let decodes_first = || {
            let body = Json::parse(prepared.body.clone()).ok();
            body.is_some_and(|body| protocol.serial(ask.api, &body).is_some_and(|plan| plan.decode_first().is_some()))
        };
        let apart = is_split(ask.api) && protocol.order() == Order::Serial;
        // No other protocol's body has to be looked at.
        apart && !(protocol == Protocol::SharedStorage && decodes_first())
    }

    pub(crate) fn runner(&self) -> &Runner {
        &self.runner
    }

    /// The coordinator's record of a request: its clock starts where the gateway's did, and its spans are the gateway's
    /// children.
    pub(crate) fn begin(&self, ask: &Ask, record: &mut Record, prepared: &Prepared) -> LegsRecord {
        let now = clock::now();
        let mut origin = HeaderMap::with_capacity(3);
        record.dispatched(now).inject(&mut origin);
        origin.insert(ELAPSED, HeaderValue::from(now.nanos_since(ask.received) / 1_000));
        self.telemetry.begin(Begin {
            received: now,
            api: ask.api.name(),
            path: ask.uri.path(),
            connector: self.connector,
            request_id: ask.request_id.to_str().unwrap_or_default(),
            model: prepared.model.as_deref(),
            streaming: prepared.stream,
            headers: &origin,
        })
    }

    pub(crate) fn decoder(&self, instance: &Instance) -> Decoder {
        Decoder { client: self.client.clone(), target: instance.endpoint.target().clone(), drain: self.drain.clone() }
    }

    /// The prefill instance that was chosen, and those that may take its place should it not be there.
    pub(crate) fn prefillers(&self, chosen: &Arc<Instance>, excluded: &Excluded) -> Vec<Prefiller> {
        let roster = self.roster.load();
        let other = |instance: &&Arc<Instance>| instance.endpoint != chosen.endpoint && !excluded.has(instance);
        let spare = roster.prefill().iter().filter(other).take(SPARE_PREFILLS);
        std::iter::once(chosen).chain(spare).map(|instance| prefiller(instance)).collect()
    }

    /// The request as its legs share it.
    pub(crate) fn asked(&self, ask: &Ask, prepared: &Prepared) -> Result<Arc<Asked>, Refusal> {
        let body = Json::parse(prepared.body.clone())?;
        let path = ask.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static(ask.api.path()));
        let mut headers = ask.headers.clone();
        headers.insert(REQUEST_ID, ask.request_id.clone());
        // What the client asked for was made ready before; the answer is put right again when it is relayed.
        let wishes = Wishes { streaming: prepared.stream, include_usage: true, continuous_usage: true };
        Ok(Arc::new(Asked::new(ask.api, path, headers, body, wishes)))
    }

    /// An engine's own words go on to the client; for the rest the gateway speaks itself.
    pub(crate) fn failed(&self, failure: Failure, mut legs: LegsRecord) -> Sent {
        legs.finish(clock::now(), failure.outcome());
        let stage = failure.stage();
        match failure {
            Failure::Answered { .. } => {
                let mut response = failure.into_response();
                response.extensions_mut().insert(AnsweredBy(stage));
                Ok(response)
            }
            Failure::Made { stage, blame, error } => Err(Refusal::Legs { stage, blame, error }),
            Failure::Left(error) => Err(Refusal::Legs { stage, blame: telemetry::Blame::Client, error }),
        }
    }
}

/// On an answer that is an engine's own error: whose leg it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AnsweredBy(pub(crate) Stage);

/// Whether an API's requests are disaggregated. An embedding is nothing but a prefill.
pub(crate) fn is_split(api: Api) -> bool {
    api != Api::Embeddings
}

fn prefiller(instance: &Instance) -> Prefiller {
    Prefiller { peer: instance.peer(), target: instance.endpoint.target().clone() }
}

impl Instance {
    /// How other engines are told of it.
    fn peer(&self) -> Peer {
        let rank = |number: i64| u32::try_from(number).unwrap_or(0);
        let peer = Peer::new(self.endpoint.target().host());
        let peer = peer.with_rank(rank(self.wire.dp_rank), rank(self.wire.dp_size));
        match u16::try_from(self.wire.aux_port) {
            Ok(port) if port > 0 && !self.wire.aux_ip.is_empty() => {
                peer.with_kv_address(self.wire.aux_ip.as_str(), port)
            }
            _ => peer,
        }
    }
}

/// How the gateway runs a P/D protocol; the settings of the coordinator.
#[derive(Debug, Clone, Copy)]
pub struct DisaggConfig(pub(crate) Settings);

impl DisaggConfig {
    /// The protocol.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.0.protocol
    }

    /// How long a prefill may take.
    #[must_use]
    pub fn prefill_timeout(&self) -> Duration {
        self.0.patience.limit
    }
}
