//! The step loop in real time.
//!
//! One task advances the core. A step that was due to end at some instant is followed by one that starts at that same
//! instant, however late the task was woken (up to [`CATCH_UP`]): wake-up latency does not add up over a long answer, so
//! tokens come at the pace that the latency model says.

use super::outbox::Outbox;
use super::{Instance, Progress};
use crate::core::{Fetch, Output, RequestId, Step, Summary};
use crate::kv::Source;
use crate::observe::Meta;
use parking_lot::MutexGuard;
use std::future::pending;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use telemetry::clock::Moment;

/// A step starts when the one before was to end, unless that is longer ago than this: then the machine is overloaded,
/// and pretending otherwise would bunch tokens together.
const CATCH_UP: Duration = Duration::from_millis(1);

/// KV to bring in.
#[derive(Debug)]
pub(crate) struct Transfer {
    /// For which request; answered with [`Instance::fetched`].
    pub(crate) id: RequestId,
    /// From where.
    pub(crate) source: Source,
    /// How many blocks.
    pub(crate) blocks: u32,
    /// How long moving them takes.
    pub(crate) duration: Duration,
}

/// What the step loop tells whoever runs it.
pub(crate) trait Observer {
    /// Requests made progress; `step` has just ended, if any did.
    fn outputs(&self, outputs: &[Output], step: Option<&Step>);
    /// A request ended.
    fn ended(&self, summary: &Summary, meta: Meta);
    /// KV is to be brought in.
    fn fetch(&self, transfer: Transfer);
    /// A request was given up before its KV was fetched: whoever keeps it may free it.
    fn decline(&self, source: Source);
    /// Held blocks were freed because nobody fetched them.
    fn expired(&self, ids: &[RequestId]);
}

/// What came of one look at the core.
struct Turn {
    start: Duration,
    step: Option<Step>,
    expiry: Option<Duration>,
}

/// Advances the instance for ever, and hands out what comes of it.
pub(crate) async fn run<O: Observer>(instance: Arc<Instance>, observer: O) {
    let delivery = instance.outbox.deliver(instance.timer());
    tokio::select! {
        () = steps(&instance, observer) => {}
        () = delivery => {}
    }
}

async fn steps<O: Observer>(instance: &Instance, observer: O) {
    let timer = instance.timer();
    let mut due = None;
    let mut ended = None;
    loop {
        let turn = instance.begin(due, ended.take(), &observer);
        due = None;
        if let Some(step) = turn.step {
            let end = turn.start + step.duration;
            if step.duration.is_zero() {
                // Nothing to wait for, but the connections must get their turn.
                tokio::task::yield_now().await;
            } else {
                timer.until(instance.moment(end)).await;
                due = Some(end);
            }
            instance.end();
            ended = Some(step);
        } else {
            tokio::select! {
                () = instance.wake.notified() => {}
                () = sleep_until(turn.expiry.map(|at| instance.moment(at))) => {}
            }
        }
    }
}

/// Hold time-outs are long: the timer wheel is precise enough for them.
async fn sleep_until(at: Option<Moment>) {
    match at {
        Some(at) => tokio::time::sleep(at - telemetry::clock::now()).await,
        None => pending().await,
    }
}

impl Instance {
    /// The answer to [`Observer::fetch`].
    pub(crate) fn fetched(&self, id: RequestId, success: bool) {
        let now = self.now();
        self.inner.lock().core.fetched(id, success, now);
        self.wake.notify_one();
        self.changes.notify_one();
    }

    /// Expires holds, starts the next step and passes on what came of it.
    fn begin<O: Observer>(&self, due: Option<Duration>, ended: Option<Step>, observer: &O) -> Turn {
        let now = self.now();
        let start = due.filter(|due| now.saturating_sub(*due) < CATCH_UP).unwrap_or(now);
        let mut inner = self.inner.lock();
        let expired = inner.core.expire(now);
        let step = inner.core.schedule(start);
        inner.depart();
        let expiry = inner.core.next_expiry();
        let fetches = inner.core.take_fetches();
        let transfers: Vec<_> = fetches.into_iter().filter_map(|fetch| inner.transfer(fetch)).collect();
        self.pass_on(inner, ended.as_ref(), observer);
        if ended.is_some() || step.is_some() || !expired.is_empty() {
            self.changes.notify_one();
        }
        transfers.into_iter().for_each(|transfer| observer.fetch(transfer));
        if !expired.is_empty() {
            observer.expired(&expired);
        }
        Turn { start, step, expiry }
    }

    fn end(&self) {
        let now = self.now();
        self.inner.lock().core.complete(now);
    }

    /// Tells readers and the observer what happened, the latter and all wake-ups without the lock.
    fn pass_on<O: Observer>(&self, mut inner: MutexGuard<'_, super::Inner>, step: Option<&Step>, observer: &O) {
        let outputs = inner.core.take_outputs();
        let mut wakers = Vec::with_capacity(outputs.len());
        let mut ended = Vec::new();
        for output in &outputs {
            ended.extend(inner.deliver(output, &self.outbox, &mut wakers));
        }
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        observer.outputs(&outputs, step);
        for (summary, request) in ended {
            observer.ended(&summary, request.meta);
            // Still there: the request was given up before the fetch began.
            request.source.into_iter().for_each(|source| observer.decline(source));
        }
    }
}

impl super::Inner {
    fn transfer(&mut self, fetch: Fetch) -> Option<Transfer> {
        let source = self.requests.get_mut(&fetch.id)?.source.take()?;
        let duration = self.core.transfer_time(fetch.blocks);
        Some(Transfer { id: fetch.id, source, blocks: fetch.blocks, duration })
    }

    /// Puts the output where its reader looks, and takes the request out when it has ended.
    fn deliver(
        &mut self,
        output: &Output,
        outbox: &Outbox,
        wakers: &mut Vec<Waker>,
    ) -> Option<(Summary, super::Request)> {
        let progress = Progress { tokens: output.tokens, finished: output.finished };
        let request = self.requests.get(&output.id)?;
        wakers.extend(outbox.take(&request.mailbox, progress));
        let summary = output.finished?;
        Some((summary, self.requests.remove(&output.id)?))
    }
}
