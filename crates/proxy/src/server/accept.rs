//! The accept loop of a listener, its sweep, and its drain.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::MissedTickBehavior;

use super::Listener;
use super::connection::{self, Accepted, Shared};
use super::registry::{Order, Patience, Registry, Vitals};
use crate::tls::ServerTls;
use crate::{Body, Drain};

/// How long to leave the backlog alone when there are no descriptors for it.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Accepts and serves until the drain has begun and every connection is closed.
pub(super) async fn serve<S, F>(listener: Listener, service: S, drain: Drain)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let Listener { socket, config, egress, .. } = listener;
    let patience = Patience { header: config.header_timeout, idle: config.idle_timeout };
    let upkeep = Upkeep::new(patience, config.tls.clone());
    let shared = Arc::new(Shared {
        service,
        h1: connection::h1_builder(&config),
        h2: connection::h2_builder(&config, drain.tracker().clone()),
        tls: config.tls,
        egress,
    });
    let registry = &upkeep.registry;
    let start = |stream: TcpStream, peer: SocketAddr| {
        let vitals = Arc::new(Vitals::new());
        let ticket = registry.enter(Arc::clone(&vitals));
        let accepted = Accepted { stream, peer, vitals, ticket };
        drain.track(connection::run(Arc::clone(&shared), accepted));
    };
    tokio::select! {
        biased;
        () = drain.begun() => {}
        () = accept(&socket, start) => {}
        () = upkeep.run() => {}
    }
    drop(socket);
    registry.order_all(Order::Drain);
    tokio::select! {
        () = registry.emptied() => {}
        () = drain.cut() => registry.order_all(Order::Cut),
        () = upkeep.run() => {}
    }
}

/// Accepts for ever.
async fn accept(socket: &TcpListener, start: impl Fn(TcpStream, SocketAddr)) {
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                // Fails only on a socket that is dead already.
                let _ = stream.set_nodelay(true);
                start(stream, peer);
            }
            // The connection was gone before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for the moment");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// What a listener does from time to time; dropping it closes its connections.
struct Upkeep {
    registry: Arc<Registry>,
    patience: Patience,
    tls: Option<ServerTls>,
}

impl Upkeep {
    fn new(patience: Patience, tls: Option<ServerTls>) -> Self {
        Self { registry: Arc::default(), patience, tls }
    }

    /// Cuts off slow connections and picks up a changed certificate, for ever.
    async fn run(&self) {
        let mut tick = tokio::time::interval(self.patience.period());
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.registry.sweep(self.patience);
            match self.tls.as_ref().map(ServerTls::reload_if_changed) {
                Some(Ok(true)) => tracing::info!("certificate reloaded"),
                Some(Err(error)) => tracing::warn!(%error, "changed certificate not taken"),
                Some(Ok(false)) | None => {}
            }
        }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.registry.order_all(Order::Cut);
    }
}
