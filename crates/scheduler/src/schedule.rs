//! `/schedule`: places one request.

use std::sync::Arc;
use std::time::Duration;

use cluster::api::{InferType, LlmInstance, SchedulingMode, SchedulingRequest, SchedulingStage, Times, Verdict};
use http::{Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use proxy::Body;
use serde::Serialize;
use telemetry::clock::{self, Moment};
use telemetry::scheduler::{Attempt, Choice, ErrorType, Facts, Prefix};

use crate::locality::{Found, computes};
use crate::policy::explain::Explanation;
use crate::policy::{Ask, Metric, Mode, Placement, Refusal};
use crate::service::read;
use crate::state::State;
use crate::view::{ClusterView, Instance};
use crate::{answer, scrape};

/// An answer with its reasons.
#[derive(Serialize)]
struct Explained<'a> {
    #[serde(flatten)]
    request: &'a SchedulingRequest,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    explain: &'a [Explanation],
}

/// Why a request was not placed, in telemetry's terms and HTTP's.
struct Failure {
    error: ErrorType,
    status: StatusCode,
    why: String,
}

/// Answers `POST /schedule`, with `?explain=1` also why.
pub(crate) async fn schedule(state: &Arc<State>, request: Request<Incoming>) -> Response<Body> {
    let attempt = state.recorder.begin(request.headers(), clock::now());
    let explains = wants_explanation(request.uri());
    let mut asked: SchedulingRequest = match read(state, request.into_body()).await {
        Ok(asked) => asked,
        Err(refusal) => {
            let facts = Facts { decided: clock::now(), mode: mode(state), ..Facts::default() };
            attempt.refused(&facts, ErrorType::Unknown, "the request cannot be read", false);
            return refusal;
        }
    };
    if !state.leadership.leads() {
        refuse(state, &asked, attempt);
        return answer::not_leading(state);
    }
    let mut explanations = Vec::new();
    let decided = decide(state, &mut asked, attempt, explains.then_some(&mut explanations));
    match decided {
        Ok(()) if explains => {
            answer::json(StatusCode::OK, &Explained { request: &asked, error: None, explain: &explanations })
        }
        Ok(()) => answer::json(StatusCode::OK, &asked),
        Err(Failure { status, why, .. }) if explains => {
            answer::json(status, &Explained { request: &asked, error: Some(why), explain: &explanations })
        }
        Err(Failure { status, why, .. }) => answer::text(status, why),
    }
}

/// Answers one request of a batch, as [`schedule`] would.
pub(crate) fn verdict(state: &State, mut asked: SchedulingRequest, attempt: Attempt) -> Verdict {
    if !state.leadership.leads() {
        let status = StatusCode::SERVICE_UNAVAILABLE.as_u16();
        return Verdict { status, why: refuse(state, &asked, attempt).to_owned(), ..Verdict::default() };
    }
    match decide(state, &mut asked, attempt, None) {
        Ok(()) => {
            let SchedulingRequest { scheduling_result, expected, .. } = asked;
            Verdict { status: StatusCode::OK.as_u16(), scheduling_result, expected, why: String::new() }
        }
        Err(Failure { status, why, .. }) => Verdict { status: status.as_u16(), why, ..Verdict::default() },
    }
}

/// Another scheduler leads: the attempt is counted, and that is what came of it.
fn refuse(state: &State, asked: &SchedulingRequest, attempt: Attempt) -> &'static str {
    let why = "another scheduler leads";
    let facts = facts(state, asked, 0, (clock::now(), clock::now()));
    attempt.refused(&facts, ErrorType::SchedulerNotReady, why, false);
    why
}

fn wants_explanation(uri: &Uri) -> bool {
    uri.query()
        .is_some_and(|query| query.split('&').any(|pair| matches!(pair, "explain=1" | "explain=true" | "explain")))
}

fn mode(state: &State) -> &'static str {
    match state.policy.mode() {
        Mode::Full => "full",
        Mode::Lite => "lite",
    }
}

