//! Requests that leave the instance, and news of those that have left.

use super::{Inner, Instance};
use crate::core::{Amount, Departure, FinishReason, Order, RequestId};
use crate::observe::Meta;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A request that is to leave.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) id: RequestId,
    pub(crate) meta: Meta,
    /// Resolves when it has left; fails when it ended before.
    pub(crate) left: oneshot::Receiver<Departure>,
}

/// A request that is away. Dropped before the request has [ended](Away::end), it brings the request back.
#[derive(Debug)]
pub(crate) struct Away {
    instance: Arc<Instance>,
    id: RequestId,
    settled: bool,
}

impl Away {
    pub(crate) const fn new(instance: Arc<Instance>, id: RequestId) -> Self {
        Self { instance, id, settled: false }
    }

    /// It has got so many tokens. False when nobody waits for it any more.
    pub(crate) fn relay(&self, tokens: u32) -> bool {
        let now = self.instance.now();
        let waits = self.instance.inner.lock().core.relay(self.id, tokens, now);
        self.instance.wake.notify_one();
        waits
    }

    /// It has ended there.
    pub(crate) fn end(mut self, reason: FinishReason) {
        self.settled = true;
        let now = self.instance.now();
        self.instance.inner.lock().core.relay_end(self.id, reason, now);
        self.instance.wake.notify_one();
        self.instance.changes.notify_one();
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        if !self.settled {
            self.instance.inner.lock().core.come_back(self.id);
            self.instance.wake.notify_one();
            self.instance.changes.notify_one();
        }
    }
}

impl Instance {
    /// Has `amount` of the requests leave, in this order, once the step under way has ended.
    pub(crate) fn leave(&self, order: Order, amount: Amount) -> Vec<Leaving> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let mut leaving = Vec::new();
        for id in inner.core.choose(order, amount) {
            let Some(request) = inner.requests.get_mut(&id) else { continue };
            let (sender, left) = oneshot::channel();
            request.leaving = Some(sender);
            leaving.push(Leaving { id, meta: request.meta.clone(), left });
            inner.core.leave(id);
        }
        self.wake.notify_one();
        leaving
    }
}

impl Inner {
    /// Hands over who has left; whom nobody expects any more comes back.
    pub(super) fn depart(&mut self) {
        for (id, departure) in self.core.take_departures() {
            let expected = self.requests.get_mut(&id).and_then(|request| request.leaving.take());
            if expected.is_none_or(|expected| expected.send(departure).is_err()) {
                self.core.come_back(id);
            }
        }
    }
}
