//! A running instance: the core, its step loop in real time, and the requests that wait for it.

mod driver;
mod leaving;
mod mailbox;
mod outbox;
mod recent;
mod timer;

pub use timer::Clockwork;

pub(crate) use driver::{Observer, Transfer, run};
pub(crate) use leaving::{Away, Leaving};
pub(crate) use mailbox::Progress;
pub(crate) use timer::Timer;

use crate::core::{Config, Core, Departure, External, Load, RequestId, Spec, State, Summary, Totals};
use crate::kv::Source;
use crate::observe::Meta;
use mailbox::Mailbox;
use outbox::Outbox;
use parking_lot::Mutex;
use recent::Recent;
use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use telemetry::clock::{self, Moment};
use tokio::sync::{Notify, oneshot};

/// The core and what surrounds it. Shared by the step loop, the connections and the side channel.
#[derive(Debug)]
pub(crate) struct Instance {
    inner: Mutex<Inner>,
    /// Something may have become possible.
    wake: Notify,
    /// The load is another.
    changes: Arc<Notify>,
    /// Where tokens wait for their turn to leave.
    outbox: Outbox,
    started: Moment,
    clockwork: Clockwork,
}

#[derive(Debug)]
struct Inner {
    core: Core,
    requests: HashMap<RequestId, Request>,
    last_id: RequestId,
    /// Kept once somebody wants to know.
    recent: Option<Recent>,
}

/// An instance's load and the requests behind it, at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) load: Load,
    /// Names of requests that wait.
    pub(crate) waiting: Vec<String>,
    /// Names of requests that came lately.
    pub(crate) recent: Vec<String>,
}

/// A request that has not ended.
#[derive(Debug)]
struct Request {
    mailbox: Mailbox,
    /// Where its KV comes from; taken when the fetch starts.
    source: Option<Source>,
    /// What its span and metrics say of it.
    meta: Meta,
    /// Who waits for it to leave.
    leaving: Option<oneshot::Sender<Departure>>,
}

impl Instance {
    /// An idle instance; `output_cost` is what the API server spends on each output of a step.
    pub(crate) fn new(config: Config, clockwork: Clockwork, output_cost: Duration) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner { core: Core::new(config), requests: HashMap::new(), last_id: 0, recent: None }),
            wake: Notify::new(),
            changes: Arc::new(Notify::new()),
            outbox: Outbox::new(output_cost),
            started: clock::now(),
            clockwork,
        })
    }

    /// Queues a request whose KV, where `spec` says so, comes from `source`.
    pub(crate) fn submit(self: &Arc<Self>, spec: Spec, source: Option<Source>, meta: Meta) -> Ticket {
        debug_assert_eq!(source.is_some(), spec.external != External::None);
        let now = self.now();
        let mailbox = Mailbox::default();
        let mut inner = self.inner.lock();
        inner.last_id += 1;
        let id = inner.last_id;
        inner.core.add(id, spec, now);
        if let Some(recent) = &mut inner.recent {
            recent.add(now, meta.id.clone());
        }
        inner.requests.insert(id, Request { mailbox: mailbox.clone(), source, meta, leaving: None });
        drop(inner);
        self.wake.notify_one();
        self.changes.notify_one();
        Ticket { instance: Arc::clone(self), id, mailbox, seen: Progress::default() }
    }

    /// Frees what a finished request holds for another instance.
    pub(crate) fn release(&self, id: RequestId) -> bool {
        let released = self.inner.lock().core.release(id);
        if released {
            self.wake.notify_one();
            self.changes.notify_one();
        }
        released
    }

    /// Block ids held by a finished request.
    pub(crate) fn held(&self, id: RequestId) -> Option<Vec<u32>> {
        self.inner.lock().core.held(id).map(<[u32]>::to_vec)
    }

    /// What the core holds now.
    pub(crate) fn state(&self) -> State {
        self.inner.lock().core.state()
    }

    /// Whether a request of this size can ever be computed here.
    pub(crate) fn fits(&self, prompt_tokens: u32, max_tokens: u32) -> bool {
        self.inner.lock().core.fits(prompt_tokens, max_tokens)
    }

    /// Notified whenever the load may be another.
    pub(crate) const fn changes(&self) -> &Arc<Notify> {
        &self.changes
    }

    /// Makes [`Instance::snapshot`] tell of requests that came and were admitted since it was last taken.
    pub(crate) fn remember_recent(&self) {
        self.inner.lock().recent.get_or_insert_default();
    }

    /// What everything weighs now, and the names of requests that wait or came lately.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let now = self.now();
        let mut inner = self.inner.lock();
        let load = inner.core.load();
        let waiting = load.waiting_ids.iter().filter_map(|id| Some(inner.requests.get(id)?.meta.id.clone())).collect();
        let recent = inner.recent.as_mut().map(|recent| recent.names(now)).unwrap_or_default();
        Snapshot { load, waiting, recent }
    }

    /// The core's running totals.
    pub(crate) fn totals(&self) -> Totals {
        *self.inner.lock().core.totals()
    }

    /// Forgets cached prefixes.
    pub(crate) fn reset_prefix_cache(&self) {
        self.inner.lock().core.reset_prefix_cache();
    }

    /// A timer of the kind this instance uses.
    pub(crate) fn timer(&self) -> Timer {
        Timer::new(self.clockwork)
    }

    /// The point on the process's clock that the core calls `at`.
    pub(crate) fn moment(&self, at: Duration) -> Moment {
        self.started + at
    }

    fn now(&self) -> Duration {
        clock::now() - self.started
    }

    fn abort(&self, id: RequestId) {
        let now = self.now();
        let mut inner = self.inner.lock();
        inner.core.abort(id, now);
        // It may have ended in the meantime. What it holds then nobody has been told of, so nobody can fetch it.
        inner.core.release(id);
        drop(inner);
        self.wake.notify_one();
        self.changes.notify_one();
    }
}

/// A request's place in the instance. Dropping it before the end gives the request up.
#[derive(Debug)]
pub(crate) struct Ticket {
    instance: Arc<Instance>,
    id: RequestId,
    mailbox: Mailbox,
    seen: Progress,
}

impl Ticket {
    /// The request's id within the core.
    pub(crate) const fn id(&self) -> RequestId {
        self.id
    }

    /// The account, once the end has been seen.
    pub(crate) const fn summary(&self) -> Option<&Summary> {
        self.seen.finished.as_ref()
    }

    /// Progress past what was seen before.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Progress> {
        if self.seen.finished.is_some() {
            return Poll::Ready(self.seen);
        }
        let progress = self.mailbox.poll_past(self.seen.tokens, cx);
        if let Poll::Ready(progress) = progress {
            self.seen = progress;
        }
        progress
    }

    /// The end.
    pub(crate) async fn finished(&mut self) -> Summary {
        loop {
            let progress = std::future::poll_fn(|cx| self.poll(cx)).await;
            if let Some(summary) = progress.finished {
                return summary;
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.seen.finished.is_none() {
            self.instance.abort(self.id);
        }
    }
}

#[cfg(test)]
mod tests;
