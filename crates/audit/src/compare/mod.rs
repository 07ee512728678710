//! Holding what was reported against what the client saw (`design/latency.md`, "How it is proven").
//!
//! Three kinds of evidence, three kinds of check. A span carries numbers of one request, so each is held against that
//! request's stopwatch, and its parts against its whole. A histogram knows no request, but its sum and count do follow
//! from the client's records. A counter must equal the client's own count, exactly.

mod counts;
mod engines;
mod histograms;
mod join;
mod latencies;
mod stages;
mod sums;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use latencies::{GATEWAY_TTFT, TRUE_TTFT};

use crate::echo::Noise;
use crate::record::{End, LoadReport, Record};
use crate::scrape::Delta;
use crate::spans::Spans;
use crate::verdict::{EchoSummary, Holds, NumberCheck, RunSummary, Spread, Verdict};
use join::Joined;

/// How far a reported latency may be from the stopwatch, beyond the echo probe's round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At the median.
    pub p50: Duration,
    /// At the 99th percentile.
    pub p99: Duration,
}

impl Default for Bounds {
    /// The bounds of `design/latency.md` on loopback: 0.2 ms and 1 ms.
    fn default() -> Self {
        Self { p50: Duration::from_micros(200), p99: Duration::from_millis(1) }
    }
}

/// What the run was meant to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Nobody injected any: a request that fails is a broken check.
    None,
    /// Some requests are meant to fail; they are counted like the others.
    Expected,
}

/// Everything there is to compare.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// What is audited.
    pub title: String,
    /// What the client saw.
    pub load: &'a LoadReport,
    /// The spans that were exported, where they can be read.
    pub spans: Option<&'a Spans>,
    /// What the metrics grew by over the run, where they can be scraped.
    pub metrics: Option<&'a Delta>,
    /// Whether requests were meant to fail.
    pub faults: Faults,
    /// Whether a coordinator stands before the engines. Without one (neutral engines) its numbers are not asked for.
    pub coordinated: bool,
    /// How exact the numbers must be.
    pub bounds: Bounds,
}

impl Evidence<'_> {
    /// Compares everything that can be compared.
    pub fn verdict(self) -> Verdict {
        let allowances = Allowances { bounds: self.bounds, noise: self.load.noise, coordinated: self.coordinated };
        let late_ns = allowances.at(Seat::Gateway).p99_ns;
        let joined = self.spans.map(|spans| Joined::all(&self.load.records, spans, late_ns));
        let (mut latencies, mut sums, mut stages, mut engines) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        if let Some(joined) = &joined {
            latencies = latencies::check(joined, allowances);
            sums = sums::check(joined);
            stages = stages::numbers(joined);
            engines = engines::claims(joined);
        }
        let mut numbers = vec![failures(self.load, self.faults)];
        if let Some(joined) = &joined {
            numbers.extend(counts::spans(joined, self.coordinated));
        }
        if let Some(delta) = self.metrics {
            numbers.extend(counts::check(self.load, joined.as_deref(), delta, self.coordinated));
            numbers.extend(histograms::check(self.load, delta, allowances));
        }
        Verdict { title: self.title, run: summary(self.load), latencies, sums, numbers, stages, engines }
    }
}

/// Whose number is compared: how many processes lie between it and the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seat {
    /// The client talks to it directly.
    Gateway,
    /// Behind the gateway.
    Coordinator,
}

/// The bounds of one run, its noise included.
#[derive(Clone, Copy, Debug)]
struct Allowances {
    bounds: Bounds,
    noise: Option<Noise>,
    coordinated: bool,
}

/// The bounds of one number in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    p50_ns: u64,
    p99_ns: u64,
}

impl Allowances {
    /// Whether anybody measures there in this run.
    fn taken(self, seat: Seat) -> bool {
        self.coordinated || seat != Seat::Coordinator
    }

    /// What a number taken at `seat` is allowed.
    fn at(self, seat: Seat) -> Allowed {
        let ns = |bound: Duration| u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        let (p50, p99) = self.noise.map_or((0, 0), |noise| match seat {
            Seat::Gateway => (noise.p50_ns, noise.p99_ns),
            Seat::Coordinator => (noise.two_p50_ns, noise.two_p99_ns),
        });
        Allowed { p50_ns: ns(self.bounds.p50).saturating_add(p50), p99_ns: ns(self.bounds.p99).saturating_add(p99) }
    }
}

fn failures(load: &LoadReport, faults: Faults) -> NumberCheck {
    let failed = load.records.iter().filter(|record| record.failed());
    let count = failed.clone().count();
    let holds = match (faults, failed.clone().next()) {
        (Faults::None, Some(first)) => {
            Holds::No(format!("{count} failed, the first of them {}: {}", first.request_id, told(first)))
        }
        (Faults::Expected, _) | (Faults::None, None) if load.records.is_empty() => {
            Holds::No("no request was made".to_owned())
        }
        (Faults::Expected, _) => Holds::Unchecked("faults were injected".to_owned()),
        (Faults::None, None) => Holds::Yes,
    };
    NumberCheck {
        name: "failed requests".to_owned(),
        expected: count as f64,
        reported: 0.0,
        tolerance: 0.0,
        unit: "",
        holds,
    }
}

fn told(record: &Record) -> String {
    match (&record.end, record.status) {
        (End::Broken { why } | End::Unanswered { why }, _) => why.clone(),
        (_, Some(status)) => format!("status {status}"),
        (_, None) => "no answer".to_owned(),
    }
}

fn summary(load: &LoadReport) -> RunSummary {
    let records = &load.records;
    let count = |end: fn(&Record) -> bool| records.iter().filter(|r| end(r)).count() as u64;
    let first = |plus: fn(&Record) -> u64| {
        let streamed = records.iter().filter(|r| r.streamed_whole());
        Spread::of_ns(streamed.filter_map(|r| Some(r.first_ns? + plus(r))).collect())
    };
    RunSummary {
        elapsed_s: load.elapsed_ns as f64 / 1e9,
        requests: records.len() as u64,
        completed: count(|r| r.end == End::Completed),
        cancelled: count(|r| r.end == End::Cancelled),
        failed: count(Record::failed),
        tokens: records.iter().map(|r| r.usage_tokens.unwrap_or(r.tokens)).sum(),
        ttft_ms: first(|_| 0),
        ttft_from_intended_ms: first(|r| r.late_ns),
        itl_ms: Spread::of_ns(records.iter().flat_map(|r| r.gaps_ns.iter().copied()).collect()),
        echo_ms: load.noise.map(|noise| EchoSummary {
            round_trips: noise.samples,
            p50: noise.p50_ns as f64 / 1e6,
            p99: noise.p99_ns as f64 / 1e6,
            two_p50: noise.two_p50_ns as f64 / 1e6,
            two_p99: noise.two_p99_ns as f64 / 1e6,
        }),
    }
}