/// Decides, enters the placement in the accounts, and fills in the result.
fn decide(
    state: &State,
    asked: &mut SchedulingRequest,
    attempt: Attempt,
    explanations: Option<&mut Vec<Explanation>>,
) -> Result<(), Failure> {
    let began = clock::now();
    let view = state.view.load_full();
    let tokens = prompt_tokens(asked);
    let found = state.prefixes.as_ref().and_then(|prefixes| prefixes.look_up(asked, tokens));
    asked.prompt_text = None;
    let ask = Ask {
        model: &asked.model,
        prompt_tokens: tokens,
        hits: found.as_ref().map(|found| &found.hits),
        mode: asked.scheduling_mode,
        stage: asked.scheduling_stage,
        excluded: &asked.excluded_instances,
        taken: None,
    };
    let placement = match explanations {
        None => state.policy.place(&view, &ask, began),
        Some(explanations) => {
            let (placement, explained) = state.policy.explain(&view, &ask, began);
            *explanations = explained;
            placement
        }
    };
    let looked_up = found.as_ref().map(|found| prefix(&view, found));
    let facts = Facts { prefix: looked_up, ..facts(state, asked, view.instances.len(), (began, clock::now())) };
    match placement {
        Ok(placement) => {
            let choices = choices(state, &view, &placement, (&ask, found.as_ref(), began));
            attempt.placed(&facts, &choices);
            let expected = expected(&choices);
            enter(state, &view, &placement, (asked, &choices), (found.as_ref(), began));
            asked.scheduling_result = result(&view, &placement);
            asked.expected = expected;
            Ok(())
        }
        Err(refusal) => {
            let failure = failure(state, &refusal, began);
            attempt.refused(&facts, failure.error, &failure.why, true);
            Err(failure)
        }
    }
}

/// The prompt's length as the gateway says it, or else as it can be seen.
fn prompt_tokens(asked: &SchedulingRequest) -> u64 {
    match asked.prompt_num_tokens {
        0 => asked.prompt_token_ids.len() as u64,
        told => told,
    }
}

fn facts<'a>(state: &'a State, asked: &'a SchedulingRequest, instances: usize, times: (Moment, Moment)) -> Facts<'a> {
    Facts {
        request_id: &asked.id,
        model: &asked.model,
        gateway: &asked.gateway_id,
        policy: state.policy.name(),
        mode: mode(state),
        scheduling_mode: match asked.scheduling_mode {
            SchedulingMode::Neutral => "neutral",
            SchedulingMode::PdBatch => "pd_batch",
            SchedulingMode::PdStaged => "pd_staged",
        },
        stage: asked.scheduling_stage.map(|stage| match stage {
            SchedulingStage::Prefill => "prefill",
            SchedulingStage::Decode => "decode",
        }),
        prompt_tokens: prompt_tokens(asked),
        excluded: asked.excluded_instances.len(),
        prefix: None,
        instances,
        began: times.0,
        decided: times.1,
    }
}

/// What was found of the prompt's prefix.
fn prefix(view: &ClusterView, found: &Found) -> Prefix {
    let tokens = view.instances.iter().map(|instance| found.hits.tokens(instance.seat.holder()));
    Prefix { query: found.query, calc: found.calc, most_tokens: tokens.max().unwrap_or(0) }
}

/// Where a request goes. What each instance is there for is what it was chosen for, whatever it is otherwise.
fn result(view: &ClusterView, placement: &Placement) -> Vec<LlmInstance> {
    let chosen = placement.choices.iter();
    chosen
        .map(|&(infer_type, chosen)| LlmInstance { infer_type, ..(*view.instances[chosen.at].answer).clone() })
        .collect()
}

/// What is expected of the request as its gateway will see it; `None` where nothing is predicted. What is computed at one
/// instance and decoded at another has its first token when both are done; the hand-over between them takes what it takes.
fn expected(choices: &[Choice<'_>]) -> Option<Times> {
    let is_whole = choices.len() == 2 || choices.iter().any(|choice| choice.infer_type == InferType::Neutral.as_str());
    let ttft_ms: Option<f64> = choices.iter().map(|choice| choice.predicted_ttft_ms).sum();
    let tpot_ms = choices.last().filter(|choice| choice.infer_type != InferType::Prefill.as_str())?.predicted_tpot_ms;
    let micros = |ms: f64| (ms * 1e3) as u64;
    let times = Times { ttft_us: ttft_ms.filter(|_| is_whole).map(micros), tpot_us: tpot_ms.map(micros) };
    (times != Times::default()).then_some(times)
}

/// The chosen instances as they were before this request was theirs.
fn choices<'a>(
    state: &State,
    view: &'a ClusterView,
    placement: &Placement,
    (ask, found, now): (&Ask<'_>, Option<&Found>, Moment),
) -> Vec<Choice<'a>> {
    let mode = state.policy.mode();
    let full = mode == Mode::Full;
    let choice = |&(infer_type, chosen): &(InferType, crate::policy::Chosen)| {
        let instance = &view.instances[chosen.at];
        let sums = instance.seat.tally.read();
        let inflight = instance.seat.account.read();
        let weighing = state.policy.weighing(infer_type, ask, now);
        let predicted = |metric: Metric| metric.known(instance, &weighing);
        Choice {
            infer_type: infer_type.as_str(),
            instance: &instance.id,
            model: &instance.model,
            candidates: chosen.candidates,
            fallback: chosen.fallback,
            requests: if full { instance.load.requests(&inflight) } else { sums.total_requests() },
            tokens: (!full).then(|| sums.total_tokens()),
            prefix_tokens: cached(found, infer_type, instance),
            predicted_ttft_ms: predicted(Metric::PredictedTtft),
            predicted_tpot_ms: predicted(Metric::PredictedTpot),
            inputs: full.then(|| scrape::cms(instance, &inflight, now)),
        }
    };
    placement.choices.iter().map(choice).collect()
}

