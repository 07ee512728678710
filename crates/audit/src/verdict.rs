//! What an audit comes to: checks, each with what was measured, what was allowed, and who broke it.

use serde::Serialize;

use crate::stats::Quantiles;

/// Whether a check held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "why", rename_all = "snake_case")]
pub enum Holds {
    /// It held.
    Yes,
    /// It did not, and why in a sentence.
    No(String),
    /// There was nothing to check it against, and why. Not a pass: what was not measured is absent.
    Unchecked(String),
}

/// One request whose reported number is far from what the client saw.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offender {
    /// Its `x-request-id`.
    pub request_id: String,
    /// Its trace id.
    pub trace_id: String,
    /// What was reported, in milliseconds; `None` where nothing was.
    pub reported_ms: Option<f64>,
    /// What it was held against, in milliseconds: the stopwatch, or the sum of the parts.
    pub expected_ms: f64,
}

/// A reported latency held against the client's stopwatch, request by request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatencyCheck {
    /// What is compared.
    pub name: &'static str,
    /// How many requests have both numbers.
    pub compared: u64,
    /// The client's numbers, ms.
    pub stopwatch_ms: Spread,
    /// The reported numbers, ms.
    pub reported_ms: Spread,
    /// |reported - stopwatch|, ms.
    pub difference_ms: Spread,
    /// Largest difference allowed at the median, ms, noise included.
    pub bound_p50_ms: f64,
    /// Largest difference allowed at the 99th percentile, ms, noise included.
    pub bound_p99_ms: f64,
    /// Whether the bounds held.
    pub holds: Holds,
    /// The worst requests, where they did not.
    pub offenders: Vec<Offender>,
}

/// Two numbers that must be equal, or nearly so.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NumberCheck {
    /// What is compared.
    pub name: String,
    /// What the client's own records (or the scenario) say.
    pub expected: f64,
    /// What was reported.
    pub reported: f64,
    /// The largest difference allowed.
    pub tolerance: f64,
    /// The unit of the three.
    pub unit: &'static str,
    /// Whether they agree.
    pub holds: Holds,
}

/// Parts that must add up to a whole, for every request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SumCheck {
    /// Which sum.
    pub name: &'static str,
    /// How many requests carry all of its numbers.
    pub compared: u64,
    /// The largest |whole - sum of parts|, in microseconds.
    pub worst_us: f64,
    /// Whether every sum came out.
    pub holds: Holds,
    /// The worst requests, where not.
    pub offenders: Vec<Offender>,
}

/// One number of the coordinator's spans over a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageNumber {
    /// Its attribute, without prefix: `true_ttft_ms`.
    pub name: &'static str,
    /// Over the streams that completed, ms.
    pub ms: Spread,
}

/// What an engine says of itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EngineClaim {
    /// Its `service.name`.
    pub service: String,
    /// How many requests it made a span for.
    pub requests: u64,
    /// Its own time to first token, ms.
    pub own_ttft_ms: Spread,
}

/// Percentiles of a set of numbers, in the unit of the field that holds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl Spread {
    /// The spread of nanoseconds, in milliseconds; all zero without values.
    pub fn of_ns(values: Vec<u64>) -> Self {
        let quantiles = Quantiles::of(values);
        let ms = |ns: Option<u64>| ns.map_or(0.0, |ns| ns as f64 / 1e6);
        Self {
            mean: quantiles.mean().unwrap_or(0.0) / 1e6,
            p50: ms(quantiles.at(0.5)),
            p99: ms(quantiles.at(0.99)),
            max: ms(quantiles.max()),
        }
    }
}

/// Everything that one audit found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// What was audited, such as the connector.
    pub title: String,
    /// The run in numbers.
    pub run: RunSummary,
    /// Reported latencies against the stopwatch.
    pub latencies: Vec<LatencyCheck>,
    /// Parts against wholes.
    pub sums: Vec<SumCheck>,
    /// Histograms and counters against the client's own sums and counts.
    pub numbers: Vec<NumberCheck>,
    /// Where the time went, by the coordinator's spans.
    pub stages: Vec<StageNumber>,
    /// The engines' own claims, for comparison; nothing is required of them.
    pub engines: Vec<EngineClaim>,
}

/// The run in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunSummary {
    /// From the first start to the last end, seconds.
    pub elapsed_s: f64,
    /// Requests made.
    pub requests: u64,
    /// Completed.
    pub completed: u64,
    /// Left by the client, as planned.
    pub cancelled: u64,
    /// Ended in a way that the client did not plan.
    pub failed: u64,
    /// Output tokens.
    pub tokens: u64,
    /// The client's time to first token, ms.
    pub ttft_ms: Spread,
    /// The client's gaps between tokens, ms.
    pub itl_ms: Spread,
    /// From the intended start to the first token, ms: what a client saw who does not wait for a busy load generator.
    pub ttft_from_intended_ms: Spread,
    /// Round trips of the echo probe, ms; `None` where nothing echoed.
    pub echo_ms: Option<EchoSummary>,
}

/// The echo probe in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EchoSummary {
    /// How many round trips.
    pub round_trips: u64,
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Median of two, one after the other.
    pub two_p50: f64,
    /// Their 99th percentile.
    pub two_p99: f64,
}

impl NumberCheck {
    /// Holds when `reported` is within `tolerance` of `expected`.
    pub fn within(name: impl Into<String>, expected: f64, reported: f64, tolerance: f64, unit: &'static str) -> Self {
        let holds = if (reported - expected).abs() <= tolerance {
            Holds::Yes
        } else {
            Holds::No(format!("expected is {expected:.3} within {tolerance:.3}, reported is {reported:.3}"))
        };
        Self { name: name.into(), expected, reported, tolerance, unit, holds }
    }
}

impl Verdict {
    /// A number of the coordinator's spans by its short name.
    pub fn stage(&self, name: &str) -> Option<Spread> {
        self.stages.iter().find(|stage| stage.name == name).map(|stage| stage.ms)
    }

    /// The reasons why it does not hold; none when it does.
    pub fn reasons(&self) -> Vec<String> {
        let latencies = self.latencies.iter().map(|c| (c.name, &c.holds));
        let sums = self.sums.iter().map(|c| (c.name, &c.holds));
        let numbers = self.numbers.iter().map(|c| (c.name.as_str(), &c.holds));
        let all = latencies.chain(sums).chain(numbers);
        all.filter_map(|(name, holds)| match holds {
            Holds::No(why) => Some(format!("{name}: {why}")),
            Holds::Yes | Holds::Unchecked(_) => None,
        })
        .collect()
    }

    /// Whether every check that could be made held.
    pub fn holds(&self) -> bool {
        self.reasons().is_empty()
    }
}
