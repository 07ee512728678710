//! Placing a request: by a scheduler where there is one that answers, else by taking instances in turn.

use std::sync::Arc;
use std::time::Duration;

use cluster::api::{InferType, LlmInstance, SchedulingMode, SchedulingStage};
use openai::Api;
use telemetry::clock;
use telemetry::gateway::{PlacedBy, Request as Record};

use crate::ask::Ask;
use crate::attempts::Attempts;
use crate::endpoints::{Instance, Roster};
use crate::errors::Refusal;
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
    delay(state).await;
    let placed = match state.schedulers.any() {
        true => Some(scheduled(state, ask, prepared, attempts).await),
        false => None,
    };
    let (placement, by) = or_in_turn(placed, || in_turn(state, ask, attempts))?;
    record.placed(by);
    let prefill = placement.prefill.as_ref().map(|instance| instance.endpoint.as_str());
    record.targets(prefill, Some(placement.serving.endpoint.as_str()));
    record.scheduled(clock::now());
    Ok(placement)
}

/// Places the prefill stage of the next attempt alone. Who would serve the decode stage is no more than a guess so far.
pub(crate) async fn place_prefill(
    state: &State,
    ask: &Ask,
    record: &mut Record,
    prepared: &Prepared,
    attempts: &mut Attempts<'_>,
) -> Result<Placement, Refusal> {
    delay(state).await;
    let guess = in_turn(state, ask, attempts)?;
    let placed = match state.schedulers.any() {
        true => Some(one(state, ask, prepared, attempts, SchedulingStage::Prefill).await),
        false => None,
    };
    let guessed = guess.prefill.clone();
    let (stage, by) = or_in_turn(placed, || guessed.map(Stage::in_turn).ok_or(Refusal::NoInstance))?;
    record.placed(by);
    record.targets(Some(stage.instance.endpoint.as_str()), None);
    record.scheduled(clock::now());
    Ok(Placement { prefill: Some(stage.instance), leases: stage.lease.into_iter().collect(), ..guess })
}

/// Places the decode stage, when its prefill is done; without a scheduler, on the `guess` as long as nothing speaks
/// against it.
pub(crate) async fn place_decode(
    state: &State,
    ask: &Ask,
    record: &mut Record,
    prepared: &Prepared,
    attempts: &mut Attempts<'_>,
    guess: &Arc<Instance>,
) -> Result<Stage, Refusal> {
    delay(state).await;
    let placed = match state.schedulers.any() {
        true => Some(one(state, ask, prepared, attempts, SchedulingStage::Decode).await),
        false => None,
    };
    let (stage, by) = or_in_turn(placed, || {
        let stays = state.roster.load().serving().iter().any(|there| there.endpoint == guess.endpoint);
        let instance = match stays && !attempts.excluded.has(guess) {
            true => Arc::clone(guess),
            false => in_turn(state, ask, attempts)?.serving,
        };
        Ok(Stage::in_turn(instance))
    })?;
    record.decode_scheduled(clock::now(), by, stage.instance.endpoint.as_str());
    Ok(stage)
}

/// An instance for one stage of a request.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) instance: Arc<Instance>,
    /// What a scheduler has on its account for it.
    pub(crate) lease: Option<Lease>,
}

impl Stage {
    fn in_turn(instance: Arc<Instance>) -> Self {
        Self { instance, lease: None }
    }
}

/// What a scheduler placed, where there is one; else, or where none is ready, what comes in turn.
fn or_in_turn<T>(
    placed: Option<Result<T, Unplaced>>,
    in_turn: impl FnOnce() -> Result<T, Refusal>,
) -> Result<(T, PlacedBy), Refusal> {
    match placed {
        Some(Ok(placed)) => Ok((placed, PlacedBy::Scheduler)),
        Some(Err(Unplaced::Busy)) => Err(Refusal::Busy),
        Some(Err(Unplaced::NotReady)) => Ok((in_turn()?, PlacedBy::SchedulerNotReady)),
        None => Ok((in_turn()?, PlacedBy::RoundRobin)),
    }
}

