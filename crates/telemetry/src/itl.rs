//! Inter-token latencies of one request, observed exactly and cheaply.

use crate::clock::Moment;
use crate::metrics::Histogram;

/// Gaps held back before they go to the histogram under one lock.
const CAPACITY: usize = 32;

/// A per-request buffer of token gaps. Pushing is allocation-free and touches no shared memory but every 32nd time;
/// what is left is flushed at the request's end.
#[derive(Debug)]
pub(crate) struct GapBuffer {
    gaps: [(u64, u32); CAPACITY],
    len: usize,
    last: Option<Moment>,
}

impl GapBuffer {
    pub(crate) fn new() -> Self {
        Self { gaps: [(0, 0); CAPACITY], len: 0, last: None }
    }

    /// A chunk with `tokens` tokens at `now`. The first only sets the start. Says whether the buffer is full.
    pub(crate) fn push(&mut self, now: Moment, tokens: u32) -> bool {
        if let Some(last) = self.last {
            self.gaps[self.len] = (now.nanos_since(last), tokens);
            self.len += 1;
        }
        self.last = Some(now);
        self.len == CAPACITY
    }

    /// Moves everything into `histogram`.
    pub(crate) fn flush(&mut self, histogram: &Histogram) {
        if self.len > 0 {
            histogram.observe_all(self.gaps[..self.len].iter().flat_map(|&(gap, tokens)| spread(gap, tokens)));
            self.len = 0;
        }
    }
}

/// A gap spread over the tokens it brought, as (value, times): the values differ by at most a nanosecond and add up to
/// the gap exactly.
fn spread(gap: u64, tokens: u32) -> [(u64, u64); 2] {
    let tokens = u64::from(tokens.max(1));
    let (each, longer) = (gap / tokens, gap % tokens);
    [(each, tokens - longer), (each + 1, longer)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{GapBuffer, spread};
    use crate::catalogue::gateway::ITL_MILLISECONDS;
    use crate::clock::Moment;
    use crate::metrics::Registry;

    proptest! {
        #[test]
        fn the_observations_add_up_to_last_minus_first(
            chunks in prop::collection::vec((0_u64..1_000_000_000, 1_u32..9), 1..200),
        ) {
            let histogram = Registry::new().histogram(&ITL_MILLISECONDS).with(["m"]);
            let mut gaps = GapBuffer::new();
            let mut now = 1_u64 << 40;
            let first = now + chunks[0].0;
            for &(gap, tokens) in &chunks {
                now += gap;
                if gaps.push(Moment::from_nanos(now), tokens) {
                    gaps.flush(&histogram);
                }
            }
            gaps.flush(&histogram);
            prop_assert_eq!(histogram.sum_ticks(), u128::from(now - first));
            let tokens: u64 = chunks[1..].iter().map(|&(_, tokens)| u64::from(tokens)).sum();
            prop_assert_eq!(histogram.count(), tokens);
        }

        #[test]
        fn a_gap_is_spread_exactly(gap: u64, tokens in 0_u32..1000) {
            let sum: u128 = spread(gap, tokens).map(|(value, times)| u128::from(value) * u128::from(times)).iter().sum();
            prop_assert_eq!(sum, u128::from(gap));
        }
    }
}