/// Tokens of the prompt that an instance need not compute; `None` where that was not looked up, or it computes no prompt.
fn cached(found: Option<&Found>, infer_type: InferType, instance: &Instance) -> Option<u64> {
    found.filter(|_| computes(infer_type)).map(|found| found.hits.tokens(instance.seat.holder()))
}

/// Enters a placement in the accounts of its instances, and its prompt in the index of prefixes.
fn enter(
    state: &State,
    view: &ClusterView,
    placement: &Placement,
    (asked, choices): (&SchedulingRequest, &[Choice<'_>]),
    (found, now): (Option<&Found>, Moment),
) {
    let tokens = prompt_tokens(asked);
    let turn = state.next_turn();
    // A gateway that is not connected could never be seen to be lost, and its requests would stay for ever.
    let gateway = state.gateways.known(&asked.gateway_id);
    for ((infer_type, chosen), choice) in placement.choices.iter().zip(choices) {
        let instance: &Instance = &view.instances[chosen.at];
        instance.seat.chosen(turn);
        if let Some(ms) = choice.predicted_ttft_ms.filter(|_| *infer_type != InferType::Decode) {
            instance.seat.promise(now + Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default());
        }
        match (state.policy.mode(), &gateway) {
            (Mode::Full, _) if state.keeps_account => {
                instance.seat.account.enter(&asked.id, *infer_type, tokens, now);
                if let Some(cached @ 1..) = cached(found, *infer_type, instance) {
                    instance.seat.account.cached(&asked.id, cached);
                }
            }
            (Mode::Lite, Some(gateway)) => {
                state.lrs.place(&asked.id, instance, gateway, tokens, now);
                // It may have been lost in between.
                if state.gateways.known(gateway).is_none() {
                    state.recorder.reclaimed(state.lrs.lose_gateway(gateway));
                }
            }
            _ => {}
        }
        if let (Some(prefixes), Some(found), true) = (&state.prefixes, found, computes(*infer_type)) {
            prefixes.placed(found, instance, now);
        }
    }
}

fn failure(state: &State, refusal: &Refusal, now: Moment) -> Failure {
    let health = state.health.load();
    let nobody = matches!(refusal, Refusal::NoInstance | Refusal::Unavailable { .. });
    if state.policy.mode() == Mode::Full && nobody {
        if let Some((since, problem)) = &health.failure {
            let why = format!("{refusal}; for {:.1} s the CMS {problem}", (now - *since).as_secs_f64());
            return Failure { error: ErrorType::CmsNotAvailable, status: StatusCode::BAD_REQUEST, why };
        }
        if !health.loaded {
            let why = "the CMS has not been read yet".to_owned();
            return Failure { error: ErrorType::CmsNotAvailable, status: StatusCode::BAD_REQUEST, why };
        }
    }
    let (error, status) = match refusal {
        Refusal::NoInstance | Refusal::NoModel { .. } => (ErrorType::EndpointNotFound, StatusCode::NOT_FOUND),
        // Upstream answers an empty result so, which a gateway waits out: instances of the type may come.
        Refusal::NoMatch { .. } => (ErrorType::NoMatchInferType, StatusCode::TOO_MANY_REQUESTS),
        Refusal::Unavailable { .. } => (ErrorType::NoAvailableEndpoint, StatusCode::TOO_MANY_REQUESTS),
        Refusal::Busy { .. } => (ErrorType::AllEndpointsBusy, StatusCode::TOO_MANY_REQUESTS),
        Refusal::NoStage => (ErrorType::Unknown, StatusCode::BAD_REQUEST),
    };
    Failure { error, status, why: refusal.to_string() }
}
