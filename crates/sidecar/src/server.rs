//! The process: listeners for the ranks, one for metrics, the watch over a pool's pods, and the drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coordinator::{Decoder, Patience, Runner, Settings};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use openai::{Api, ApiError, ErrorKind};
use proxy::client::{ClientConfig, TlsPolicy};
use proxy::server::BindError;
use proxy::tls::{ServerTls, TlsError};
use proxy::{Body, Client, Drain, DrainReport, EgressWatch, Listener, ListenerConfig, Target};
use telemetry::Stage;
use telemetry::Telemetry;
use telemetry::clock;
use telemetry::coordinator::Coordinator;

use crate::allow::AllowList;
use crate::config::{Config, Serving, StageTls};
use crate::kubernetes::{self, PodReader, PodsError};
use crate::rank::{Rank, Shared};
use crate::targets::Targets;
use crate::{generate, passthrough};

/// How long the decoder may take to say that it is healthy.
const PROBE: Duration = Duration::from_secs(2);
/// How long requests to the metrics port may take to finish after everything else has.
const METRICS_DRAIN: Duration = Duration::from_secs(1);

/// Why a sidecar does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The Kubernetes API cannot be asked.
    #[error("--inference-pool: {0}")]
    Pool(String),
}

/// A running sidecar. Dropping it does not stop it; [`Running::shutdown`] does.
pub struct Running {
    /// Address of rank 0.
    pub addr: SocketAddr,
    /// Addresses of all ranks, in order.
    pub rank_addrs: Vec<SocketAddr>,
    /// Address of `/metrics`, where it is served.
    pub metrics_addr: Option<SocketAddr>,
    shared: Arc<Shared>,
    metrics_drain: Drain,
}

impl Running {
    /// Becomes unready, stops accepting, lets streams finish for `--drain-timeout`, then cuts off what is left.
    pub async fn shutdown(self) -> DrainReport {
        let report = self.shared.drain.finish(self.shared.config.drain_timeout).await;
        self.metrics_drain.finish(METRICS_DRAIN).await;
        match report.complete {
            true => tracing::info!(took = ?report.took, "drain complete"),
            false => tracing::warn!(took = ?report.took, cut = report.cut, "drain incomplete: requests were cut off"),
        }
        report
    }
}

/// Starts a sidecar: binds every port first, so that it never runs half.
///
/// # Errors
/// When a port is taken, the certificate is unusable, or the Kubernetes API's access is.
pub async fn start(config: Config, telemetry: Arc<Telemetry>) -> Result<Running, StartError> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let pods = pod_reader(&config)?;
    let listeners = bind(&config)?;
    let metrics =
        config.metrics_port.map(|port| Listener::bind(SocketAddr::new(config.host, port), ListenerConfig::default()));
    let metrics = metrics.transpose()?;
    let rank_addrs: Vec<SocketAddr> = listeners.iter().map(Listener::local_addr).collect();
    let shared = Arc::new(share(config, &telemetry, &rank_addrs, pods.is_some()));
    if let Some(reader) = pods {
        shared.drain.spawn(follow_pods(reader, Arc::clone(&shared)));
    }
    for (listener, (_, decoder)) in listeners.into_iter().zip(&shared.decoders) {
        serve_rank(listener, Rank { shared: Arc::clone(&shared), decoder: Arc::clone(decoder) });
    }
    let metrics_drain = Drain::new();
    let metrics_addr = metrics.as_ref().map(Listener::local_addr);
    if let Some(listener) = metrics {
        serve_metrics(listener, telemetry, &shared, &metrics_drain);
    }
    let addr = rank_addrs[0];
    tracing::info!(%addr, ranks = rank_addrs.len(), ?metrics_addr, protocol = %shared.config.protocol, "sidecar listens");
    Ok(Running { addr, rank_addrs, metrics_addr, shared, metrics_drain })
}

fn pod_reader(config: &Config) -> Result<Option<PodReader>, StartError> {
    let Some(pool) = &config.pool else { return Ok(None) };
    let reader = PodReader::new(&pool.access, pool.pool.clone());
    reader.map(Some).map_err(|error| StartError::Pool(error.to_string()))
}

fn bind(config: &Config) -> Result<Vec<Listener>, StartError> {
    let tls = match &config.serving {
        Serving::Plain => None,
        Serving::SelfSigned => Some(ServerTls::self_signed(&["localhost"])?.0),
        Serving::Directory(directory) => Some(ServerTls::from_dir(directory)?),
    };
    let one = |rank: u16| {
        let port = if config.port == 0 { 0 } else { config.port + rank };
        let settings =
            ListenerConfig { tls: tls.clone(), max_buffered_bytes: config.max_buffered, ..ListenerConfig::default() };
        Ok(Listener::bind(SocketAddr::new(config.host, port), settings)?)
    };
    (0..config.ranks).map(one).collect()
}

