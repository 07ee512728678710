//! `jaeger.api_v2.SamplingManager`, as bytes.

use super::strategy::{
    Answer, Kind, OperationStrategy, Operations, Probabilistic, RateLimiting, Strategy, StrategyError,
};
use crate::otlp::fields;

/// `SamplingStrategyParameters { serviceName = 1 }`.
pub(super) fn parameters(service: &str) -> Vec<u8> {
    let mut message = vec![1 << 3 | 2];
    let mut length = service.len();
    while length >= 0x80 {
        message.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(service.as_bytes());
    message
}

/// The strategy in a gRPC message: whether it is compressed, its length, a `SamplingStrategyResponse`.
pub(super) fn strategy(framed: &[u8]) -> Result<Strategy, StrategyError> {
    let message = framed.get(5..).filter(|_| framed[0] == 0).ok_or(StrategyError::Malformed)?;
    answer(message).ok_or(StrategyError::Malformed)?.strategy()
}

fn answer(message: &[u8]) -> Option<Answer> {
    let mut answer = Answer::default();
    for (number, value) in fields(message)? {
        match number {
            1 => answer.strategy_type = Some(Kind::Number(i64::try_from(value.varint()?).ok()?)),
            2 => answer.probabilistic_sampling = Some(probabilistic(value.bytes()?)?),
            3 => answer.rate_limiting_sampling = Some(rate_limiting(value.bytes()?)?),
            4 => answer.operation_sampling = Some(operations(value.bytes()?)?),
            _ => {}
        }
    }
    Some(answer)
}

fn probabilistic(message: &[u8]) -> Option<Probabilistic> {
    let mut strategy = Probabilistic::default();
    for (number, value) in fields(message)? {
        if number == 1 {
            strategy.sampling_rate = value.double()?;
        }
    }
    Some(strategy)
}

fn rate_limiting(message: &[u8]) -> Option<RateLimiting> {
    let mut strategy = RateLimiting::default();
    for (number, value) in fields(message)? {
        if number == 1 {
            strategy.max_traces_per_second = value.varint()? as f64;
        }
    }
    Some(strategy)
}

fn operations(message: &[u8]) -> Option<Operations> {
    let mut strategies = Operations::default();
    for (number, value) in fields(message)? {
        match number {
            1 => strategies.default_sampling_probability = value.double()?,
            2 => strategies.default_lower_bound_traces_per_second = value.double()?,
            3 => strategies.per_operation_strategies.push(operation(value.bytes()?)?),
            _ => {}
        }
    }
    Some(strategies)
}

fn operation(message: &[u8]) -> Option<OperationStrategy> {
    let mut strategy = OperationStrategy::default();
    for (number, value) in fields(message)? {
        match number {
            1 => strategy.operation = String::from_utf8(value.bytes()?.to_vec()).ok()?,
            2 => strategy.probabilistic_sampling = Some(probabilistic(value.bytes()?)?),
            _ => {}
        }
    }
    Some(strategy)
}
