//! Stages that are placed apart: the decode instance is chosen when the prompt is computed, by what is true then.
//!
//! In between the prefill instance holds the prompt's blocks. Whatever ends the request there (its client leaves, nobody can
//! be placed on) has them freed by a decode leg for one token, sent to the instance that was guessed at the start. A decode
//! instance that turns out not to be there costs another choice, and not another prefill.

use std::sync::Arc;
use std::time::Duration;

use coordinator::{Asked, Decoded, Decoder, Failure, Prefilled};
use telemetry::clock;
use telemetry::coordinator::Request as LegsRecord;
use telemetry::gateway::{Request as Record, Retry};

use crate::ask::Ask;
use crate::attempts::Attempts;
use crate::disagg::Disagg;
use crate::endpoints::Instance;
use crate::errors::{Refusal, Sent};
use crate::outcome;
use crate::placing;
use crate::prepare::Prepared;
use crate::routing::Placement;
use crate::state::State;

/// A request on its way through both stages.
pub(crate) struct Staged<'a, 'slot> {
    pub(crate) state: &'a State,
    pub(crate) disagg: &'a Disagg,
    pub(crate) ask: &'a Ask,
    pub(crate) record: &'a mut Record,
    pub(crate) prepared: &'a Prepared,
    pub(crate) attempts: &'a mut Attempts<'slot>,
}

/// Why there is no answer.
enum End {
    /// A leg failed.
    Leg(Failure),
    /// Nobody was found for the decode stage.
    Unplaced(Refusal),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Leg(failure)
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Unplaced(refusal)
    }
}

impl Staged<'_, '_> {
    /// Runs both stages, and waits for the head of the answer. `placement` has the prefill instance, and a guess at the one
    /// that serves; it is left with who serves at last.
    pub(crate) async fn dispatch(mut self, placement: &mut Placement, prefill: &Arc<Instance>) -> Sent {
        let mut legs = self.disagg.begin(self.ask, self.record, self.prepared);
        let asked = self.disagg.asked(self.ask, self.prepared)?;
        match Box::pin(self.run(&asked, placement, prefill, &mut legs)).await {
            Ok(decoded) => Ok(Box::pin(decoded.answer(legs, true)).await),
            Err(End::Leg(failure)) => self.disagg.failed(failure, legs),
            Err(End::Unplaced(refusal)) => {
                let status = refusal.to_response(None).status();
                legs.finish(clock::now(), outcome::of_refusal(&refusal, status));
                Err(refusal)
            }
        }
    }

    async fn run(
        &mut self,
        asked: &Arc<Asked>,
        placement: &mut Placement,
        prefill: &Arc<Instance>,
        legs: &mut LegsRecord,
    ) -> Result<Decoded, End> {
        let runner = self.disagg.runner();
        let prefillers = self.disagg.prefillers(prefill, &self.attempts.excluded);
        legs.candidates(prefillers.len());
        let spare = self.disagg.decoder(&placement.serving);
        let mut prefilled = match runner.prefill(asked, &spare, &prefillers, legs).await {
            Ok(prefilled) => prefilled,
            Err(failure) if runner.may_decode_alone(&failure) => {
                legs.decode_only("prefill_failed");
                self.record.decode_scheduling(clock::now());
                let decoder = self.decoder(placement, legs).await?;
                return Ok(runner.decode_alone(asked, &decoder, legs).await?);
            }
            Err(failure) => return Err(failure.into()),
        };
        // The prefill instance has done its part.
        placement.delivered();
        placement.leases.clear();
        self.record.decode_scheduling(clock::now());
        loop {
            match self.decode(&mut prefilled, placement, legs).await {
                Err(End::Leg(failure)) if failure.is_unreached() && self.others(placement) => {}
                ended => return ended,
            }
        }
    }

    /// One attempt at the decode stage.
    async fn decode(
        &mut self,
        prefilled: &mut Prefilled,
        placement: &mut Placement,
        legs: &mut LegsRecord,
    ) -> Result<Decoded, End> {
        let decoder = self.decoder(placement, legs).await?;
        Ok(self.disagg.runner().decode_prefilled(prefilled, &decoder, legs).await?)
    }

    /// Chooses who serves the decode stage.
    async fn decoder(&mut self, placement: &mut Placement, legs: &mut LegsRecord) -> Result<Decoder, Refusal> {
        let Self { state, ask, record, prepared, attempts, .. } = self;
        let stage = placing::place_decode(state, ask, record, prepared, attempts, &placement.serving).await?;
        placement.serving = stage.instance;
        placement.leases = stage.lease.into_iter().collect();
        let decoder = self.disagg.decoder(&placement.serving);
        legs.decode_target(decoder.target.authority());
        Ok(decoder)
    }

    /// Whether there is another decode instance to try than the one that is not there, which is given back.
    fn others(&mut self, placement: &mut Placement) -> bool {
        let is_new = self.attempts.excluded.add(&placement.serving);
        if !is_new || !self.attempts.excluded.leaves_any(&self.state.roster.load()) {
            return false;
        }
        placement.leases.clear();
        let target = placement.serving.endpoint.as_str();
        self.record.decode_retry(Retry { at: clock::now(), target, status: None, pause: Duration::ZERO });
        true
    }
}
