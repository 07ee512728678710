//! Parts against wholes, for every request: rule 5 of `design/latency.md`, seen from outside.

use super::join::Joined;
use crate::published::attribute;
use crate::spans::Span;
use crate::verdict::{Holds, Offender, SumCheck};

/// A double of milliseconds holds nanoseconds exactly, but a sum of several rounds in its last digits; a nanosecond
/// is more than that and less than anything that is measured.
const TOLERANCE_MS: f64 = 1e-6;

/// How many of the worst requests are named.
const OFFENDERS: usize = 5;

/// One sum: a whole and the parts that make it up.
struct Sum {
    name: &'static str,
    span: for<'s> fn(&Joined<'s>) -> Option<&'s Span>,
    whole: &'static str,
    /// Absent ones count as nothing: a stage that was not entered has no part.
    parts: &'static [&'static str],
}

const SUMS: &[Sum] = &[
    Sum {
        name: "true TTFT = gateway + preprocess + prefill + KV transfer + first step",
        span: |joined| joined.decode.filter(|decode| serial(decode) && splits(decode)),
        whole: attribute::TRUE_TTFT_MS,
        parts: &[
            attribute::GATEWAY_PART_MS,
            attribute::PREPROCESS_PART_MS,
            attribute::PREFILL_MS,
            attribute::KV_TRANSFER_MS,
            attribute::FIRST_DECODE_STEP_MS,
        ],
    },
    Sum {
        name: "true TTFT = time to decode start + first step",
        span: |joined| joined.decode.filter(|decode| splits(decode)),
        whole: attribute::TRUE_TTFT_MS,
        parts: &[attribute::TIME_TO_DECODE_START_MS, attribute::FIRST_DECODE_STEP_MS],
    },
    Sum {
        name: "gateway TTFT = sum of its components",
        span: |joined| joined.gateway,
        whole: attribute::GATEWAY_TTFT_MS,
        parts: attribute::GATEWAY_COMPONENTS_MS,
    },
];

/// In concurrent protocols the legs overlap, and the sum runs along the critical path instead.
fn serial(decode: &Span) -> bool {
    decode.flag(attribute::CONCURRENT) != Some(true)
}

/// Where the client left after the first token of the first request, nobody knows how long a step takes; then the parts that
/// depend on it are absent.
fn splits(decode: &Span) -> bool {
    decode.number(attribute::FIRST_DECODE_STEP_MS).is_some()
}

/// Checks every sum over every request that carries its numbers.
pub(super) fn check(joined: &[Joined<'_>]) -> Vec<SumCheck> {
    SUMS.iter().map(|sum| sum.check(joined)).collect()
}

impl Sum {
    fn check(&self, joined: &[Joined<'_>]) -> SumCheck {
        let mut off: Vec<(f64, Offender)> = joined.iter().filter_map(|j| self.of(j)).collect();
        off.sort_by(|a, b| b.0.total_cmp(&a.0));
        let compared = off.len() as u64;
        let worst_ms = off.first().map_or(0.0, |(difference, _)| *difference);
        let wrong = off.iter().filter(|(difference, _)| *difference > TOLERANCE_MS).count();
        let holds = if compared == 0 {
            Holds::Unchecked("no span carries these numbers".to_owned())
        } else if wrong > 0 {
            Holds::No(format!("{wrong} of {compared} requests do not add up"))
        } else {
            Holds::Yes
        };
        SumCheck {
            name: self.name,
            compared,
            worst_us: worst_ms * 1e3,
            holds,
            offenders: off.into_iter().take(wrong.min(OFFENDERS)).map(|(_, offender)| offender).collect(),
        }
    }

    /// How far one request's parts are from its whole.
    fn of(&self, joined: &Joined<'_>) -> Option<(f64, Offender)> {
        let span = (self.span)(joined)?;
        let whole = span.number(self.whole)?;
        let mut parts = self.parts.iter().filter_map(|part| span.number(part)).peekable();
        parts.peek()?;
        let sum: f64 = parts.sum();
        let offender = Offender {
            request_id: joined.record.request_id.clone(),
            trace_id: joined.record.trace_id.clone(),
            reported_ms: Some(whole),
            expected_ms: sum,
        };
        Some(((whole - sum).abs(), offender))
    }
}
