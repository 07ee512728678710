//! `/keepalive`: a WebSocket by which a gateway shows that it lives.
//!
//! The gateway sends its own end of the connection as JSON, and is answered `ok`; that end, as `host:port`, is its id. It is
//! pinged every three seconds and given up after two pings without an answer. When its last connection ends, in whatever
//! way, its requests are taken off the account.

use std::sync::Arc;
use std::time::Duration;

use cluster::api::{Endpoint, TAKES_BATCHES};
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use proxy::Body;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::answer;
use crate::state::State;

/// How often a gateway is pinged.
const PING: Duration = Duration::from_secs(3);

/// Pings in a row that may go unanswered.
const MISSED: u32 = 2;

/// How long a gateway may take to say who it is.
const GREETING: Duration = Duration::from_secs(10);

/// Longest message that a gateway may send.
const MAX_MESSAGE: usize = 4096;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Answers the upgrade, and leaves the connection to a task of its own.
pub(crate) fn accept(state: &Arc<State>, mut request: Request<Incoming>) -> Response<Body> {
    if !state.leadership.leads() {
        return answer::not_leading(state);
    }
    let Some(accept) = accept_key(request.headers()) else {
        let mut response = answer::text(StatusCode::UPGRADE_REQUIRED, "this path speaks WebSocket, version 13");
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        return response;
    };
    let upgrade = hyper::upgrade::on(&mut request);
    state.drain.spawn(run(Arc::clone(state), upgrade));
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    headers.insert(TAKES_BATCHES, HeaderValue::from_static("1"));
    response
}

/// The answer to the client's key, where it asks for a WebSocket.
fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let has = |name, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    let asks = has(UPGRADE, "websocket") && has(CONNECTION, "upgrade") && has(SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| asks)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

async fn run(state: Arc<State>, upgrade: OnUpgrade) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "keepalive connection not upgraded"),
    };
    let limits = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(limits)).await;
    match greet(&mut socket).await {
        Ok(Some(gateway)) => {
            let connected = Connected::new(&state, gateway);
            let why = tokio::select! {
                why = attend(&mut socket) => why,
                () = state.drain.begun() => "the scheduler stops".to_owned(),
                () = state.leadership.lost() => "another scheduler leads".to_owned(),
            };
            connected.end(&why);
        }
        Ok(None) => tracing::info!("a keepalive connection did not say whose it is"),
        Err(error) => tracing::debug!(%error, "keepalive connection ended before its greeting"),
    }
    // Closing is a courtesy; the other end may be gone.
    let _ = timeout(PING, socket.close(None)).await;
}

/// Learns who the gateway is.
async fn greet(socket: &mut Socket) -> Result<Option<Arc<str>>, Error> {
    let Ok(Some(first)) = timeout(GREETING, socket.next()).await else {
        return Ok(None);
    };
    let Message::Text(text) = first? else {
        return Ok(None);
    };
    let Ok(endpoint) = serde_json::from_str::<Endpoint>(&text) else {
        socket.send(Message::text(r#"expected {"host": ..., "port": ...}"#)).await?;
        return Ok(None);
    };
    socket.send(Message::text("ok")).await?;
    Ok(Some(endpoint.to_string().into()))
}

/// Pings until there is no answer; says how it ended.
async fn attend(socket: &mut Socket) -> String {
    let mut tick = interval(PING);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        tokio::select! {
            message = socket.next() => match message {
                None | Some(Ok(Message::Close(_))) => return "it closed the connection".to_owned(),
                Some(Err(error)) => return format!("its connection broke: {error}"),
                // Whatever it says, it lives.
                Some(Ok(_)) => unanswered = 0,
            },
            _ = tick.tick() => {
                if unanswered >= MISSED {
                    return format!("it did not answer {MISSED} pings");
                }
                unanswered += 1;
                match timeout(PING, socket.send(Message::Ping(Default::default()))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return format!("its connection broke: {error}"),
                    Err(_) => return "it takes nothing any more".to_owned(),
                }
            }
        }
    }
}

/// A gateway for as long as its connection lives. Its requests go when this does, also when the task is cut off.
struct Connected<'a> {
    state: &'a State,
    gateway: Arc<str>,
}

impl<'a> Connected<'a> {
    fn new(state: &'a State, gateway: Arc<str>) -> Self {
        tracing::info!(%gateway, "gateway connected");
        state.recorder.gateways(state.gateways.enter(&gateway));
        Self { state, gateway }
    }

    fn end(self, why: &str) {
        tracing::info!(gateway = %self.gateway, why, "gateway lost");
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        let (last, left) = self.state.gateways.leave(&self.gateway);
        self.state.recorder.gateways(left);
        if last {
            self.state.recorder.reclaimed(self.state.lrs.lose_gateway(&self.gateway));
        }
    }
}
