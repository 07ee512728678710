//! What two statuses of an instance, one after the other, tell of its steps; and how right it was what was expected between
//! them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use cluster::records::InstanceStatus;
use telemetry::clock::Moment;

use super::build::{Status, Taken};
use super::{Instance, Load};
use crate::account::Inflight;
use crate::predict::{Forecast, Situation, Step};

/// The latest step, where the status tells of another one than the status before. Requests may have come to decode by that
/// very step: in one that computed prompt tokens, those count that decoded before it and after.
pub(super) fn step(before: Option<&Status>, record: &InstanceStatus) -> Option<Step> {
    if record.profiling_id <= before.map_or(0, |before| before.profiling_id) {
        return None;
    }
    let now = Load::of(record);
    let (running, tokens) = (now.scheduler_running_to_decode_requests, now.scheduler_running_to_decode_tokens);
    let prefill_tokens = i64::from(record.num_scheduled_prefill_tokens);
    let batch = match before {
        Some(before) if prefill_tokens > 0 => running.min(before.load.scheduler_running_to_decode_requests),
        None if prefill_tokens > 0 => 0,
        _ => running,
    };
    let context = if running > 0 { tokens * batch / running } else { 0 };
    Some(Step { prefill_tokens, batch, context, ms: record.step_duration })
}

/// How far the computing of prompts was from where it was expected, as a share of what there was to compute. Known where one
/// status follows the other and no request came in between.
pub(super) fn progress(
    forecast: &Forecast,
    before: &Status,
    (record, taken): (&InstanceStatus, Taken),
    batched: u64,
) -> Option<f64> {
    let follows = taken == Taken::New && i64::from(record.update_id) == i64::from(before.update_id) + 1;
    let (was, is) = (before.load.uncomputed(), Load::of(record).uncomputed());
    // An engine may list for some time who has come.
    let came = recent(record).iter().any(|id| before.recent.binary_search(id).is_err());
    if !follows || came || was == 0 || is > was {
        return None;
    }
    let elapsed = u64::try_from(record.timestamp_ms.saturating_sub(before.timestamp_ms)).ok()?;
    let at = before.load.prompts(Duration::from_millis(elapsed), batched);
    let expected = forecast.computed(&at)?;
    Some((expected - (was - is) as f64).abs() / was as f64)
}

/// Who has come lately, as hashes in order.
pub(super) fn recent(record: &InstanceStatus) -> Arc<[u64]> {
    let hash = |id: &String| {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        hasher.finish()
    };
    let mut ids: Vec<u64> = record.recent_waiting_requests.iter().map(hash).collect();
    ids.sort_unstable();
    ids.into()
}

impl Load {
    /// Prompt tokens that are not computed.
    fn uncomputed(&self) -> i64 {
        self.uncomputed_all_waiting_prefills + self.uncomputed_running_prefills
    }

    /// What there was to do when the status was written, so long ago.
    fn prompts(&self, elapsed: Duration, batched: u64) -> Situation {
        Situation {
            uncomputed: self.uncomputed(),
            elapsed,
            batch: self.scheduler_running_to_decode_requests,
            context: self.scheduler_running_to_decode_tokens,
            batched,
            ..Situation::default()
        }
    }
}

impl Instance {
    fn situation(&self, inflight: &Inflight, now: Moment) -> Situation {
        let promised = self.seat.promised() - now;
        let at = self.load.prompts(now - self.written_at, self.max_batched_tokens);
        Situation { inflight: inflight.prefill_tokens, promised, ..at }
    }

    /// Milliseconds to the first token of a request with so many prompt tokens to compute here. `None` where that is not
    /// known.
    #[must_use]
    pub fn predicted_ttft_ms(&self, prompt_tokens: u64, now: Moment) -> Option<f64> {
        let forecast = self.forecast.as_ref()?;
        forecast.ttft_ms(&self.situation(&self.seat.account.read(), now), prompt_tokens)
    }

    /// Milliseconds a token, once a request of so many tokens decodes here too. `None` where that is not known.
    #[must_use]
    pub fn predicted_tpot_ms(&self, tokens: u64, now: Moment) -> Option<f64> {
        let (forecast, inflight) = (self.forecast.as_ref()?, self.seat.account.read());
        let (batch, context) = (self.load.decode_batch_size(&inflight), self.load.all_decodes_tokens(&inflight));
        forecast.tpot_ms(&Situation { batch, context, ..self.situation(&inflight, now) }, tokens)
    }

    /// Milliseconds a token of those that decode here; 0 where nobody does. `None` where it is not known.
    #[must_use]
    pub fn predicted_step_ms(&self, now: Moment) -> Option<f64> {
        let (forecast, inflight) = (self.forecast.as_ref()?, self.seat.account.read());
        let (batch, context) = (self.load.decode_batch_size(&inflight), self.load.all_decodes_tokens(&inflight));
        forecast.decode_ms(&Situation { batch, context, ..self.situation(&inflight, now) })
    }

    /// Prompt tokens that it will have computed since its status was written; 0 where that is not known.
    #[must_use]
    pub fn computed_since(&self, now: Moment) -> f64 {
        let known =
            self.forecast.as_ref().and_then(|forecast| forecast.computed(&self.situation(&Inflight::default(), now)));
        known.unwrap_or(0.0)
    }
}
