//! From a prepared request to the head of its answer: choose who serves it, send it there, and where that fails through no
//! fault of the client's, choose again.
//!
//! A failed attempt costs the client time and nothing else: it was sent nothing yet. The instance that failed, be it the one
//! of the prefill, is excluded from the next choice. Where no connection could be made, no engine has seen the request, so the next instance is tried
//! at once and whatever `--retry-max-count` says: as long as one engine lives, a dead one is no error.

use std::sync::Arc;
use std::time::Duration;

use telemetry::clock;
use telemetry::gateway::{Request as Record, Retry};

use crate::admission::Slot;
use crate::ask::Ask;
use crate::destination::Destination;
use crate::endpoints::Instance;
use crate::errors::Sent;
use crate::held::Held;
use crate::prepare::Prepared;
use crate::retry::{self, Reason};
use crate::routing::Excluded;
use crate::state::State;

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

/// Makes attempts until one gives an answer to pass on, be it an error. What the request holds until the last byte of a
/// success is left in `held`.
pub(crate) async fn answer(
    state: &State,
    ask: &Ask,
    record: &mut Record,
    prepared: &Prepared,
    slot: Slot<'_>,
    held: &mut Held,
) -> Sent {
    let mut attempts = Attempts { slot: Some(slot), excluded: Excluded::default(), retries: 0 };
    loop {
        let mut destination = Destination::choose(state, ask, record, prepared, &mut attempts).await?;
        attempts.slot = None;
        let sent = destination.dispatch(state, ask, record, prepared, &mut attempts).await;
        let again = match Reason::of(&sent) {
            Some(reason) => attempts.again(state, record, destination.culprit(&sent), reason),
            None => None,
        };
        let Some(pause) = again else {
            if sent.as_ref().is_ok_and(|response| response.status().is_success()) {
                held.leases = destination.into_leases();
            }
            return sent;
        };
        // Whatever it held of the one that failed is given back before another one is asked.
        drop((sent, destination));
        tokio::time::sleep(pause).await;
    }
}

impl Attempts<'_> {
    /// After how long there is another attempt after one that failed; `None` where its end is the answer.
    fn again(
        &mut self,
        state: &State,
        record: &mut Record,
        failed: &Arc<Instance>,
        reason: Reason,
    ) -> Option<Duration> {
        // A scheduler that insists on an instance that is not there must not be asked for ever.
        let is_new = self.excluded.add(failed);
        let elsewhere = is_new && reason == Reason::Unreached && self.excluded.leaves_any(&state.roster.load());
        let pause = match elsewhere {
            true => Duration::ZERO,
            false if self.retries < state.retry.max => {
                self.retries += 1;
                retry::pause(self.retries - 1, rand::random())
            }
            false => return None,
        };
        record.retry(Retry { at: clock::now(), target: failed.endpoint.as_str(), status: reason.status(), pause });
        Some(pause)
    }
}
