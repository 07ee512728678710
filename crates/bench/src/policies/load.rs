//! Requests that arrive when they do, whatever became of those before.
//!
//! Each has a thread of its own, which waits for its answer: there are some dozens at a time, and what is measured takes
//! tens of milliseconds.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use crate::random::Random;
use crate::stage::{Line, post};
use crate::stopwatch::{SECOND, now};

/// Tokens generated for each.
const OUTPUT: usize = 16;

/// Longest wait for an answer, or for more of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// When requests arrive, and how long their prompts are.
#[derive(Debug)]
pub(super) struct Arrivals {
    seed: u64,
    /// Nanoseconds from the start, and tokens.
    requests: Vec<(u64, usize)>,
}

impl Arrivals {
    /// A Poisson process; the same for the same seed.
    pub(super) fn poisson(seed: u64, rate: f64, seconds: u64) -> Self {
        let mut random = Random::new(seed);
        let (mut at, mut requests) = (0.0, Vec::new());
        loop {
            at += -(1.0 - random.unit()).ln() / rate;
            if at >= seconds as f64 {
                return Self { seed, requests };
            }
            // Most prompts are short, some are long.
            let tokens = 50.0 * (random.unit() * 4.0).exp();
            requests.push(((at * SECOND as f64) as u64, tokens as usize));
        }
    }
}

/// What became of them.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// For each that was answered: the engine, and nanoseconds from its arrival to its first event.
    pub(super) ttft: Vec<(SocketAddr, u64)>,
    pub(super) failed: usize,
}

#[derive(Deserialize)]
struct Placement {
    scheduling_result: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    endpoint: Endpoint,
}

#[derive(Deserialize)]
struct Endpoint {
    host: String,
    port: u16,
}

/// Sends every request at its time and waits for all answers.
pub(super) fn run(arrivals: &Arrivals, scheduler: SocketAddr) -> Outcome {
    let start = now();
    let mut outcome = Outcome::default();
    std::thread::scope(|scope| {
        let mut running = Vec::with_capacity(arrivals.requests.len());
        for (n, &(at, tokens)) in arrivals.requests.iter().enumerate() {
            let due = start + at;
            std::thread::sleep(Duration::from_nanos(due.saturating_sub(now())));
            let id = format!("bench-{}-{scheduler}-{n}", arrivals.seed).replace(['.', ':'], "-");
            running.push(scope.spawn(move || one(scheduler, &id, tokens, due)));
        }
        for request in running {
            match request.join() {
                Ok(Ok(answered)) => outcome.ttft.push(answered),
                Ok(Err(_)) | Err(_) => outcome.failed += 1,
            }
        }
    });
    outcome
}

/// One request, from its placement to its last token.
fn one(scheduler: SocketAddr, id: &str, tokens: usize, due: u64) -> io::Result<(SocketAddr, u64)> {
    let asked = format!(r#"{{"id":"{id}","scheduling_mode":"neutral","prompt_num_tokens":{tokens}}}"#);
    let mut line = Line::open(scheduler, PATIENCE)?;
    let (status, body) = line.ask(&post(scheduler, "/schedule", id, &asked), |_| {})?;
    if status != 200 {
        return Err(io::Error::other(String::from_utf8_lossy(body).into_owned()));
    }
    let placement: Placement = serde_json::from_slice(body)?;
    let Some(Instance { endpoint: Endpoint { host, port } }) = placement.scheduling_result.into_iter().next() else {
        return Err(io::Error::other("a placement without an instance"));
    };
    let engine = SocketAddr::new(host.parse().map_err(io::Error::other)?, port);
    let prompt = vec!["7"; tokens].join(",");
    let asked = format!(r#"{{"prompt":[{prompt}],"max_tokens":{OUTPUT},"ignore_eos":true,"stream":true}}"#);
    let mut first = None;
    let mut line = Line::open(engine, PATIENCE)?;
    let (status, _) = line.ask(&post(engine, "/v1/completions", id, &asked), |body| {
        if first.is_none() && body.starts_with(b"data: {") {
            first = Some(now());
        }
    })?;
    match first {
        Some(first) if status == 200 => Ok((engine, first.saturating_sub(due))),
        _ => Err(io::Error::other(format!("the engine answered {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::Arrivals;

    #[test]
    fn arrivals_are_poisson_and_repeatable() {
        let (first, again) = (Arrivals::poisson(3, 50.0, 100), Arrivals::poisson(3, 50.0, 100));
        assert_eq!(first.requests, again.requests);
        assert_ne!(first.requests, Arrivals::poisson(4, 50.0, 100).requests);
        let gaps: Vec<f64> = first.requests.windows(2).map(|pair| (pair[1].0 - pair[0].0) as f64 / 1e9).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 0.02).abs() < 0.001, "{mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.1, "a Poisson process has gaps as wide as they vary");
        assert!(first.requests.iter().all(|&(_, tokens)| (50..2800).contains(&tokens)));
    }
}
