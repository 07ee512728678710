//! The side channel's server: answers for the leases, rooms and store of one instance.

use super::ANY_ENGINE;
use super::leases::{Leases, Standing};
use super::link::Link;
use super::rooms::{Rooms, Side};
use super::store::{self, Shelf};
use crate::core::hash::{BlockChain, TokenId};
use crate::core::{FinishReason, Spec};
use crate::instance::Instance;
use crate::migrate::Moves;
use crate::observe::{Meta, Recorder};
use http::HeaderMap;
use parking_lot::Mutex;
use proxy::Drain;
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use telemetry::trace::TraceContext;
use tokio::net::{TcpListener, TcpStream};

/// What one instance keeps for others.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// The name by which others know this instance's memory (`remote_engine_id`).
    pub(crate) engine_id: String,
    /// Whose blocks are kept.
    pub(crate) instance: Arc<Instance>,
    /// Blocks that wait to be pulled.
    pub(crate) leases: Mutex<Leases>,
    /// Meetings of prefill and decode.
    pub(crate) rooms: Rooms,
    /// The shared store, where this instance serves it.
    pub(crate) shelf: Shelf,
    /// How long a room waits for its other side.
    pub(crate) room_timeout: Duration,
    /// Tokens per block.
    pub(crate) block_size: u32,
    /// Requests that other instances compute for this one's clients.
    pub(crate) moves: Moves,
    /// Where what happens is recorded.
    pub(crate) recorder: Recorder,
}

/// Answers connections until the drain ends it.
pub(crate) async fn serve(listener: TcpListener, keeper: Arc<Keeper>, drain: Drain) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let keeper = Arc::clone(&keeper);
                drain.spawn(async move {
                    if let Err(error) = keeper.converse(stream).await {
                        tracing::debug!(%error, "side channel");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "side channel: accept");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

impl Keeper {
    async fn converse(&self, stream: TcpStream) -> io::Result<()> {
        let mut link = Link::new(stream);
        while let Some(line) = link.read().await? {
            let line = line.to_owned();
            match line.split_once(' ') {
                Some(("pull", names)) => self.pull(names, &mut link).await?,
                Some(("follow", name)) => return self.moves.follow(name, &mut link).await,
                Some(("free", names)) => self.free(names, &mut link).await?,
                Some(("join", room)) => self.join(room, &mut link).await?,
                Some(("compute", prompt)) => {
                    let answer = self.compute(prompt).await;
                    link.write(&answer).await?;
                }
                Some(("GET", target)) => return self.query(target, &mut link).await,
                Some(("put", hashes)) => link.write(&self.put(hashes)).await?,
                Some(("get", hashes)) => link.write(&self.get(hashes)).await?,
                _ => link.write("no such command").await?,
            }
        }
        Ok(())
    }

    async fn pull(&self, names: &str, link: &mut Link) -> io::Result<()> {
        let Some((name, standing)) = self.find(names) else {
            return link.write("no such engine").await;
        };
        if standing == Standing::Unknown {
            return link.write("no blocks under this name").await;
        }
        link.write("ok").await?;
        // A decoder that dies in the middle leaves the lease to its time-out, as a lost notification does.
        if link.read().await? == Some("done") {
            self.end_lease(name);
        }
        Ok(())
    }

    async fn free(&self, names: &str, link: &mut Link) -> io::Result<()> {
        match self.find(names) {
            Some((name, _)) => {
                self.end_lease(name);
                link.write("ok").await
            }
            None => link.write("no such engine").await,
        }
    }

    /// The request named and what it stands for; None when another engine is meant.
    fn find<'a>(&self, names: &'a str) -> Option<(&'a str, Standing)> {
        let (engine, name) = names.split_once(' ')?;
        (engine == self.engine_id || engine == ANY_ENGINE).then(|| (name, self.leases.lock().standing(name)))
    }

    fn end_lease(&self, name: &str) {
        let pulled = self.leases.lock().pulled(name);
        match pulled {
            Some(id) => {
                self.instance.release(id);
            }
            None => self.recorder.late_notification(),
        }
    }

    /// Mooncake's bootstrap service: which engine serves which rank. It speaks HTTP, on the port where rooms are.
    async fn query(&self, target: &str, link: &mut Link) -> io::Result<()> {
        while link.read().await?.is_some_and(|line| line != "\r") {}
        let (status, body) = match target.split(' ').next() {
            Some("/query") => ("200 OK", json!({"0": {"engine_id": self.engine_id}}).to_string()),
            _ => ("404 Not Found", "{}".to_owned()),
        };
        // The line break after the body belongs to it.
        let length = body.len() + 1;
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n");
        link.write(&format!("{head}content-length: {length}\r\n\r\n{body}")).await
    }

    /// Computes a prompt for a decode instance, and holds it under the request's name.
    async fn compute(&self, prompt: &str) -> String {
        let mut fields = prompt.split(' ');
        let (Some(name), Some(Ok(salt))) = (fields.next(), fields.next().map(str::parse)) else {
            return "no prompt".to_owned();
        };
        let Ok(tokens) = fields.map(str::parse).collect::<Result<Vec<TokenId>, _>>() else {
            return "no tokens".to_owned();
        };
        let mut chain = BlockChain::new(self.block_size, salt);
        chain.extend(tokens);
        let spec = Spec { hold: true, ..Spec::new(chain, salt, 1) };
        let meta = Meta {
            id: name.to_owned(),
            model: String::new(),
            max_tokens: 1,
            n: 1,
            top_p: 1.0,
            parent: TraceContext::extract(&HeaderMap::new()),
            guest: false,
        };
        let mut ticket = self.instance.submit(spec, None, meta);
        match ticket.finished().await.reason {
            FinishReason::Error => "no luck".to_owned(),
            _ => {
                self.leases.lock().grant(name, ticket.id());
                "ok".to_owned()
            }
        }
    }

    async fn join(&self, names: &str, link: &mut Link) -> io::Result<()> {
        let (room, engine) = names.split_once(' ').unwrap_or((names, ANY_ENGINE));
        if engine != ANY_ENGINE && engine != self.engine_id {
            return link.write("no such engine").await;
        }
        let Ok(number) = room.parse() else {
            return link.write("no number").await;
        };
        let Some(mut seat) = self.rooms.enter(number, Side::Decode) else {
            return link.write("no free seat in this room").await;
        };
        let ready = tokio::select! {
            ready = tokio::time::timeout(self.room_timeout, seat.ready()) => ready.is_ok(),
            () = link.closed() => false,
        };
        if ready {
            link.write("ok").await?;
            // Done or gone: the seat is left either way.
            link.read().await?;
        }
        Ok(())
    }

    fn put(&self, hashes: &str) -> String {
        match store::parse_hashes(hashes) {
            Some(hashes) => {
                self.shelf.put(hashes.into_iter());
                "ok".to_owned()
            }
            None => "no hashes".to_owned(),
        }
    }

    fn get(&self, hashes: &str) -> String {
        match store::parse_hashes(hashes) {
            Some(hashes) => format!("hit {}", self.shelf.hits(hashes.into_iter())),
            None => "no hashes".to_owned(),
        }
    }
}
