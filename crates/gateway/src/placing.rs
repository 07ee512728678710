//! Placing a request: by a scheduler where there is one that answers, else by taking instances in turn.

use std::time::Duration;

use cluster::api::{InferType, LlmInstance, SchedulingMode, SchedulingStage};
use openai::Api;
use telemetry::clock;
use telemetry::gateway::{PlacedBy, Request as Record};

use crate::attempts::Attempts;
use crate::endpoints::Roster;
use crate::errors::Refusal;
use crate::exchange::Ask;
use crate::prepare::Prepared;
use crate::routing::Placement;
use crate::scheduler::{Lease, Need, Unplaced};
use crate::state::State;

/// Places the next attempt. A scheduler that is gone costs nobody a request: instances are taken in turn then.
pub(crate) async fn place(
    state: &State,
    ask: &Ask,
    record: &mut Record,
    prepared: &Prepared,
    attempts: &mut Attempts<'_>,
) -> Result<Placement, Refusal> {
    if let Some(delay) = state.injected_routing_delay {
        pause(delay).await;
    }
    let (placement, by) = if state.schedulers.any() {
        match scheduled(state, ask, prepared, attempts).await {
            Ok(placement) => (placement, PlacedBy::Scheduler),
            Err(Unplaced::Busy) => return Err(Refusal::Busy),
            Err(Unplaced::NotReady) => (in_turn(state, ask, attempts)?, PlacedBy::SchedulerNotReady),
        }
    } else {
        (in_turn(state, ask, attempts)?, PlacedBy::RoundRobin)
    };
    record.placed(by);
    let prefill = placement.prefill.as_ref().map(|instance| instance.endpoint.as_str());
    record.targets(prefill, Some(placement.serving.endpoint.as_str()));
    record.scheduled(clock::now());
    Ok(placement)
}

fn in_turn(state: &State, ask: &Ask, attempts: &Attempts<'_>) -> Result<Placement, Refusal> {
    let mut placement = state.robin.place(&state.roster.load(), &attempts.excluded).ok_or(Refusal::NoInstance)?;
    if ask.api == Api::Embeddings {
        placement.prefill = None;
    }
    Ok(placement)
}

/// Whether a request is split over a prefill and a decode instance.
fn mode(state: &State, ask: &Ask, roster: &Roster) -> SchedulingMode {
    match () {
        () if ask.api == Api::Embeddings || roster.prefill().is_empty() => SchedulingMode::Neutral,
        () if state.schedulers.separate_stages() => SchedulingMode::PdStaged,
        () => SchedulingMode::PdBatch,
    }
}

async fn scheduled(
    state: &State,
    ask: &Ask,
    prepared: &Prepared,
    attempts: &mut Attempts<'_>,
) -> Result<Placement, Unplaced> {
    let mode = mode(state, ask, &state.roster.load());
    let mut leases = Vec::with_capacity(1);
    if mode == SchedulingMode::PdStaged {
        leases.push(stage(state, ask, prepared, attempts, mode, Some(SchedulingStage::Prefill)).await?);
        leases.push(stage(state, ask, prepared, attempts, mode, Some(SchedulingStage::Decode)).await?);
    } else {
        leases.push(stage(state, ask, prepared, attempts, mode, None).await?);
    }
    let roster = state.roster.load();
    let on = |kind| leases.iter().find_map(|lease: &Lease| lease.on(kind)).cloned();
    let resolve = |named: LlmInstance| {
        let known = roster.resolve(named);
        known.inspect_err(|error| tracing::warn!("the scheduler names an instance without an address: {error}")).ok()
    };
    let serving = on(InferType::Decode).or_else(|| on(InferType::Neutral)).and_then(resolve);
    let prefill = on(InferType::Prefill).and_then(resolve);
    let serving = serving.ok_or(Unplaced::NotReady)?;
    Ok(Placement { serving, prefill, leases })
}

/// Asks a scheduler for the instances of one stage; without stages, for all of them.
async fn stage(
    state: &State,
    ask: &Ask,
    prepared: &Prepared,
    attempts: &mut Attempts<'_>,
    mode: SchedulingMode,
    stage: Option<SchedulingStage>,
) -> Result<Lease, Unplaced> {
    let need = Need {
        id: ask.request_id.to_str().unwrap_or_default(),
        model: prepared.model.as_deref().unwrap_or_default(),
        mode,
        stage,
        prompt_tokens: prepared.prompt.count,
        prompt_ids: prepared.prompt_ids.as_deref().unwrap_or_default(),
        excluded: attempts.excluded.ids(),
    };
    state.schedulers.place(&need, attempts.slot.as_mut()).await
}

/// Waits for `delay` and not a millisecond more. tokio's timer may fire that late, which is half of the delay that is
/// asked for in the seed document's example; so the end of it is spent asking the clock.
async fn pause(delay: Duration) {
    let until = clock::now() + delay;
    tokio::time::sleep(delay.saturating_sub(TIMER_LATE)).await;
    while clock::now() < until {
        tokio::task::yield_now().await;
    }
}

/// How late tokio's timer may be: its tick, and a little for the wake-up.
const TIMER_LATE: Duration = Duration::from_micros(1200);
