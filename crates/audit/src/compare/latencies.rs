//! Reported latencies of single requests against the stopwatch.

use super::join::Joined;
use super::{Allowances, Allowed, Seat};
use crate::published::attribute;
use crate::record::{End, Record};
use crate::spans::Span;
use crate::stats::Quantiles;
use crate::verdict::{Holds, LatencyCheck, Offender, Spread};

/// How many of the worst requests are named.
const OFFENDERS: usize = 5;

/// One comparison: which attribute of which span is held against which time of the client's.
struct Comparison {
    name: &'static str,
    seat: Seat,
    reported_ms: fn(&Joined<'_>) -> Option<f64>,
    stopwatch_ns: fn(&Record) -> Option<u64>,
}

/// The comparison that the product is about.
pub(crate) const TRUE_TTFT: &str = "true TTFT (coordinator)";

/// What the gateway reports, and all there is where no coordinator is.
pub(crate) const GATEWAY_TTFT: &str = "TTFT (gateway)";

const COMPARISONS: &[Comparison] = &[
    Comparison {
        name: TRUE_TTFT,
        seat: Seat::Coordinator,
        reported_ms: |joined| number(joined.decode, attribute::TRUE_TTFT_MS),
        stopwatch_ns: first_token,
    },
    Comparison {
        name: GATEWAY_TTFT,
        seat: Seat::Gateway,
        reported_ms: |joined| number(joined.gateway, attribute::GATEWAY_TTFT_MS),
        stopwatch_ns: first_token,
    },
    Comparison {
        name: "total (coordinator)",
        seat: Seat::Coordinator,
        reported_ms: |joined| number(joined.decode, attribute::TOTAL_MS),
        stopwatch_ns: whole,
    },
    Comparison {
        name: "total (gateway)",
        seat: Seat::Gateway,
        reported_ms: |joined| number(joined.gateway, attribute::GATEWAY_E2E_MS),
        stopwatch_ns: whole,
    },
    Comparison {
        name: "total of refusals (gateway)",
        seat: Seat::Gateway,
        reported_ms: |joined| number(joined.gateway, attribute::GATEWAY_E2E_MS),
        stopwatch_ns: refused,
    },
];

fn number(span: Option<&Span>, key: &str) -> Option<f64> {
    span?.number(key)
}

/// Streams only: who gets the answer in one piece sees no first token.
fn first_token(record: &Record) -> Option<u64> {
    record.first_ns.filter(|_| record.streamed_whole())
}

fn whole(record: &Record) -> Option<u64> {
    (record.end == End::Completed).then_some(record.end_ns)
}

/// An answer other than 2xx, be it a queue that was full or an engine that failed.
fn refused(record: &Record) -> Option<u64> {
    (record.end == End::Refused).then_some(record.end_ns)
}

/// Makes every comparison that the run has both sides of.
pub(super) fn check(joined: &[Joined<'_>], allowances: Allowances) -> Vec<LatencyCheck> {
    let taken = COMPARISONS.iter().filter(|comparison| allowances.taken(comparison.seat));
    taken.map(|comparison| comparison.check(joined, allowances.at(comparison.seat))).collect()
}

/// Both numbers of one request, in nanoseconds.
struct Pair<'a> {
    record: &'a Record,
    stopwatch: u64,
    reported: u64,
}

impl Pair<'_> {
    fn difference(&self) -> u64 {
        self.reported.abs_diff(self.stopwatch)
    }

    fn offender(&self) -> Offender {
        Offender {
            request_id: self.record.request_id.clone(),
            trace_id: self.record.trace_id.clone(),
            reported_ms: Some(self.reported as f64 / 1e6),
            expected_ms: self.stopwatch as f64 / 1e6,
        }
    }
}

impl Comparison {
    fn check(&self, joined: &[Joined<'_>], allowed: Allowed) -> LatencyCheck {
        let expected = joined.iter().filter(|j| (self.stopwatch_ns)(j.record).is_some()).count();
        let mut pairs: Vec<Pair<'_>> = joined.iter().filter_map(|j| self.pair(j)).collect();
        let differences: Vec<u64> = pairs.iter().map(Pair::difference).collect();
        let holds = judge(&Quantiles::of(differences.clone()), expected, allowed);
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.difference()));
        let offenders = match holds {
            Holds::No(_) => pairs.iter().take(OFFENDERS).map(Pair::offender).collect(),
            Holds::Yes | Holds::Unchecked(_) => Vec::new(),
        };
        LatencyCheck {
            name: self.name,
            compared: pairs.len() as u64,
            stopwatch_ms: Spread::of_ns(pairs.iter().map(|p| p.stopwatch).collect()),
            reported_ms: Spread::of_ns(pairs.iter().map(|p| p.reported).collect()),
            difference_ms: Spread::of_ns(differences),
            bound_p50_ms: allowed.p50_ns as f64 / 1e6,
            bound_p99_ms: allowed.p99_ns as f64 / 1e6,
            holds,
            offenders,
        }
    }

    fn pair<'a>(&self, joined: &Joined<'a>) -> Option<Pair<'a>> {
        let reported_ms = (self.reported_ms)(joined)?;
        Some(Pair {
            record: joined.record,
            stopwatch: (self.stopwatch_ns)(joined.record)?,
            reported: (reported_ms * 1e6).round().max(0.0) as u64,
        })
    }
}

fn judge(differences: &Quantiles, expected: usize, allowed: Allowed) -> Holds {
    let (Some(p50), Some(p99)) = (differences.at(0.5), differences.at(0.99)) else {
        return match expected {
            0 => Holds::Unchecked("no request of the run has this number".to_owned()),
            _ => Holds::No(format!("reported for none of {expected} requests")),
        };
    };
    let missing = expected as u64 - differences.count();
    let over = |what: &str, found: u64, bound: u64| {
        let ms = |ns: u64| ns as f64 / 1e6;
        Holds::No(format!("{what} difference is {:.3} ms, allowed is {:.3} ms", ms(found), ms(bound)))
    };
    if missing > 0 {
        Holds::No(format!("not reported for {missing} of {expected} requests"))
    } else if p50 > allowed.p50_ns {
        over("the median", p50, allowed.p50_ns)
    } else if p99 > allowed.p99_ns {
        over("the p99", p99, allowed.p99_ns)
    } else {
        Holds::Yes
    }
}
