//! The coordinator's points and the P/D numbers.
//!
//! The hard one is the KV transfer, which nobody reports: it ends when the decoder starts to generate, one decode step
//! before its first token comes out. The step is estimated by this request's own first inter-token gap, else by the
//! decoder's moving average, and can never be longer than the time there was for it. So the numbers are bounds: the
//! transfer contains the decoder's queue.

use crate::clock::Moment;

/// How the two legs lie in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Legs {
    /// No prefill leg: the decoder does everything.
    #[default]
    DecodeOnly,
    /// Prefill, then decode.
    Serial,
    /// Both at once; the decoder waits for the prefill instance (SGLang, Mooncake).
    Concurrent,
}

/// Points on the coordinator's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoordinatorPoints {
    /// The request head has been parsed.
    pub received: Moment,
    /// Nanoseconds from the origin (the gateway's `received`) to `received`; 0 where the coordinator is the origin.
    pub origin_elapsed: u64,
    /// The (first) prefill request has been sent.
    pub prefill_sent: Option<Moment>,
    /// Last byte of the prefill response.
    pub prefill_done: Option<Moment>,
    /// The decode request has been sent.
    pub decode_sent: Option<Moment>,
    /// Decode response head.
    pub decode_accepted: Option<Moment>,
    /// First token-bearing chunk relayed.
    pub first_token: Option<Moment>,
    /// The next one.
    pub second_token: Option<Moment>,
    /// Tokens that the second token-bearing chunk carries (at least 1): the first gap is spread over them.
    pub second_tokens: u32,
    /// Last token-bearing chunk relayed.
    pub last_token: Option<Moment>,
    /// Last byte relayed, error or cancellation.
    pub finished: Option<Moment>,
}

/// The KV transfer and the decode step that bounds it, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvTransfer {
    /// Prefill complete to the decoder's start.
    pub overhead: u64,
    /// Origin to the decoder's start.
    pub time_to_decode_start: u64,
    /// The decoder's start to its first token.
    pub first_decode_step: u64,
    /// The part of the prefill leg that the first token waited for: all of it in serial protocols; in concurrent ones
    /// not what ran beside the decoder's generation.
    pub prefill_on_path: u64,
    /// The step is the decoder's moving average, not this request's own gap.
    pub estimated: bool,
    /// Concurrent legs overlapped so far that the overhead would be below zero.
    pub overlapped: bool,
}

/// Every number of `design/latency.md`, nanoseconds; absent where it was not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoordinatorNumbers {
    /// Origin to the coordinator's `received`.
    pub gateway: u64,
    /// `received` to the first leg sent.
    pub preprocess: Option<u64>,
    /// Origin to first token relayed.
    pub true_ttft: Option<u64>,
    /// Origin to last byte relayed.
    pub total_duration: Option<u64>,
    /// Prefill leg, retries and back-off included.
    pub prefill_duration: Option<u64>,
    /// Decode sent to last byte relayed.
    pub decode_duration: Option<u64>,
    /// Prefill done to decode sent; serial protocols only.
    pub coordination: Option<u64>,
    /// The transfer and what follows from it.
    pub kv_transfer: Option<KvTransfer>,
}

impl CoordinatorPoints {
    /// All numbers that these points allow. `average_step` is the decoder's moving average, used where the request has no
    /// second token.
    pub fn numbers(&self, legs: Legs, average_step: Option<u64>) -> CoordinatorNumbers {
        let disaggregated = legs != Legs::DecodeOnly;
        let since_origin = |at: Moment| self.origin_elapsed.saturating_add(at.nanos_since(self.received));
        let first_leg = self.prefill_sent.filter(|_| disaggregated).or(self.decode_sent);
        CoordinatorNumbers {
            gateway: self.origin_elapsed,
            preprocess: first_leg.map(|sent| sent.nanos_since(self.received)),
            true_ttft: self.first_token.map(since_origin),
            total_duration: self.finished.map(since_origin),
            prefill_duration: self.prefill_duration(),
            decode_duration: distance(self.decode_sent, self.finished),
            coordination: distance(self.prefill_done, self.decode_sent).filter(|_| legs == Legs::Serial),
            kv_transfer: self.kv_transfer(legs, average_step),
        }
    }

    /// The first inter-token gap, spread over the tokens that ended it: what a decode step costs.
    pub fn first_step(&self) -> Option<u64> {
        let gap = distance(self.first_token, self.second_token)?;
        Some(gap / u64::from(self.second_tokens.max(1)))
    }

    fn prefill_duration(&self) -> Option<u64> {
        distance(self.prefill_sent, self.prefill_done)
    }

    fn kv_transfer(&self, legs: Legs, average_step: Option<u64>) -> Option<KvTransfer> {
        let own_step = self.first_step();
        let step = own_step.or(average_step)?;
        let (first, sent) = (self.first_token?, self.prefill_sent?);
        let ttft = self.origin_elapsed.saturating_add(first.nanos_since(self.received));
        // The decoder cannot have started before it was able to: after its own request, and in serial protocols the prefill.
        let earliest = match legs {
            Legs::DecodeOnly => return None,
            Legs::Serial => self.decode_sent?.max(self.prefill_done?),
            Legs::Concurrent => self.decode_sent?.max(sent),
        };
        let step = step.min(first.nanos_since(earliest));
        let decode_start = Moment::from_nanos(first.as_nanos() - step);
        let prefill_end = self.prefill_done.unwrap_or(first);
        Some(KvTransfer {
            overhead: decode_start.nanos_since(prefill_end),
            time_to_decode_start: ttft - step,
            first_decode_step: step,
            prefill_on_path: prefill_end.min(decode_start).nanos_since(sent),
            estimated: own_step.is_none(),
            overlapped: prefill_end > decode_start,
        })
    }
}

fn distance(from: Option<Moment>, to: Option<Moment>) -> Option<u64> {
    Some(to?.nanos_since(from?))
}
