//! What all requests of a gateway share.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use cluster::discovery::Discovery;
use http::HeaderValue;
use proxy::Drain;
use proxy::client::{Client, ClientConfig};
use telemetry::Telemetry;
use telemetry::gateway::{Connections, Gateway as GatewayTelemetry};

use crate::access::Access;
use crate::admission::Admission;
use crate::config::{Config, Effective, QueueConfig, Secret};
use crate::cors::Cors;
use crate::disagg::{Disagg, DisaggConfig};
use crate::endpoints::CurrentRoster;
use crate::limits::{Limits, LimitsConfig};
use crate::mirror::Mirror;
use crate::models::Models;
use crate::retry::RetryConfig;
use crate::routing::RoundRobin;
use crate::scheduler::Schedulers;
use crate::tokens::Tokens;
use crate::traffic::Traffic;

/// The shared parts, each of which is its own lock or needs none.
pub(crate) struct State {
    pub(crate) roster: CurrentRoster,
    /// What keeps the roster current, where something does.
    pub(crate) discovery: ArcSwapOption<Discovery>,
    pub(crate) robin: RoundRobin,
    pub(crate) schedulers: Schedulers,
    pub(crate) client: Client,
    pub(crate) models: Arc<Models>,
    pub(crate) telemetry: GatewayTelemetry,
    pub(crate) process: Arc<Telemetry>,
    pub(crate) drain: Drain,
    pub(crate) effective: Vec<Effective>,
    pub(crate) access: Access,
    pub(crate) cors: Cors,
    pub(crate) tokens: Tokens,
    pub(crate) max_body_bytes: usize,
    pub(crate) exact_token_accounting: bool,
    pub(crate) stream_idle: Duration,
    pub(crate) retry: RetryConfig,
    pub(crate) admission: Admission,
    pub(crate) queue: QueueConfig,
    /// What models and keys may use, where that is limited.
    pub(crate) limits: Option<Limits>,
    pub(crate) traffic: Traffic,
    pub(crate) disagg: Option<Disagg>,
    pub(crate) mirror: Option<Arc<Mirror>>,
    pub(crate) injected_routing_delay: Option<Duration>,
}

impl State {
    pub(crate) fn new(config: &Config, process: Arc<Telemetry>, drain: Drain) -> Self {
        let client = Client::new(ClientConfig {
            connect_timeout: config.timeouts.connect,
            response_timeout: Some(config.timeouts.response_header),
            ..ClientConfig::default()
        });
        let telemetry = GatewayTelemetry::with_terms(&process, [], config.clients);
        let upstream = client.clone();
        telemetry.watch_connections(move || {
            let stats = upstream.stats();
            Connections { idle: stats.idle, active: stats.open.saturating_sub(stats.idle) }
        });
        let key = config.engine_api_key.as_ref().and_then(bearer);
        let roster: CurrentRoster = Arc::new(ArcSwap::default());
        let disagg =
            |config: DisaggConfig| Disagg::new(config.0, client.clone(), &process, drain.clone(), Arc::clone(&roster));
        let disagg = config.disagg.map(disagg);
        let mirror = config.mirror.as_ref();
        let mirror = mirror.map(|mirror| Mirror::new(mirror, client.clone(), telemetry.clone(), drain.clone()));
        Self {
            robin: RoundRobin::default(),
            schedulers: Schedulers::new(config.scheduler.clone(), telemetry.clone(), drain.clone()),
            models: Arc::new(Models::new(client.clone(), Arc::clone(&roster), key.clone(), telemetry.clone())),
            roster,
            discovery: ArcSwapOption::empty(),
            client,
            telemetry,
            process,
            drain,
            effective: config.effective().to_vec(),
            access: Access::new(config.access.keys.clone(), key),
            cors: config.access.cors.clone(),
            tokens: config.tokens.counter(),
            max_body_bytes: config.max_body_bytes,
            exact_token_accounting: config.exact_token_accounting,
            stream_idle: config.timeouts.stream_idle,
            retry: config.retry,
            admission: Admission::new(config.queue.slots, config.queue.places),
            queue: config.queue,
            limits: config.access.limits.as_ref().map(LimitsConfig::limits),
            traffic: Traffic::new(&config.traffic),
            disagg,
            mirror,
            injected_routing_delay: config.injected_routing_delay,
        }
    }
}

impl State {
    /// Whether the gateway itself runs the legs of requests that are split.
    pub(crate) fn runs_legs(&self) -> bool {
        self.disagg.is_some()
    }
}

fn bearer(key: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.reveal())).ok()?;
    value.set_sensitive(true);
    Some(value)
}
