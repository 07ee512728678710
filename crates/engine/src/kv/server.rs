//! The side channel's server: answers for the leases, rooms and store of one instance.

use super::leases::{Leases, Standing};
use super::link::Link;
use super::rooms::{Rooms, Side};
use super::store::{self, Shelf};
use crate::instance::Instance;
use crate::observe::Recorder;
use parking_lot::Mutex;
use proxy::Drain;
use std::io;
use std::sync::Arc;
use std::time::Duration;
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
                Some(("free", names)) => self.free(names, &mut link).await?,
                Some(("join", room)) => self.join(room, &mut link).await?,
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
        (engine == self.engine_id).then(|| (name, self.leases.lock().standing(name)))
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

    async fn join(&self, room: &str, link: &mut Link) -> io::Result<()> {
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
