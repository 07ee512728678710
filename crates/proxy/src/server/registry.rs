//! Every open connection of a listener: how long it has been waiting for what, and how to tell it to stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use telemetry::clock::{self, Moment};
use tokio::sync::Notify;

use crate::io::Traffic;

/// What a connection can be told. Later ones include the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Order {
    /// Carry on.
    Serve = 0,
    /// Finish what is in progress, then close.
    Drain = 1,
    /// Close now.
    Cut = 2,
}

/// One connection's state, shared between its task and the registry.
pub(super) struct Vitals {
    pub(super) traffic: Arc<Traffic>,
    /// Requests in progress, from the end of the head to the end of the response body.
    busy: AtomicU32,
    /// When the current wait began (raw nanoseconds): acceptance, or the end of the last request.
    waiting_since: AtomicU64,
    /// Bytes read by then; more have come when a next request has begun.
    read_by_then: AtomicU64,
    /// No request head has been complete yet.
    fresh: AtomicBool,
    order: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

impl Vitals {
    pub(super) fn new() -> Self {
        Self {
            traffic: Arc::default(),
            busy: AtomicU32::new(0),
            waiting_since: AtomicU64::new(clock::now().as_nanos()),
            read_by_then: AtomicU64::new(0),
            fresh: AtomicBool::new(true),
            order: AtomicU8::new(Order::Serve as u8),
            waker: Mutex::new(None),
        }
    }

    /// A request head is complete.
    pub(super) fn begin(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.fresh.store(false, Ordering::Relaxed);
    }

    /// A response is complete, or given up.
    pub(super) fn end(&self) {
        self.read_by_then.store(self.traffic.read(), Ordering::Relaxed);
        self.waiting_since.store(clock::now().as_nanos(), Ordering::Relaxed);
        self.busy.fetch_sub(1, Ordering::Release);
    }

    /// The latest order.
    pub(super) fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Serve,
            1 => Order::Drain,
            _ => Order::Cut,
        }
    }

    /// Whom an order wakes. The task's waker stays valid for its life, so once is enough.
    pub(super) fn wake_on_order(&self, waker: &Waker) {
        *self.waker.lock() = Some(waker.clone());
    }

    fn give(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::AcqRel);
        if let Some(waker) = self.waker.lock().as_ref() {
            waker.wake_by_ref();
        }
    }
}

/// How long connections may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) header: Duration,
    pub(super) idle: Duration,
}

impl Patience {
    /// How often to look: often enough to be at most a quarter late, at most a hundred times a second.
    pub(super) fn period(self) -> Duration {
        (self.header.min(self.idle) / 4).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }
}

/// The open connections of one listener.
#[derive(Default)]
pub(super) struct Registry {
    open: Mutex<Open>,
    emptied: Notify,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Entry>,
}

struct Entry {
    vitals: Arc<Vitals>,
    /// When a sweep first saw the beginning of an unfinished head after an idle wait.
    head_seen: Option<Moment>,
}

impl Registry {
    /// Takes a connection in until the ticket is dropped.
    pub(super) fn enter(self: &Arc<Self>, vitals: Arc<Vitals>) -> Ticket {
        let mut open = self.open.lock();
        open.next += 1;
        let id = open.next;
        open.connections.insert(id, Entry { vitals, head_seen: None });
        Ticket { registry: Arc::clone(self), id }
    }

    /// Gives every connection an order.
    pub(super) fn order_all(&self, order: Order) {
        for entry in self.open.lock().connections.values() {
            entry.vitals.give(order);
        }
    }

    /// Cuts off the connections that have tried `patience`.
    pub(super) fn sweep(&self, patience: Patience) {
        let now = clock::now();
        for entry in self.open.lock().connections.values_mut() {
            if entry.is_overdue(now, patience) {
                entry.vitals.give(Order::Cut);
            }
        }
    }

    /// Resolves when no connection is open.
    pub(super) async fn emptied(&self) {
        loop {
            let notified = self.emptied.notified();
            if self.open.lock().connections.is_empty() {
                return;
            }
            notified.await;
        }
    }
}

impl Entry {
    /// Whether the connection has waited too long for what it waits for now.
    fn is_overdue(&mut self, now: Moment, patience: Patience) -> bool {
        let vitals = &self.vitals;
        if vitals.busy.load(Ordering::Acquire) > 0 {
            self.head_seen = None;
            return false;
        }
        let since = Moment::from_nanos(vitals.waiting_since.load(Ordering::Relaxed));
        if vitals.fresh.load(Ordering::Relaxed) {
            return now - since >= patience.header;
        }
        if vitals.traffic.read() == vitals.read_by_then.load(Ordering::Relaxed) {
            self.head_seen = None;
            return now - since >= patience.idle;
        }
        now - *self.head_seen.get_or_insert(now) >= patience.header
    }
}

/// A connection's place in the registry.
pub(super) struct Ticket {
    registry: Arc<Registry>,
    id: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut open = self.registry.open.lock();
        open.connections.remove(&self.id);
        if open.connections.is_empty() {
            self.registry.emptied.notify_waiters();
        }
    }
}
