//! What a scheduler has placed, for as long as it has it on its account.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cluster::api::{InferType, LlmInstance, SchedulingRequest};
use telemetry::clock::{self, Moment};
use telemetry::gateway::{CallOutcome, SchedulerCall};

use super::batch::Letter;
use super::peer::Peer;
use super::watch::Watch;
use super::{PATIENCE, Shared};

/// How often giving back is tried.
const TRIES: u32 = 3;
/// The pause between two tries; it doubles.
const PAUSE: Duration = Duration::from_millis(200);
/// How many requests may be waiting to be given back. A scheduler that takes so long to listen has forgotten us by its
/// keepalive.
const MOST_RELEASES: usize = 8192;

/// How many ended requests may wait to be reported on: what is beyond is only not known.
const MOST_ENDED: usize = 4096;

/// A request as a scheduler knows it, and how far it has got.
pub(super) struct Tracked {
    pub(super) peer: Arc<Peer>,
    /// What was placed, and where.
    pub(super) request: SchedulingRequest,
    /// Tokens seen so far.
    pub(super) tokens: AtomicU64,
    /// How many of them were reported.
    pub(super) reported: AtomicU64,
    pub(super) prefill_done: AtomicBool,
    pub(super) prefill_reported: AtomicBool,
}

/// A placement. Dropped, it is given back: always where the gateway keeps the scheduler's account, else where the request
/// never got to its instance, since the scheduler learns the rest from there.
pub(crate) struct Lease {
    shared: Arc<Shared>,
    tracked: Arc<Tracked>,
    number: u64,
    /// The prefill instance was given back by itself.
    prefill_released: bool,
    begun: bool,
    delivered: bool,
    /// Where the scheduler said what it expects.
    watch: Option<Watch>,
}

impl Lease {
    pub(super) fn new(shared: &Arc<Shared>, peer: &Arc<Peer>, request: SchedulingRequest) -> Self {
        let watch = request.expected.map(|_| Watch::new(clock::now()));
        let tracked = Arc::new(Tracked {
            peer: Arc::clone(peer),
            request,
            tokens: AtomicU64::new(0),
            reported: AtomicU64::new(0),
            prefill_done: AtomicBool::new(false),
            prefill_reported: AtomicBool::new(false),
        });
        let number = shared.next_lease.fetch_add(1, Ordering::Relaxed);
        if !shared.config.full_mode {
            shared.tracked.lock().insert(number, Arc::clone(&tracked));
        }
        Self {
            shared: Arc::clone(shared),
            tracked,
            number,
            prefill_released: false,
            begun: false,
            delivered: false,
            watch,
        }
    }

    /// The instance of a type that was placed on.
    pub(crate) fn on(&self, infer_type: InferType) -> Option<&LlmInstance> {
        self.tracked.request.placed_on(infer_type)
    }

    /// The request is with its instance.
    pub(crate) fn delivered(&mut self) {
        self.delivered = true;
    }

    /// Tokens have come. With the first of them the prefill instance is done.
    pub(crate) fn tokens(&mut self, count: u32, now: Moment) {
        if let Some(watch) = &mut self.watch {
            watch.tokens(count, now);
        }
        if self.shared.config.full_mode {
            return;
        }
        self.tracked.tokens.fetch_add(count.into(), Ordering::Relaxed);
        if !std::mem::replace(&mut self.begun, true) {
            self.first_token();
        }
    }

    fn first_token(&mut self) {
        self.tracked.prefill_done.store(true, Ordering::Release);
        self.shared.news.notify_one();
        let prefill = self.on(InferType::Prefill).cloned();
        if let Some(prefill) = prefill {
            self.prefill_released = true;
            self.release(vec![prefill]);
        }
    }

    /// Tells the scheduler what came of what it expected.
    fn report(&self) {
        let Some(event) = self.watch.as_ref().and_then(|watch| watch.report(&self.tracked.request)) else {
            return;
        };
        let mut ended = self.shared.ended.lock();
        if ended.len() < MOST_ENDED {
            ended.push((Arc::clone(&self.tracked.peer), event));
            self.shared.news.notify_one();
        }
    }

    /// Gives instances back, in a task that the drain waits for.
    fn release(&self, instances: Vec<LlmInstance>) {
        let shared = &self.shared;
        if instances.is_empty() {
            return;
        }
        if shared.releasing.fetch_add(1, Ordering::Relaxed) >= MOST_RELEASES {
            shared.releasing.fetch_sub(1, Ordering::Relaxed);
            shared.telemetry.scheduler_call(SchedulerCall::Release, CallOutcome::Failed);
            return;
        }
        let letter = Letter::Release(Arc::clone(&self.tracked), instances);
        if let Some(Letter::Release(tracked, instances)) = self.tracked.peer.mailbox.put(letter) {
            shared.drain.spawn(release(Arc::clone(shared), tracked, instances));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.report();
        if self.shared.config.full_mode {
            if !self.delivered {
                self.release(self.tracked.request.scheduling_result.clone());
            }
            return;
        }
        self.shared.tracked.lock().remove(&self.number);
        let left = self.tracked.request.scheduling_result.iter();
        let left = left.filter(|instance| !self.prefill_released || instance.infer_type != InferType::Prefill);
        self.release(left.cloned().collect());
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("request", &self.tracked.request).finish_non_exhaustive()
    }
}

impl Tracked {
    /// Whether the scheduler still has it: with the keepalive connection of that time it forgot what we had.
    pub(super) fn is_known(&self) -> bool {
        let known = self.peer.gateway_id();
        known.as_deref().map_or("", String::as_str) == self.request.gateway_id
    }

    /// What gives these instances back.
    pub(super) fn to_release(&self, instances: Vec<LlmInstance>) -> SchedulingRequest {
        let SchedulingRequest { id, model, gateway_id, scheduling_mode, scheduling_stage, .. } = &self.request;
        SchedulingRequest {
            id: id.clone(),
            model: model.clone(),
            gateway_id: gateway_id.clone(),
            scheduling_mode: *scheduling_mode,
            scheduling_stage: *scheduling_stage,
            scheduling_result: instances,
            ..SchedulingRequest::default()
        }
    }
}

/// Gives instances back by themselves, and tries again where that fails.
pub(super) async fn release(shared: Arc<Shared>, tracked: Arc<Tracked>, instances: Vec<LlmInstance>) {
    let request = tracked.to_release(instances);
    let mut outcome = CallOutcome::Failed;
    for attempt in 0..TRIES {
        if !tracked.is_known() && !shared.config.full_mode {
            outcome = CallOutcome::Ok;
            break;
        }
        match shared.post(&tracked.peer, "/release", &request, PATIENCE).await {
            Ok((status, _)) if status.is_success() => outcome = CallOutcome::Ok,
            Ok((status, _)) if status.is_client_error() => outcome = CallOutcome::Refused,
            _ => {
                tokio::time::sleep(PAUSE * 2_u32.pow(attempt)).await;
                continue;
            }
        }
        break;
    }
    shared.releasing.fetch_sub(1, Ordering::Relaxed);
    shared.telemetry.scheduler_call(SchedulerCall::Release, outcome);
}
