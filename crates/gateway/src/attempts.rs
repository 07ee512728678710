//! From a prepared request to the head of its answer: choose who serves it, send it there, and where that fails through no
//! fault of the client's, choose again.
//!
//! A failed attempt costs the client time and nothing else: it was sent nothing yet. The instance that failed is excluded
//! from the next choice. Where no connection could be made, no engine has seen the request, so the next instance is tried
//! at once and whatever `--retry-max-count` says: as long as one engine lives, a dead one is no error.

use telemetry::clock;
use telemetry::gateway::{Request as Record, Retry};

use crate::admission::Slot;
use crate::destination::Destination;
use crate::exchange::Ask;
use crate::prepare::Prepared;
use crate::retry::{self, Reason};
use crate::routing::Excluded;
use crate::state::State;
use crate::traffic::Sent;

/// What became of a request's attempts so far.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    /// The right to be placed; given back when the request is. A retry was admitted before and needs none.
    pub(crate) slot: Option<Slot<'a>>,
    /// Who failed.
    pub(crate) excluded: Excluded,
    /// How many times the request was sent again that count against the limit.
    retries: u32,
}

/// Makes attempts until one gives an answer to pass on, be it an error.
pub(crate) async fn answer(state: &State, ask: &Ask, record: &mut Record, prepared: &Prepared, slot: Slot<'_>) -> Sent {
    let mut attempts = Attempts { slot: Some(slot), excluded: Excluded::default(), retries: 0 };
    loop {
        let destination = Destination::choose(state, record, &attempts).await?;
        attempts.slot = None;
        let sent = destination.dispatch(state, ask, record, prepared).await;
        let Some(reason) = Reason::of(&sent) else { return sent };
        if !attempts.again(state, record, &destination, reason).await {
            return sent;
        }
    }
}

impl Attempts<'_> {
    /// Whether there is another attempt after one that failed; if so, after its pause.
    async fn again(&mut self, state: &State, record: &mut Record, failed: &Destination, reason: Reason) -> bool {
        let Destination::Local(placement) = failed;
        self.excluded.add(&placement.serving);
        let elsewhere = reason == Reason::Unreached && self.excluded.leaves_any(&state.roster.load());
        if !elsewhere && self.retries == state.retry.max {
            return false;
        }
        let pause = match elsewhere {
            true => std::time::Duration::ZERO,
            false => retry::pause(self.retries, rand::random()),
        };
        record.retry(Retry { at: clock::now(), target: failed.name(), status: reason.status(), pause });
        if !elsewhere {
            self.retries += 1;
            tokio::time::sleep(pause).await;
        }
        true
    }
}
