//! The prefill leg of a serial protocol: candidates, retries, one time limit over all of them.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use openai::{ApiError, ErrorKind};
use pd::{Peer, PlanError};
use proxy::body::{collect, next_frame};
use proxy::client::ErrorKind as Broken;
use proxy::{Client, ClientError, Target};
use scopeguard::ScopeGuard;
use telemetry::clock;
use telemetry::coordinator::Request as Record;
use telemetry::trace::TraceContext;
use telemetry::{Blame, Stage};

use crate::asked::Asked;
use crate::failure::{Answer, Failure, blame};
use crate::late::Late;

/// Which of a server's data-parallel ranks is to run a leg.
const DATA_PARALLEL_RANK: HeaderName = HeaderName::from_static("x-data-parallel-rank");

/// A candidate that may be asked.
#[derive(Clone, Debug)]
pub struct Prefiller {
    /// How engines are told of it.
    pub peer: Peer,
    /// How it is reached.
    pub target: Target,
}

/// How long and how often to try.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Attempts after every candidate has had its chance.
    pub retries: u32,
    /// The pause before each of those.
    pub backoff: Duration,
    /// How long all of it may take.
    pub limit: Duration,
    /// The longest prefill response that is read.
    pub max_body: usize,
}

/// Which candidate is asked at which attempt, and what is waited for before.
///
/// Every candidate has one chance, at once: the scheduler named it because it is fit to serve. Only the attempts after
/// that are retries in the operator's sense, counted by `--prefill-max-retries` and spaced by the back-off.
#[derive(Debug)]
pub(crate) struct Attempts {
    candidates: usize,
    total: usize,
    made: usize,
    backoff: Duration,
}

impl Attempts {
    pub(crate) fn new(candidates: usize, patience: Patience) -> Self {
        let retries = usize::try_from(patience.retries).unwrap_or(usize::MAX);
        Self { candidates, total: candidates.saturating_add(retries), made: 0, backoff: patience.backoff }
    }

    /// The next candidate by index, and the pause before it; `None` when all chances are used up.
    pub(crate) fn next(&mut self) -> Option<(usize, Option<Duration>)> {
        if self.made == self.total || self.candidates == 0 {
            return None;
        }
        let index = self.made % self.candidates;
        let pause = (self.made >= self.candidates).then_some(self.backoff);
        self.made += 1;
        Some((index, pause))
    }

    /// Whether a failure now would be the last.
    pub(crate) fn exhausted(&self) -> bool {
        self.made == self.total
    }
}

/// What a leg needs beside its body.
pub(crate) struct Leg<'a> {
    pub(crate) client: &'a Client,
    pub(crate) asked: &'a Asked,
    pub(crate) patience: Patience,
    /// Whether the bytes of the answer matter.
    pub(crate) reads: bool,
    /// The data-parallel rank that it must run on.
    pub(crate) rank: Option<u32>,
    /// What frees the blocks that the engine keeps, should the client leave just when it is done.
    pub(crate) late: Option<Late<'a>>,
}

/// Runs the prefill leg: asks the candidates in turn until one answers with success; its answer, and who it was.
///
/// # Errors
/// The last failure. Dropping the future cancels the leg in flight.
pub(crate) async fn serial<'a>(
    leg: &Leg<'_>,
    prefillers: &'a [Prefiller],
    body: &Bytes,
    record: &mut Record,
) -> Result<(Bytes, &'a Prefiller), Failure> {
    let trace = record.prefill_sent(clock::now());
    let limit = leg.patience.limit;
    let outcome = tokio::time::timeout(limit, in_turn(leg, prefillers, body, &trace, record)).await;
    let outcome = outcome.unwrap_or_else(|_| Err(Failed::timed_out(limit)));
    outcome.map_err(|failed| {
        record.prefill_failed(clock::now(), failed.status(), failed.reason());
        failed.into_failure()
    })
}

async fn in_turn<'a>(
    leg: &Leg<'_>,
    prefillers: &'a [Prefiller],
    body: &Bytes,
    trace: &TraceContext,
    record: &mut Record,
) -> Result<(Bytes, &'a Prefiller), Failed> {
    let mut attempts = Attempts::new(prefillers.len(), leg.patience);
    let mut last = Failed::no_candidate();
    while let Some((index, pause)) = attempts.next() {
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        let prefiller = &prefillers[index];
        record.prefill_target(prefiller.target.authority());
        match once(leg, prefiller, body.clone(), trace).await {
            Ok(answer) => {
                record.prefill_done(clock::now(), answer.status.as_u16());
                return Ok((answer.body, prefiller));
            }
            Err(failed) => {
                record.prefill_attempt_failed(clock::now(), failed.reason());
                if !failed.is_retryable() {
                    return Err(failed);
                }
                if !attempts.exhausted() {
                    record.prefill_retry(clock::now(), failed.reason());
                }
                last = failed;
            }
        }
    }
    Err(last)
}

