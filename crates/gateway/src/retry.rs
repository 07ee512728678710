//! Whether a request that failed is sent again, and after how long.
//!
//! Only what an engine or the way to it did wrong is tried again, and only as long as the client was sent nothing. A
//! request that the engine refused for its content, that cannot be sent as it is, or that ran into a time-out (it may be
//! running still) would fare no better elsewhere.

use std::time::Duration;

use http::StatusCode;
use proxy::client::ErrorKind;
use telemetry::{Blame, Stage};

use crate::disagg::AnsweredBy;
use crate::errors::{Refusal, Sent};
use crate::headers::CANDOR_ERROR;

/// The pause before the first retry; each further one doubles it. Llumnix's figures.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How often a request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryConfig {
    /// At most so often after the first attempt.
    pub max: u32,
}

/// Why an attempt may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There was no connection, so no engine has seen the request.
    Unreached,
    /// The connection broke before an answer.
    Broken,
    /// The engine answered that it cannot.
    Status(StatusCode),
}

impl Reason {
    /// Why an attempt that ended so may be repeated; `None` where its end is the answer.
    pub(crate) fn of(sent: &Sent) -> Option<Self> {
        match sent {
            Ok(response) => of_status(response.status()),
            Err(Refusal::Upstream { error, .. }) => of_fault(error.kind()),
            Err(Refusal::Legs { stage, blame, error }) => of_legs(*stage, *blame, error.status()),
            Err(_) => None,
        }
    }

    /// The status of the engine's answer, where it gave one.
    pub(crate) fn status(self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status.as_u16()),
            Self::Unreached | Self::Broken => None,
        }
    }
}

/// Whether it was the prefill instance that failed an attempt, as far as it is said.
pub(crate) fn is_prefills(sent: &Sent) -> bool {
    match sent {
        Ok(response) => {
            let by = response.extensions().get::<AnsweredBy>();
            let said = response.headers().get(CANDOR_ERROR);
            by.is_some_and(|AnsweredBy(stage)| *stage == Stage::Prefill)
                || said.is_some_and(|stage| stage.as_bytes() == Stage::Prefill.as_str().as_bytes())
        }
        Err(Refusal::Legs { stage, .. }) => *stage == Stage::Prefill,
        Err(_) => false,
    }
}

/// A decoder that is not there has seen nothing. A prefill that failed has had all its chances, on other instances too; a
/// decode leg that broke may do better elsewhere.
fn of_legs(stage: Stage, blame: Blame, status: u16) -> Option<Reason> {
    match (stage, blame, status) {
        (Stage::Decode, Blame::Network, 503) => Some(Reason::Unreached),
        (Stage::Prefill | Stage::Decode, Blame::Network | Blame::Upstream, 502 | 503) => Some(Reason::Broken),
        _ => None,
    }
}

fn of_status(status: StatusCode) -> Option<Reason> {
    let theirs = matches!(status.as_u16(), 500 | 502 | 503 | 504);
    theirs.then_some(Reason::Status(status))
}

fn of_fault(fault: ErrorKind) -> Option<Reason> {
    match fault {
        fault if fault.is_connect() => Some(Reason::Unreached),
        ErrorKind::ClosedBeforeResponse | ErrorKind::ResetMidResponse | ErrorKind::Protocol => Some(Reason::Broken),
        _ => None,
    }
}

/// The pause before retry number `retry` (from 0): exponential, and by half a matter of chance, so that requests which
/// failed together do not come back together. `chance` is from 0 to 1.
pub(crate) fn pause(retry: u32, chance: f64) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(retry).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
    whole.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_vary_by_half() {
        let whole: Vec<_> = (0..6).map(|retry| pause(retry, 1.0).as_millis()).collect();
        assert_eq!(whole, [10, 20, 40, 80, 100, 100]);
        let least: Vec<_> = (0..6).map(|retry| pause(retry, 0.0).as_millis()).collect();
        assert_eq!(least, [5, 10, 20, 40, 50, 50]);
        assert_eq!(pause(u32::MAX, 1.0), LONGEST_PAUSE);
    }

    #[test]
    fn only_what_the_other_side_did_wrong_is_repeated() {
        for (status, repeated) in
            [(200, false), (400, false), (404, false), (429, false), (500, true), (501, false), (503, true)]
        {
            assert_eq!(of_status(StatusCode::from_u16(status).unwrap()).is_some(), repeated, "{status}");
        }
        for (fault, want) in [
            (ErrorKind::Connect, Some(Reason::Unreached)),
            (ErrorKind::Resolve, Some(Reason::Unreached)),
            (ErrorKind::ClosedBeforeResponse, Some(Reason::Broken)),
            (ErrorKind::ResponseTimeout, None),
            (ErrorKind::InvalidRequest, None),
            (ErrorKind::RequestBody, None),
        ] {
            assert_eq!(of_fault(fault), want, "{fault:?}");
        }
    }
}
