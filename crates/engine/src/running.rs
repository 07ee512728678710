//! Starting and stopping an instance.

use crate::config::Config;
use crate::engine::{Engine, Watch};
use crate::fault::Faults;
use crate::http;
use crate::instance::{self, Instance};
use crate::kv::leases::Leases;
use crate::kv::rooms::Rooms;
use crate::kv::server::{self, Keeper};
use crate::kv::store::{Shelf, Store};
use crate::migrate::Moves;
use crate::observe::Recorder;
use crate::publish;
use cluster::Publication;
use parking_lot::Mutex;
use proxy::{Client, ClientConfig, Drain, DrainReport, Listener, ListenerConfig};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use telemetry::Telemetry;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Why an instance did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The HTTP port could not be had.
    #[error(transparent)]
    Http(#[from] proxy::server::BindError),
    /// A port of the side channel could not be had.
    #[error("cannot listen on {addr} for {what}: {source}")]
    Side {
        /// Which one.
        what: &'static str,
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A running instance. Dropping it leaves it running until its runtime ends; [`Running::shutdown`] stops it.
#[derive(Debug)]
pub struct Running {
    /// Where it serves HTTP.
    pub addr: SocketAddr,
    /// `/metrics` has no port of its own: it is on `addr`, as on a real engine.
    pub metrics_addr: Option<SocketAddr>,
    /// The NIXL side channel, which is also where a shared store is served.
    pub side_channel_addr: SocketAddr,
    /// The SGLang bootstrap server.
    pub bootstrap_addr: SocketAddr,
    engine: Arc<Engine>,
    connections: Drain,
    publishing: Drain,
}

/// Starts an instance: binds every port, then serves.
///
/// # Errors
/// When a port cannot be had.
pub async fn start(config: Config, telemetry: Arc<Telemetry>) -> Result<Running, StartError> {
    let http = Listener::bind(config.listen, ListenerConfig::default())?;
    let addr = http.local_addr();
    let side = bind("the side channel", addr, config.side_channel_port).await?;
    let bootstrap = bind("the bootstrap server", addr, config.bootstrap_port).await?;
    let (refuse, refusals) = mpsc::channel(1);
    let engine = build(config, &telemetry, (side.1, bootstrap.1), refuse);
    let connections = Drain::new();
    let background = &engine.background;
    background.spawn(instance::run(Arc::clone(&engine.instance), Watch(Arc::clone(&engine))));
    for (listener, _) in [side, bootstrap] {
        background.spawn(server::serve(listener, Arc::clone(&engine.keeper), background.clone()));
    }
    background.spawn(serve(http, Arc::clone(&engine), connections.clone(), refusals));
    let running = Running {
        addr,
        metrics_addr: None,
        side_channel_addr: engine.side_channel,
        bootstrap_addr: engine.bootstrap,
        engine,
        connections,
        publishing: Drain::new(),
    };
    if let Some(publication) = running.engine.config.publication.clone() {
        running.publish(publication);
    }
    Ok(running)
}

/// How long taking the records away may take, at the end.
const WITHDRAWAL: Duration = Duration::from_secs(2);

impl Running {
    /// Tells a CMS and discovery of the instance, until it is shut down. What the configuration says of this is done at the
    /// start; this is for whoever learns only later where requests are to be sent.
    pub fn publish(&self, publication: Publication) {
        let own = (self.addr.ip().to_string(), self.addr.port());
        publish::start(publication, &self.engine, own, &self.publishing);
    }

    /// Takes back what was published, stops accepting, lets running requests end for as long as the configuration says, and ends everything else.
    pub async fn shutdown(self) -> DrainReport {
        // First, so that nobody sends anything more.
        self.publishing.finish(WITHDRAWAL).await;
        let report = self.connections.finish(self.engine.config.drain_timeout).await;
        self.engine.background.finish(Duration::ZERO).await;
        report
    }
}

fn build(
    config: Config,
    telemetry: &Arc<Telemetry>,
    (side_channel, bootstrap): (SocketAddr, SocketAddr),
    refuse: mpsc::Sender<Duration>,
) -> Arc<Engine> {
    let instance = Instance::new(config.core.clone(), config.clockwork, config.output_cost);
    let recorder = Recorder::new(telemetry, &config, &instance);
    let keeper = Arc::new(Keeper {
        engine_id: config.engine_id.clone(),
        instance: Arc::clone(&instance),
        leases: Mutex::new(Leases::default()),
        rooms: Rooms::default(),
        shelf: Shelf::new(config.shared_store_blocks),
        room_timeout: config.room_timeout,
        block_size: config.core.block_size,
        moves: Moves::default(),
        recorder: recorder.clone(),
    });
    let started = telemetry::clock::now();
    Arc::new(Engine {
        store: store(&config, side_channel),
        faults: Faults::new(config.core.seed),
        ready_at: started + config.startup,
        background: Drain::new(),
        config,
        instance,
        keeper,
        recorder,
        side_channel,
        bootstrap,
        started,
        cordon: Mutex::new(None),
        client: Client::new(ClientConfig::default()),
        refuse,
    })
}

fn store(config: &Config, side_channel: SocketAddr) -> Option<Store> {
    if !config.connectors.contains(&crate::Connector::Lmcache) {
        return None;
    }
    let address = match config.shared_store.as_deref()? {
        "self" => side_channel.to_string(),
        elsewhere => elsewhere.to_owned(),
    };
    Some(Store::new(address))
}

async fn bind(what: &'static str, http: SocketAddr, port: u16) -> Result<(TcpListener, SocketAddr), StartError> {
    let addr = SocketAddr::new(http.ip(), port);
    let failed = |source| StartError::Side { what, addr, source };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((listener, addr))
}

/// Serves HTTP until `drain` begins, with a pause in listening whenever one is asked for.
async fn serve(mut listener: Listener, engine: Arc<Engine>, drain: Drain, mut refusals: mpsc::Receiver<Duration>) {
    let addr = listener.local_addr();
    loop {
        // A listener ends with its drain, so each round of listening has one of its own.
        let round = Drain::new();
        let serving = drain.spawn(serve_round(listener, Arc::clone(&engine), round.clone(), drain.clone()));
        let Some(pause) = refusals.recv().await else { return };
        round.begin();
        tokio::time::sleep(pause).await;
        listener = match Listener::bind(addr, ListenerConfig::default()) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "cannot listen again"),
        };
        drop(serving);
    }
}

/// Serves until either drain begins.
async fn serve_round(listener: Listener, engine: Arc<Engine>, round: Drain, drain: Drain) {
    let service = move |request| http::handle(Arc::clone(&engine), request);
    let mut serving = std::pin::pin!(listener.serve(service, round.clone()));
    tokio::select! {
        () = &mut serving => return,
        () = drain.begun() => round.begin(),
    }
    serving.await;
}