/// One attempt at one candidate: the whole answer, if it is a success.
pub(crate) async fn once(
    leg: &Leg<'_>,
    prefiller: &Prefiller,
    body: Bytes,
    trace: &TraceContext,
) -> Result<Answer, Failed> {
    let Prefiller { peer, target } = prefiller;
    let mut request = leg.asked.leg(body);
    trace.inject(request.headers_mut());
    if let Some(rank) = leg.rank {
        request.headers_mut().insert(DATA_PARALLEL_RANK, rank.into());
    }
    let sent = match leg.late {
        Some(late) => leg.client.send_or_leave(target, request, &mut |abandoned| late.wait(abandoned, peer)).await,
        None => leg.client.send(target, request).await,
    };
    let (head, mut stream) = sent.map_err(|error| Failed::broken(&error))?.into_parts();
    let body = if leg.reads || !head.status.is_success() {
        let late = leg.late.filter(|_| head.status.is_success());
        let mut stream = scopeguard::guard(stream, |stream| {
            if let Some(late) = late {
                late.finish(stream, peer);
            }
        });
        let collected = collect(&mut *stream, leg.patience.max_body).await;
        drop(ScopeGuard::into_inner(stream));
        collected.map_err(|error| Failed::cut("prefill_response_broken", &error))?
    } else {
        while let Some(frame) = next_frame(&mut stream).await {
            frame.map_err(|error| Failed::broken(&error))?;
        }
        Bytes::new()
    };
    let answer = Answer { status: head.status, headers: head.headers, body };
    if answer.status.is_success() { Ok(answer) } else { Err(Failed::Answered(Box::new(answer))) }
}

/// Why an attempt did not succeed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The engine refused.
    Answered(Box<Answer>),
    /// There was no answer, or half of one.
    Broken {
        /// A short name of what happened, fit for a label.
        reason: &'static str,
        message: String,
        blame: Blame,
    },
    /// Time was up.
    TimedOut(Duration),
}

impl Failed {
    pub(crate) fn timed_out(limit: Duration) -> Self {
        Self::TimedOut(limit)
    }

    /// There is nobody to ask.
    pub(crate) fn no_candidate() -> Self {
        Self::Broken { reason: "no_candidate", message: "no prefill host".to_owned(), blame: Blame::Candor }
    }

    /// The leg was cut off when the process had to end.
    pub(crate) fn shut_down() -> Self {
        Self::Broken {
            reason: "shutdown",
            message: "the coordinator is shutting down".to_owned(),
            blame: Blame::Candor,
        }
    }

    /// The prefill server's bootstrap service is of no use.
    pub(crate) fn bootstrap(message: String) -> Self {
        Self::Broken { reason: "bootstrap", message, blame: Blame::Upstream }
    }

    /// The leg cannot be planned.
    pub(crate) fn unplanned(error: PlanError) -> Self {
        Self::Broken { reason: "invalid_request", message: error.to_string(), blame: Blame::Candor }
    }

    fn broken(error: &ClientError) -> Self {
        let reason = match error.kind() {
            Broken::InvalidRequest | Broken::RequestBody => "invalid_request",
            kind => kind.name(),
        };
        Self::Broken { reason, message: error.to_string(), blame: blame(error) }
    }

    fn cut(reason: &'static str, error: &dyn std::error::Error) -> Self {
        Self::Broken { reason, message: error.to_string(), blame: Blame::Network }
    }

    /// Whether another host, or the same one later, may do better: connections that failed, and the statuses that speak
    /// about the server rather than about the request.
    pub(crate) fn is_retryable(&self) -> bool {
        const PASSING: [StatusCode; 3] =
            [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
        match self {
            Self::Answered(answer) => PASSING.contains(&answer.status),
            Self::Broken { reason, .. } => *reason != "invalid_request",
            Self::TimedOut(_) => false,
        }
    }

    /// A short name, fit for a label.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Answered(answer) => match answer.status.as_u16() {
                502 => "502",
                503 => "503",
                504 => "504",
                400..500 => "4xx",
                _ => "5xx",
            },
            Self::Broken { reason, .. } => reason,
            Self::TimedOut(_) => "timeout",
        }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Answered(answer) => Some(answer.status.as_u16()),
            Self::Broken { .. } | Self::TimedOut(_) => None,
        }
    }

    pub(crate) fn into_failure(self) -> Failure {
        let (kind, message, blame) = match self {
            Self::Answered(answer) => return Failure::Answered { stage: Stage::Prefill, answer },
            Self::Broken { message, blame, .. } => (ErrorKind::BadGateway, format!("prefill failed: {message}"), blame),
            Self::TimedOut(limit) => {
                (ErrorKind::Timeout, format!("prefill took longer than {limit:?}"), Blame::Upstream)
            }
        };
        Failure::Made { stage: Stage::Prefill, blame, error: ApiError::new(kind, message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(candidates: usize, retries: u32) -> Vec<(usize, bool)> {
        let patience =
            Patience { retries, backoff: Duration::from_millis(200), limit: Duration::from_secs(300), max_body: 1 };
        let mut attempts = Attempts::new(candidates, patience);
        std::iter::from_fn(|| attempts.next()).map(|(index, pause)| (index, pause.is_some())).collect()
    }

    #[test]
    fn every_candidate_has_a_chance_and_retries_come_after() {
        assert_eq!(order(1, 0), [(0, false)]);
        assert_eq!(order(1, 2), [(0, false), (0, true), (0, true)]);
        assert_eq!(order(2, 0), [(0, false), (1, false)]);
        assert_eq!(order(2, 3), [(0, false), (1, false), (0, true), (1, true), (0, true)]);
        assert!(order(0, 5).is_empty());
    }
}
