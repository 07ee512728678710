//! Telling schedulers how requests get on: whose first token has come, soon; how long they have grown, now and then; and of
//! those that they expected something of, what they were in truth.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cluster::api::{InferType, LlmInstance, ReportEvent, ReportKind};
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
    let body = serde_json::to_vec(events).unwrap_or_default();
    let posting = peer.post(&shared.client, shared.config.service_token.as_ref(), "/report", body.into());
    match tokio::time::timeout(PATIENCE, posting).await {
        Ok(Ok((status, _))) if status.is_success() => CallOutcome::Ok,
        Ok(Ok(_)) => CallOutcome::Refused,
        _ => CallOutcome::Failed,
    }
}

impl Tracked {
    /// What has happened since it was last asked.
    fn events(&self, growth: bool) -> Vec<ReportEvent> {
        let mut events = Vec::new();
        let serving = |instance: &&LlmInstance| instance.infer_type != InferType::Prefill;
        let Some(instance) = self.request.scheduling_result.iter().find(serving) else { return events };
        let tokens = self.tokens.load(Ordering::Relaxed);
        let mut event = |kind| {
            events.push(ReportEvent {
                kind,
                id: self.request.id.clone(),
                model: self.request.model.clone(),
                infer_type: instance.infer_type,
                instance_id: instance.id.clone(),
                gateway_id: self.request.gateway_id.clone(),
                num_tokens: self.request.prompt_num_tokens + tokens,
                expected: None,
                measured: None,
            });
        };
        if self.prefill_done.load(Ordering::Acquire) && !self.prefill_reported.swap(true, Ordering::Relaxed) {
            event(ReportKind::PrefillDone);
        }
        if growth && self.reported.swap(tokens, Ordering::Relaxed) != tokens {
            event(ReportKind::StateUpdate);
        }
        events
    }
}
