//! Telling schedulers how requests get on: whose first token has come, soon; how long they have grown, now and then; and of
//! those that they expected something of, what they were in truth.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cluster::api::{InferType, LlmInstance, ReportEvent, ReportKind, SchedulingRequest};
use telemetry::gateway::{CallOutcome, SchedulerCall};

use super::Shared;
use super::lease::Tracked;
use super::peer::Peer;

/// First tokens that come within this time of each other are reported together.
const GATHER: Duration = Duration::from_millis(20);

/// How long a scheduler may take to hear a report; Llumnix's figure.
const PATIENCE: Duration = Duration::from_secs(3);

/// Reports until the drain begins: what ends then is given back, which says enough.
pub(super) async fn run(shared: Arc<Shared>) {
    let drain = shared.drain.clone();
    let period = shared.config.report_interval;
    tokio::select! {
        () = drain.begun() => {}
        () = report_for_ever(&shared, period) => {}
    }
}

async fn report_for_ever(shared: &Shared, period: Option<Duration>) {
    // Reports of growth come at the latest this often, where they come at all.
    let tick = period.unwrap_or(Duration::MAX / 4);
    let mut due = Box::pin(tokio::time::sleep(tick));
    loop {
        let growth = tokio::select! {
            () = &mut due => true,
            () = shared.news.notified() => {
                tokio::time::sleep(GATHER).await;
                false
            }
        };
        if growth {
            due.set(tokio::time::sleep(tick));
        }
        report(shared, growth).await;
    }
}

/// One report to each scheduler that has something to hear.
async fn report(shared: &Shared, growth: bool) {
    let mut ended = std::mem::take(&mut *shared.ended.lock());
    let tracked: Vec<_> = shared.tracked.lock().values().map(Arc::clone).collect();
    for peer in &shared.peers {
        let of_peer = tracked.iter().filter(|request| Arc::ptr_eq(&request.peer, peer) && request.is_known());
        let mut events: Vec<_> = of_peer.flat_map(|request| request.events(growth)).collect();
        events.extend(ended.extract_if(.., |(of, _)| Arc::ptr_eq(of, peer)).map(|(_, event)| event));
        if events.is_empty() {
            continue;
        }
        let outcome = post(shared, peer, &events).await;
        shared.telemetry.scheduler_call(SchedulerCall::Report, outcome);
    }
}

async fn post(shared: &Shared, peer: &Peer, events: &[ReportEvent]) -> CallOutcome {
    match shared.post(peer, "/report", events, PATIENCE).await {
        Ok((status, _)) if status.is_success() => CallOutcome::Ok,
        Ok(_) => CallOutcome::Refused,
        Err(_) => CallOutcome::Failed,
    }
}

/// What happened to a request that has generated so many tokens, on the instance that generates them; `None` where it has none.
pub(super) fn event(request: &SchedulingRequest, kind: ReportKind, tokens: u64) -> Option<ReportEvent> {
    let serving = |instance: &&LlmInstance| instance.infer_type != InferType::Prefill;
    let instance = request.scheduling_result.iter().find(serving)?;
    Some(ReportEvent {
        kind,
        id: request.id.clone(),
        model: request.model.clone(),
        infer_type: instance.infer_type,
        instance_id: instance.id.clone(),
        gateway_id: request.gateway_id.clone(),
        num_tokens: request.prompt_num_tokens + tokens,
        expected: None,
        measured: None,
    })
}

impl Tracked {
    /// What has happened since it was last asked.
    fn events(&self, growth: bool) -> Vec<ReportEvent> {
        let tokens = self.tokens.load(Ordering::Relaxed);
        let event = |kind| event(&self.request, kind, tokens);
        let mut events = Vec::new();
        if self.prefill_done.load(Ordering::Acquire) && !self.prefill_reported.swap(true, Ordering::Relaxed) {
            events.extend(event(ReportKind::PrefillDone));
        }
        if growth && self.reported.swap(tokens, Ordering::Relaxed) != tokens {
            events.extend(event(ReportKind::StateUpdate));
        }
        events
    }
}
