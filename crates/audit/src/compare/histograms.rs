//! Histograms against the sums and counts that follow from the client's records.

use super::{Allowances, Seat};
use crate::published::metric;
use crate::record::{End, LoadReport, Record};
use crate::scrape::Delta;
use crate::verdict::{Holds, NumberCheck};

/// One histogram and what the client's records say it must hold.
struct Histogram {
    name: &'static str,
    /// Who observes it.
    seat: Seat,
    /// Its unit in nanoseconds.
    unit_ns: f64,
    unit: &'static str,
    /// The sum (ns) and the number of observations that one request contributes.
    contribution: fn(&Record) -> Option<(u64, u64)>,
}

const HISTOGRAMS: &[Histogram] = &[
    Histogram {
        name: metric::GATEWAY_TTFT_MS,
        seat: Seat::Gateway,
        unit_ns: 1e6,
        unit: "ms",
        contribution: first_token,
    },
    Histogram { name: metric::GATEWAY_E2E_S, seat: Seat::Gateway, unit_ns: 1e9, unit: "s", contribution: whole },
    Histogram { name: metric::GATEWAY_ITL_MS, seat: Seat::Gateway, unit_ns: 1e6, unit: "ms", contribution: gaps },
    Histogram {
        name: metric::TRUE_TTFT_MS,
        seat: Seat::Coordinator,
        unit_ns: 1e6,
        unit: "ms",
        contribution: first_token,
    },
];

fn first_token(record: &Record) -> Option<(u64, u64)> {
    Some((record.first_ns?, 1))
}

fn whole(record: &Record) -> Option<(u64, u64)> {
    (record.end == End::Completed).then_some((record.end_ns, 1))
}

/// A gap is spread over the tokens that ended it, so there are as many observations as tokens after the first chunk.
fn gaps(record: &Record) -> Option<(u64, u64)> {
    let between = record.last_ns?.checked_sub(record.first_ns?)?;
    Some((between, record.tokens_after_first))
}

/// Checks count and sum of every histogram.
pub(super) fn check(load: &LoadReport, delta: &Delta, allowances: Allowances) -> Vec<NumberCheck> {
    let check = |histogram: &Histogram| histogram.check(load, delta, allowances);
    HISTOGRAMS.iter().filter(|histogram| allowances.taken(histogram.seat)).flat_map(check).collect()
}

impl Histogram {
    fn check(&self, load: &LoadReport, delta: &Delta, allowances: Allowances) -> [NumberCheck; 2] {
        let contributions: Vec<(u64, u64)> = load.records.iter().filter_map(self.contribution).collect();
        let sum: u64 = contributions.iter().map(|(sum, _)| sum).sum();
        let count: u64 = contributions.iter().map(|(_, count)| count).sum();
        // Of a client that leaves, the server may have relayed a token more than the client has read.
        let open = load.records.iter().filter(|r| r.end == End::Cancelled).count();
        let reported = delta.histogram(self.name);
        let requests = contributions.len() as f64;
        [
            self.number("count", "", count as f64, reported.map(|(_, count)| count), 0.0, open),
            self.number(
                "sum",
                self.unit,
                sum as f64 / self.unit_ns,
                reported.map(|(sum, _)| sum),
                requests * allowances.at(self.seat).p99_ns as f64 / self.unit_ns,
                open,
            ),
        ]
    }

    fn number(
        &self,
        what: &str,
        unit: &'static str,
        client: f64,
        reported: Option<f64>,
        tolerance: f64,
        open: usize,
    ) -> NumberCheck {
        let holds = match reported {
            None => Holds::Unchecked("the metric is not exposed".to_owned()),
            Some(_) if open > 0 => {
                Holds::Unchecked(format!("{open} clients left early; what was on its way to them is in the histogram"))
            }
            Some(reported) if (reported - client).abs() <= tolerance => Holds::Yes,
            Some(reported) => Holds::No(format!("the client has {client:.3}, reported is {reported:.3}")),
        };
        NumberCheck {
            name: format!("{} {what}", self.name),
            expected: client,
            reported: reported.unwrap_or(0.0),
            tolerance,
            unit,
            holds,
        }
    }
}
