//! The WebSocket by which a scheduler knows that we live, and which name it knows us by: our end of that connection.
//!
//! The scheduler pings every three seconds and is answered by the library; a scheduler that has not been heard for longer
//! than two pings is taken for gone, and the connection is made anew.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cluster::api::{Endpoint, TAKES_BATCHES};
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::AUTHORIZATION;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::Shared;
use super::peer::Peer;

/// How long a scheduler may take to connect, and to greet.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pings come every three seconds; two may be missed.
const SILENCE: Duration = Duration::from_secs(9);
/// The shortest and the longest pause before another try.
const PAUSE: (f64, f64) = (1.0, 3.0);

type Socket = WebSocketStream<TcpStream>;

/// Keeps a connection to `peer` as long as there are requests.
pub(super) async fn keep(shared: Arc<Shared>, peer: Arc<Peer>) {
    tokio::select! {
        () = over(&shared) => {}
        () = keep_for_ever(&shared, &peer) => {}
    }
    peer.disconnected();
}

/// Resolves when the drain has begun and no scheduler has a request of ours on its account any more, nor is being asked:
/// until then they must not take us for dead.
pub(super) async fn over(shared: &Shared) {
    shared.drain.begun().await;
    while !shared.tracked.lock().is_empty() || shared.is_talking() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn keep_for_ever(shared: &Shared, peer: &Peer) {
    loop {
        let why = match connect(shared, peer).await {
            Ok(Greeted { mut socket, gateway_id, takes_batches }) => {
                tracing::info!(scheduler = %peer.endpoint, gateway_id, "known to the scheduler");
                peer.connected(gateway_id, takes_batches);
                let why = listen(&mut socket).await;
                peer.disconnected();
                why
            }
            Err(error) => error.to_string(),
        };
        tracing::debug!(scheduler = %peer.endpoint, why, "no keepalive connection");
        let (least, most) = PAUSE;
        tokio::time::sleep(Duration::from_secs_f64(least + (most - least) * rand::random::<f64>())).await;
    }
}

fn late() -> Error {
    Error::Io(io::ErrorKind::TimedOut.into())
}

/// A connection on which both sides know each other.
struct Greeted {
    socket: Socket,
    /// The name that we have from now on.
    gateway_id: String,
    takes_batches: bool,
}

/// Connects and says who we are.
async fn connect(shared: &Shared, peer: &Peer) -> Result<Greeted, Error> {
    let target = peer.endpoint.target();
    let connecting = TcpStream::connect((target.host(), target.port()));
    let stream = timeout(PATIENCE, connecting).await.map_err(|_| late())??;
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let mut request = format!("ws://{}/keepalive", peer.endpoint).into_client_request()?;
    if let Some(token) = &shared.config.service_token {
        request.headers_mut().insert(AUTHORIZATION, token.clone());
    }
    let (mut socket, answer) = timeout(PATIENCE, client_async(request, stream)).await.map_err(|_| late())??;
    let us = Endpoint { host: local.ip().to_string(), port: local.port() };
    let greeting = serde_json::to_string(&us).unwrap_or_default();
    socket.send(Message::text(greeting)).await?;
    match timeout(PATIENCE, socket.next()).await.map_err(|_| late())? {
        Some(Ok(Message::Text(said))) if said.as_str() == "ok" => Ok(Greeted {
            socket,
            gateway_id: us.to_string(),
            takes_batches: answer.headers().contains_key(TAKES_BATCHES),
        }),
        Some(Ok(other)) => Err(Error::Io(io::Error::other(format!("it answered {other:?} instead of ok")))),
        Some(Err(error)) => Err(error),
        None => Err(Error::ConnectionClosed),
    }
}

/// Listens until the connection ends, and says why.
async fn listen(socket: &mut Socket) -> String {
    loop {
        match timeout(SILENCE, socket.next()).await {
            Ok(Some(Ok(_))) => {
                // The answer to a ping waits for the next write.
                if let Err(error) = socket.flush().await {
                    return error.to_string();
                }
            }
            Ok(Some(Err(error))) => return error.to_string(),
            Ok(None) => return "the scheduler closed it".to_owned(),
            Err(_) => return "the scheduler is silent".to_owned(),
        }
    }
}
