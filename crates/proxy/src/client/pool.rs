//! Idle connections, per host.
//!
//! Last in, first out: under a falling load the same few connections stay warm and the rest reach their idle time-out. The
//! time-out is shorter than any engine's (uvicorn closes after 5 s), so it is normally we who close, and the race
//! "closed by the server while we were sending" stays rare. Where it happens nevertheless, [`super::Client::send`] retries.

use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2;
use parking_lot::Mutex;
use telemetry::clock::{self, Moment};

use super::h1;
use super::target::{Key, Target};
use crate::Body;

/// One upstream's connections.
pub(super) struct Host {
    /// Which client's pool this belongs to.
    pub(super) client: u64,
    pub(super) key: Key,
    limits: Limits,
    idle: Mutex<Vec<Idle>>,
    shared: Mutex<Option<http2::SendRequest<Body>>>,
}

/// How many connections wait, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_idle: usize,
    pub(super) idle_timeout: Duration,
}

struct Idle {
    conn: Box<h1::Conn>,
    since: Moment,
}

impl Host {
    pub(super) fn new(client: u64, target: &Target, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            client,
            key: target.key().clone(),
            limits,
            idle: Mutex::new(Vec::new()),
            shared: Mutex::new(None),
        })
    }

    /// The most recently used connection that is still open.
    pub(super) fn checkout(&self) -> Option<Box<h1::Conn>> {
        loop {
            let Idle { mut conn, since } = self.idle.lock().pop()?;
            if clock::now() - since >= self.limits.idle_timeout {
                // All below it have waited longer.
                self.clear();
                return None;
            }
            if conn.is_reusable() {
                return Some(conn);
            }
        }
    }

    /// Takes a connection back, unless there are enough.
    pub(super) fn park(&self, conn: Box<h1::Conn>) {
        let idle = Idle { conn, since: clock::now() };
        let mut list = self.idle.lock();
        if list.len() < self.limits.max_idle {
            list.push(idle);
        }
    }

    /// Closes every idle connection: one of them was found closed by the other side, and the rest are its siblings.
    pub(super) fn clear(&self) {
        let dropped = std::mem::take(&mut *self.idle.lock());
        drop(dropped);
    }

    /// Closes what has waited too long or was closed by the other side; how many are left.
    pub(super) fn reap(&self) -> usize {
        let now = clock::now();
        let mut list = self.idle.lock();
        list.retain_mut(|idle| now - idle.since < self.limits.idle_timeout && idle.conn.is_reusable());
        list.len()
    }

    /// Idle connections now.
    pub(super) fn idle(&self) -> usize {
        self.idle.lock().len()
    }

    /// The HTTP/2 connection, where one is open.
    pub(super) fn shared(&self) -> Option<http2::SendRequest<Body>> {
        let mut shared = self.shared.lock();
        if shared.as_ref().is_some_and(http2::SendRequest::is_closed) {
            *shared = None;
        }
        shared.clone()
    }

    /// Makes `sender` the HTTP/2 connection of this host.
    pub(super) fn share(&self, sender: http2::SendRequest<Body>) {
        *self.shared.lock() = Some(sender);
    }

    /// Forgets the HTTP/2 connection.
    pub(super) fn unshare(&self) {
        *self.shared.lock() = None;
    }
}