fn share(config: Config, telemetry: &Telemetry, rank_addrs: &[SocketAddr], wait_for_pods: bool) -> Shared {
    let connector = coordinator::connector(config.protocol);
    let client = Client::new(ClientConfig {
        connect_timeout: config.connect_timeout,
        max_idle_per_host: config.max_idle_per_host,
        ..ClientConfig::default()
    });
    let drain = Drain::new();
    let decoder = |(rank, addr): (u16, &SocketAddr)| {
        let target = decoder_target(config.decoder_port + rank, config.decode_tls);
        let decoder = Decoder { client: client.clone(), target, drain: drain.clone() };
        (addr.port(), Arc::new(decoder))
    };
    let settings = Settings {
        protocol: config.protocol,
        patience: Patience {
            retries: config.prefill_retries,
            backoff: config.prefill_backoff,
            limit: config.prefill_timeout,
            max_body: config.max_body,
        },
        on_prefill_failure: config.on_prefill_failure,
        exact_token_accounting: config.exact_token_accounting,
    };
    let decoders = (0..config.ranks).zip(rank_addrs).map(decoder).collect();
    Shared {
        connector,
        coordinator: Coordinator::with_terms(telemetry, connector, config.clients),
        targets: Targets::new(AllowList::new(config.allow.clone()), config.prefill_tls, config.connect_timeout),
        pods_known: AtomicBool::new(!wait_for_pods),
        runner: Runner::new(settings, client),
        config,
        drain,
        decoders,
    }
}

/// The engine beside us. It is addressed by number: `localhost` may mean `::1`, where engines do not listen.
fn decoder_target(port: u16, tls: StageTls) -> Target {
    let target = Target::from_addr(SocketAddr::from(([127, 0, 0, 1], port)));
    match tls {
        StageTls { enabled: false, .. } => target,
        StageTls { skip_verify: true, .. } => target.with_tls(TlsPolicy::SkipVerify),
        StageTls { .. } => target.with_tls(TlsPolicy::Verify),
    }
}

fn serve_rank(listener: Listener, rank: Rank) {
    let (drain, recorder) = (rank.shared.drain.clone(), rank.shared.coordinator.clone());
    let listener = listener.watch_egress(EgressWatch::new(&drain, move |delay| recorder.egress_delay(delay)));
    let rank = Arc::new(rank);
    let service = move |request| route(Arc::clone(&rank), request);
    drain.spawn(listener.serve(service, drain.clone()));
}

/// Sends a request where it belongs.
async fn route(rank: Arc<Rank>, request: Request<Incoming>) -> Response<Body> {
    let received = clock::now();
    let path = request.uri().path();
    let api = Api::from_path(path).filter(|api| *api != Api::Embeddings && request.method() == Method::POST);
    match (api, path) {
        (Some(api), _) => generate::handle(rank, api, request, received).await,
        (None, "/health") => plain(StatusCode::OK, "ok\n"),
        (None, "/ready") => Box::pin(ready(&rank)).await,
        (None, _) => Box::pin(passthrough::handle(rank, request)).await,
    }
}

/// Ready means that a request would be served now: not draining, the pool's pods known, the decoder healthy.
async fn ready(rank: &Rank) -> Response<Body> {
    let shared = &rank.shared;
    if shared.drain.has_begun() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    if !shared.are_pods_known() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "the pods of the inference pool are not known yet\n");
    }
    let mut request = Request::new(Body::Empty);
    *request.uri_mut() = http::Uri::from_static("/health");
    match tokio::time::timeout(PROBE, rank.decoder.client.send(&rank.decoder.target, request)).await {
        Ok(Ok(response)) if response.status().is_success() => plain(StatusCode::OK, "ready\n"),
        Ok(Ok(_)) => plain(StatusCode::SERVICE_UNAVAILABLE, "the decode node is not healthy\n"),
        Ok(Err(_)) | Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "the decode node does not answer\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Metrics have their own port, since the engine's pass through the other one; and their own drain, so that the last
/// scrape sees the end.
fn serve_metrics(listener: Listener, telemetry: Arc<Telemetry>, shared: &Arc<Shared>, drain: &Drain) {
    let rank = shared
        .decoders
        .first()
        .map(|(_, decoder)| Arc::new(Rank { shared: Arc::clone(shared), decoder: Arc::clone(decoder) }));
    let service = move |request: Request<Incoming>| {
        let telemetry = Arc::clone(&telemetry);
        let rank = rank.clone();
        async move {
            match (request.uri().path(), rank) {
                ("/metrics", _) => telemetry.page(request.headers()).await.map(Body::from),
                ("/health", _) => plain(StatusCode::OK, "ok\n"),
                ("/ready", Some(rank)) => ready(&rank).await,
                ("/in-flight", Some(rank)) => in_flight(&rank),
                _ => coordinator::made(Stage::Receive, &ApiError::new(ErrorKind::NotFound, "there is nothing here")),
            }
        }
    };
    drain.spawn(listener.serve(service, drain.clone()));
}

/// Who has not been answered yet; what an agent beside the engine asks, many times a second.
fn in_flight(rank: &Rank) -> Response<Body> {
    let text = serde_json::json!({ "requests": rank.shared.coordinator.in_flight() }).to_string();
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Keeps the allow-list's pods up to date until the drain begins.
async fn follow_pods(reader: PodReader, shared: Arc<Shared>) {
    let mut failing = false;
    loop {
        match reader.read().await {
            Ok(pods) => {
                if failing {
                    tracing::info!("the pods of the inference pool can be read again");
                }
                failing = false;
                shared.targets.allow().set_pods(pods);
                shared.pods_known.store(true, Ordering::Relaxed);
            }
            Err(error) => failing = note_failure(&shared, &error, failing),
        }
        tokio::select! {
            () = tokio::time::sleep(kubernetes::PERIOD) => {}
            () = shared.drain.begun() => return,
        }
    }
}

/// Counts every failure and logs the first of a row; the pods stay as they were.
fn note_failure(shared: &Shared, error: &PodsError, failing: bool) -> bool {
    shared.coordinator.pool_refresh_failed();
    if !failing {
        tracing::warn!(%error, "the pods of the inference pool cannot be read; the last ones stay allowed");
    }
    true
}
