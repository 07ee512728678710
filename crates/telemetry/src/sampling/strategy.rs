//! Jaeger's sampling strategies: what a collector answers, and deciding by it.
//!
//! The protocol is `jaeger.api_v2.SamplingStrategyResponse`, in its JSON mapping; enumerations may be names or, from older
//! agents, numbers.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde::Deserialize;

use super::bucket::Bucket;
use super::is_within;
use crate::clock::Moment;
use crate::trace::TraceId;

/// What a collector wants sampled.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Strategy {
    /// A share of traces, 0 to 1.
    Probabilistic(f64),
    /// Traces per second.
    RateLimiting(f64),
    /// By the name of the first span.
    PerOperation(PerOperation),
}

/// Shares by the name of the span, each with a floor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PerOperation {
    /// The share of what is not listed.
    pub(super) default: f64,
    /// Traces per second of an operation that are sampled whatever the share says.
    pub(super) lower_bound: f64,
    /// The shares.
    pub(super) operations: HashMap<String, f64>,
}

/// The strategy in force and what it has used up.
#[derive(Debug)]
pub(crate) struct Strategies {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    strategy: Strategy,
    /// By operation; one, under no name, for [`Strategy::RateLimiting`].
    buckets: HashMap<&'static str, Bucket>,
}

impl Strategies {
    pub(super) fn new(strategy: Strategy) -> Self {
        Self { state: Mutex::new(State { strategy, buckets: HashMap::new() }) }
    }

    /// Takes over a strategy. The same one again changes nothing: its buckets must not be refilled by being asked about.
    pub(super) fn set(&self, strategy: Strategy) {
        let mut state = self.state.lock();
        if state.strategy != strategy {
            *state = State { strategy, buckets: HashMap::new() };
        }
    }

    #[cfg(test)]
    pub(super) fn get(&self) -> Strategy {
        self.state.lock().strategy.clone()
    }

    pub(super) fn samples(&self, operation: &'static str, trace_id: TraceId, now: Moment) -> bool {
        let mut state = self.state.lock();
        let State { strategy, buckets } = &mut *state;
        let mut take = |name, rate| buckets.entry(name).or_insert_with(|| Bucket::new(rate, now)).take(now);
        match strategy {
            Strategy::Probabilistic(ratio) => is_within(*ratio, trace_id),
            Strategy::RateLimiting(rate) => take("", *rate),
            Strategy::PerOperation(per) => {
                let ratio = per.operations.get(operation).copied().unwrap_or(per.default);
                // What the share samples counts towards the floor, so that the floor only lifts what is below it.
                let floor = take(operation, per.lower_bound);
                is_within(ratio, trace_id) || floor
            }
        }
    }
}

/// The answer as it travels.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Answer {
    pub(super) strategy_type: Option<Kind>,
    pub(super) probabilistic_sampling: Option<Probabilistic>,
    pub(super) rate_limiting_sampling: Option<RateLimiting>,
    pub(super) operation_sampling: Option<Operations>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub(super) enum Kind {
    Name(String),
    Number(i64),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Probabilistic {
    pub(super) sampling_rate: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RateLimiting {
    pub(super) max_traces_per_second: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Operations {
    pub(super) default_sampling_probability: f64,
    pub(super) default_lower_bound_traces_per_second: f64,
    pub(super) per_operation_strategies: Vec<OperationStrategy>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct OperationStrategy {
    pub(super) operation: String,
    pub(super) probabilistic_sampling: Option<Probabilistic>,
}

/// Why an answer is no strategy.
#[derive(Debug, thiserror::Error)]
pub(super) enum StrategyError {
    #[error("not a sampling strategy: {0}")]
    Json(#[from] serde_json::Error),
    #[error("not a sampling strategy in protobuf")]
    Malformed,
    #[error("no strategy in the answer")]
    Empty,
    #[error("{0} is not a share from 0 to 1")]
    Share(f64),
    #[error("{0} is not a rate")]
    Rate(f64),
}

impl Strategy {
    /// Reads a JSON answer.
    pub(super) fn from_json(body: &[u8]) -> Result<Self, StrategyError> {
        serde_json::from_slice::<Answer>(body)?.strategy()
    }
}

impl Answer {
    /// The strategy of an answer: per operation where it has them; of the other two the one that the type names, where
    /// both are there.
    pub(super) fn strategy(self) -> Result<Strategy, StrategyError> {
        if let Some(operations) = self.operation_sampling {
            return operations.strategy();
        }
        let limiting = self.strategy_type.is_some_and(|kind| kind.is_rate_limiting());
        match (self.probabilistic_sampling, self.rate_limiting_sampling) {
            (probabilistic, Some(limit)) if limiting || probabilistic.is_none() => {
                Ok(Strategy::RateLimiting(rate(limit.max_traces_per_second)?))
            }
            (Some(probabilistic), _) => Ok(Strategy::Probabilistic(share(probabilistic.sampling_rate)?)),
            (None, _) => Err(StrategyError::Empty),
        }
    }
}

impl Kind {
    fn is_rate_limiting(&self) -> bool {
        match self {
            Self::Name(name) => name == "RATE_LIMITING",
            Self::Number(number) => *number == 1,
        }
    }
}

impl Operations {
    fn strategy(self) -> Result<Strategy, StrategyError> {
        let mut operations = HashMap::with_capacity(self.per_operation_strategies.len());
        for strategy in self.per_operation_strategies {
            if let Some(probabilistic) = strategy.probabilistic_sampling {
                operations.insert(strategy.operation, share(probabilistic.sampling_rate)?);
            }
        }
        Ok(Strategy::PerOperation(PerOperation {
            default: share(self.default_sampling_probability)?,
            lower_bound: rate(self.default_lower_bound_traces_per_second)?,
            operations,
        }))
    }
}

fn share(value: f64) -> Result<f64, StrategyError> {
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(StrategyError::Share(value)) }
}

fn rate(value: f64) -> Result<f64, StrategyError> {
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err(StrategyError::Rate(value)) }
}
