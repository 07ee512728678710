//! The schedulers: asking one where a request goes, telling it how the request gets on, and giving back what it took.
//!
//! Several may be named; they are replicas of which one leads. The one that answered last is asked first. One that cannot be
//! reached, or says that it does not lead, is left alone for a moment and the next is asked; where none answers, the caller
//! places by itself ([`Unplaced::NotReady`]) and no request fails for it.
//!
//! What a scheduler placed is a [`Lease`]: however the request ends, also when it is dropped while the scheduler is still
//! thinking, the scheduler hears of it.

mod batch;
mod call;
mod keepalive;
mod lease;
mod peer;
mod report;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cluster::api::{ReportEvent, SchedulingMode, SchedulingRequest, SchedulingStage};
use cluster::blocks::TextBlocks;
use http::{HeaderValue, StatusCode};
use proxy::Drain;
use proxy::client::{Client, ClientConfig};
use serde::Serialize;
use telemetry::clock;
use telemetry::gateway::{Gateway as GatewayTelemetry, SchedulerCall};

use crate::admission::Slot;
use crate::endpoints::Endpoint;
use call::Call;
pub(crate) use lease::Lease;
use lease::Tracked;
use peer::Peer;

/// How long a scheduler may take to place or to take back; Llumnix's figure.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a gateway deals with its schedulers.
#[derive(Debug, Clone)]
pub struct SchedulerConfig {
    /// Where they are; none where the gateway places by itself.
    pub endpoints: Vec<Endpoint>,
    /// How long a request waits for a cluster that is full.
    pub busy_patience: Duration,
    /// How often it asks meanwhile.
    pub busy_interval: Duration,
    /// Whether the schedulers know of requests from the instances, rather than from the gateway.
    pub full_mode: bool,
    /// Whether prefill and decode instances are asked for one after the other.
    pub separate_stages: bool,
    /// How often the growth of requests is reported, without full mode.
    pub report_interval: Option<Duration>,
    /// What the gateway presents as `authorization`.
    pub service_token: Option<HeaderValue>,
}

/// What is to be placed.
#[derive(Debug)]
pub(crate) struct Need<'a> {
    /// The request's id.
    pub(crate) id: &'a str,
    /// The model it is for.
    pub(crate) model: &'a str,
    /// How many instances, and when.
    pub(crate) mode: SchedulingMode,
    /// Which of them now.
    pub(crate) stage: Option<SchedulingStage>,
    /// Tokens of the prompt.
    pub(crate) prompt_tokens: u64,
    /// Their ids; none where they are not known.
    pub(crate) prompt_ids: &'a [u32],
    /// Or its text in blocks.
    pub(crate) prompt_text: Option<&'a TextBlocks>,
    /// Ids of instances that failed it.
    pub(crate) excluded: Vec<String>,
}

/// Why a scheduler placed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unplaced {
    /// The cluster is full, and stayed so.
    Busy,
    /// No scheduler answers, or none that knows what to do.
    NotReady,
}

/// The schedulers that a gateway was told of. Clones share them.
#[derive(Clone)]
pub(crate) struct Schedulers {
    shared: Arc<Shared>,
}

struct Shared {
    config: SchedulerConfig,
    peers: Vec<Arc<Peer>>,
    /// Who answered last.
    preferred: AtomicUsize,
    client: Client,
    telemetry: GatewayTelemetry,
    drain: Drain,
    /// Requests in flight that a scheduler has on its account, without full mode.
    tracked: parking_lot::Mutex<std::collections::HashMap<u64, Arc<Tracked>>>,
    /// Requests that have ended, and what they were in truth, for schedulers that asked.
    ended: parking_lot::Mutex<Vec<(Arc<Peer>, ReportEvent)>>,
    next_lease: AtomicU64,
    /// Wakes the reporter.
    news: tokio::sync::Notify,
    /// Releases under way.
    releasing: AtomicUsize,
    /// Requests to place that are under way in batches.
    asking: AtomicUsize,
}

impl Shared {
    /// Whether something is under way to a scheduler.
    fn is_talking(&self) -> bool {
        self.releasing.load(Ordering::Relaxed) + self.asking.load(Ordering::Relaxed) > 0
    }

    /// Posts JSON to a scheduler, with our token, and reads what it answers within `patience`.
    ///
    /// # Errors
    /// Where there is no answer, with the reason.
    async fn post(
        &self,
        peer: &Peer,
        path: &'static str,
        what: &(impl Serialize + Sync + ?Sized),
        patience: Duration,
    ) -> Result<(StatusCode, Bytes), String> {
        // Numbers, texts and lists: this does not fail.
        let body = serde_json::to_vec(what).unwrap_or_default();
        let posting = peer.post(&self.client, self.config.service_token.as_ref(), path, body.into());
        tokio::time::timeout(patience, posting).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }
}