fn in_turn(state: &State, ask: &Ask, attempts: &Attempts<'_>) -> Result<Placement, Refusal> {
    let mut placement = state.robin.place(&state.roster.load(), &attempts.excluded).ok_or(Refusal::NoInstance)?;
    if ask.api == Api::Embeddings {
        placement.prefill = None;
    }
    Ok(placement)
}

/// Whether a request is split over a prefill and a decode instance.
pub(crate) fn mode(state: &State, ask: &Ask) -> SchedulingMode {
    match () {
        () if ask.api == Api::Embeddings || state.roster.load().prefill().is_empty() => SchedulingMode::Neutral,
        () if state.schedulers.separate_stages() => SchedulingMode::PdStaged,
        () => SchedulingMode::PdBatch,
    }
}

/// Asks for everything that an attempt needs. Where a sidecar runs the legs, it has to know the decode instance at the start,
/// so both stages are placed now, if one after the other.
async fn scheduled(
    state: &State,
    ask: &Ask,
    prepared: &Prepared,
    attempts: &mut Attempts<'_>,
) -> Result<Placement, Unplaced> {
    let mode = mode(state, ask);
    if mode == SchedulingMode::PdStaged && !state.runs_legs() {
        let prefill = one(state, ask, prepared, attempts, SchedulingStage::Prefill).await?;
        let decode = one(state, ask, prepared, attempts, SchedulingStage::Decode).await?;
        let leases = prefill.lease.into_iter().chain(decode.lease).collect();
        return Ok(Placement { serving: decode.instance, prefill: Some(prefill.instance), leases });
    }
    // A request whose legs cannot be run apart is placed as a whole.
    let mode = if mode == SchedulingMode::PdStaged { SchedulingMode::PdBatch } else { mode };
    let lease = place_on_scheduler(state, ask, prepared, attempts, mode, None).await?;
    let roster = state.roster.load();
    let serving = lease.on(InferType::Decode).or_else(|| lease.on(InferType::Neutral));
    let serving = serving.and_then(|named| resolve(&roster, named)).ok_or(Unplaced::NotReady)?;
    let prefill = lease.on(InferType::Prefill).and_then(|named| resolve(&roster, named));
    Ok(Placement { serving, prefill, leases: vec![lease] })
}

/// Asks for the instance of one stage.
async fn one(
    state: &State,
    ask: &Ask,
    prepared: &Prepared,
    attempts: &mut Attempts<'_>,
    stage: SchedulingStage,
) -> Result<Stage, Unplaced> {
    let lease = place_on_scheduler(state, ask, prepared, attempts, SchedulingMode::PdStaged, Some(stage)).await?;
    let kind = match stage {
        SchedulingStage::Prefill => InferType::Prefill,
        SchedulingStage::Decode => InferType::Decode,
    };
    let named = lease.on(kind).or_else(|| lease.on(InferType::Neutral));
    let instance = named.and_then(|named| resolve(&state.roster.load(), named)).ok_or(Unplaced::NotReady)?;
    Ok(Stage { instance, lease: Some(lease) })
}

fn resolve(roster: &Roster, named: &LlmInstance) -> Option<Arc<Instance>> {
    let known = roster.resolve(named.clone());
    known.inspect_err(|error| tracing::warn!("the scheduler names an instance without an address: {error}")).ok()
}

async fn place_on_scheduler(
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
        prompt_text: prepared.prompt_text.as_ref(),
        excluded: attempts.excluded.ids(),
    };
    state.schedulers.place(&need, attempts.slot.as_mut()).await
}

/// The wait of `--inject-routing-delay`.
async fn delay(state: &State) {
    if let Some(delay) = state.injected_routing_delay {
        pause(delay).await;
    }
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