impl Schedulers {
    /// Knows them; talks to nobody yet.
    pub(crate) fn new(config: SchedulerConfig, telemetry: GatewayTelemetry, drain: Drain) -> Self {
        let client = Client::new(ClientConfig {
            connect_timeout: PATIENCE,
            response_timeout: Some(PATIENCE),
            ..ClientConfig::default()
        });
        let peers = config.endpoints.iter().map(|endpoint| Arc::new(Peer::new(endpoint.clone()))).collect();
        let shared = Shared {
            config,
            peers,
            preferred: AtomicUsize::new(0),
            client,
            telemetry,
            drain,
            tracked: parking_lot::Mutex::default(),
            ended: parking_lot::Mutex::default(),
            next_lease: AtomicU64::new(0),
            news: tokio::sync::Notify::new(),
            releasing: AtomicUsize::new(0),
            asking: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether there are any.
    pub(crate) fn any(&self) -> bool {
        !self.shared.peers.is_empty()
    }

    /// Whether prefill and decode instances are asked for one after the other.
    pub(crate) fn separate_stages(&self) -> bool {
        self.shared.config.separate_stages
    }

    /// Keeps a connection to each of them, and reports how requests get on, until the drain is over.
    pub(crate) fn start(&self) {
        for peer in &self.shared.peers {
            self.shared.drain.spawn(keepalive::keep(Arc::clone(&self.shared), Arc::clone(peer)));
            for _ in 0..batch::EXCHANGES {
                self.shared.drain.spawn(batch::carry(Arc::clone(&self.shared), Arc::clone(peer)));
            }
        }
        if self.any() {
            self.shared.drain.spawn(report::run(Arc::clone(&self.shared)));
        }
    }

    /// Asks for a placement. A cluster that is full is waited for, while the slot is left to others.
    ///
    /// # Errors
    /// Where the cluster stayed full, or no scheduler could say anything.
    pub(crate) async fn place(&self, need: &Need<'_>, mut slot: Option<&mut Slot<'_>>) -> Result<Lease, Unplaced> {
        let until = clock::now() + self.shared.config.busy_patience;
        loop {
            match self.ask(need).await {
                Answer::Placed(lease) => return Ok(lease),
                Answer::Nothing => return Err(Unplaced::NotReady),
                Answer::Busy => {}
            }
            let left = Duration::from_nanos(until.nanos_since(clock::now()));
            if left.is_zero() {
                return Err(Unplaced::Busy);
            }
            let pause = tokio::time::sleep(self.shared.config.busy_interval.min(left));
            match &mut slot {
                Some(slot) => slot.aside(pause).await,
                None => pause.await,
            }
        }
    }

    /// Asks one scheduler after the other until one gives an answer.
    async fn ask(&self, need: &Need<'_>) -> Answer {
        let first = self.shared.preferred.load(Ordering::Relaxed);
        let count = self.shared.peers.len();
        for number in (0..count).map(|step| (first + step) % count) {
            let peer = &self.shared.peers[number];
            if !peer.may_be_asked(clock::now()) {
                continue;
            }
            let request = request(need, peer.gateway_id());
            let said = Call::begin(&self.shared, peer, request).await;
            self.shared.telemetry.scheduler_call(SchedulerCall::Schedule, said.outcome());
            if let Some(answer) = said.answer() {
                peer.answered();
                self.shared.preferred.store(number, Ordering::Relaxed);
                return answer;
            }
        }
        Answer::Nothing
    }
}

/// What a scheduler said to a request.
enum Answer {
    Placed(Lease),
    Busy,
    /// It does not know where to, or there is nobody to ask.
    Nothing,
}

fn request(need: &Need<'_>, gateway_id: Option<Arc<String>>) -> SchedulingRequest {
    SchedulingRequest {
        id: need.id.to_owned(),
        model: need.model.to_owned(),
        gateway_id: gateway_id.map_or_else(String::new, |id| String::clone(&id)),
        scheduling_mode: need.mode,
        scheduling_stage: need.stage,
        prompt_num_tokens: need.prompt_tokens,
        prompt_token_ids: need.prompt_ids.to_vec(),
        prompt_text: need.prompt_text.cloned(),
        excluded_instances: need.excluded.clone(),
        ..SchedulingRequest::default()
    }
}
