//! How long an engine works for a client that has left.
//!
//! Some hundred clients leave in each phase of a request, at moments that chance decides, while streams of others are
//! relayed. The stopwatch runs from just before a client closes its socket to the moment at which the engine's process
//! finds the request's connection closed; both read the same clock of the kernel. The gateway's own metric must have seen
//! every one of them, and cannot say more than the stopwatch.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::cluster::Cluster;
use super::leaver::{Client, When};
use super::{Extent, THREADS};
use crate::Error;
use crate::exposition::{quantile, scrape};
use crate::frame::{Bar, Ground, Metric, Report, Rule, Sheet, percentile};
use crate::load::{Pace, Phase as LoadPhase, Session, Shape, Until};
use crate::process::ProcessError;
use crate::proxy::Case;
use crate::proxy::passes::Plan;
use crate::proxy::stack::{Engine, Stack};
use crate::random::Random;
use crate::stopwatch::{MILLISECOND, SECOND};

/// Which engine has the connection that is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leg {
    Only,
    Prefill,
    Decode,
}

/// A phase of a request in which clients leave.
struct Phase {
    name: &'static str,
    leg: Leg,
    client: Client,
    /// The stage under which the gateway counts them.
    stage: &'static str,
}

const fn phase(name: &'static str, leg: Leg, client: Client, stage: &'static str) -> Phase {
    Phase { name, leg, client, stage }
}

/// Clients stay long enough for their requests to be with the engine, and leave long before it would come to its next step.
static PHASES: [Phase; 5] = [
    phase("before the head", Leg::Only, leaves(When::Sent, (60, 100), "ttft_us=5000000;head=late"), "dispatch"),
    phase("before the first token", Leg::Only, leaves(When::Head, (0, 20), "ttft_us=5000000"), "dispatch"),
    phase("in the prefill", Leg::Prefill, leaves(When::Sent, (60, 100), "prefill_us=5000000"), "dispatch"),
    phase(
        "between the stages",
        Leg::Decode,
        leaves(When::Sent, (60, 100), "prefill_us=5000;ttft_us=1000000;head=late"),
        "dispatch",
    ),
    phase("mid-stream", Leg::Only, leaves(When::Tokens(12), (0, 5), "ttft_us=3000;itl_us=4000"), "relay"),
];

const fn leaves(when: When, stays: (u64, u64), order: &'static str) -> Client {
    Client { order, tokens: 1_000, when, stays }
}

/// Streams of others meanwhile.
const OTHERS: usize = 64;
const OTHERS_PACE: Pace = Pace { tokens: 128, ttft_us: 20_000, interval_us: 10_000 };

/// How long the last connection may take to be found closed.
const SETTLING: Duration = Duration::from_millis(1_500);

const P50: Metric = Metric { name: "p50", unit: "ms", decimals: 2 };
const P99: Metric = Metric { name: "p99", unit: "ms", decimals: 2 };
const WORST: Metric = Metric { name: "worst", unit: "ms", decimals: 2 };
const LEFT: Metric = Metric { name: "left", unit: "clients", decimals: 0 };
const UNSEEN: Metric = Metric { name: "unseen", unit: "clients", decimals: 0 };
const OWN_MEAN: Metric = Metric { name: "own mean", unit: "ms", decimals: 3 };
const OWN_P99: Metric = Metric { name: "own p99", unit: "ms", decimals: 2 };
const UNCOUNTED: Metric = Metric { name: "uncounted", unit: "clients", decimals: 0 };
const BEYOND: Metric = Metric { name: "own mean over the stopwatch's", unit: "ms", decimals: 3 };

/// What the engine may go on for, ms.
const LIMIT: f64 = 20.0;

/// Has clients leave in every phase.
pub(super) fn measure(ground: &Ground, extent: &Extent) -> Result<Report, Error> {
    let cluster = Cluster::start(ground)?;
    let plan = Plan { beside: cluster.beside(), ..Plan::on(ground) };
    let mut sheet = Sheet::default();
    for (number, phase) in (0..).zip(&PHASES) {
        ground.progress.say(format_args!("{} clients leave {}", extent.leavers, phase.name));
        // Its metrics begin with the phase.
        let case = if phase.leg == Leg::Only { Case::GatewayTokenizer } else { Case::GatewayLegs };
        let stack = Stack::start(case, &cluster.engine, &plan, number)?;
        let engine = if phase.leg == Leg::Decode { &cluster.decoder } else { &cluster.engine };
        let seen = one_phase(phase, &stack, engine, extent.leavers)?;
        seen.record(phase, &mut sheet);
    }
    ground.progress.clear();
    Ok(report(ground, sheet))
}

/// What stopwatch and gateway say of the clients that left in a phase.
#[derive(Debug, Default)]
struct Seen {
    /// From leaving to the engine's finding out, ns.
    took: Vec<u64>,
    left: usize,
    counted: f64,
    own_sum: f64,
    own_p99: f64,
}

fn one_phase(phase: &Phase, stack: &Stack, engine: &Engine, leavers: usize) -> Result<Seen, Error> {
    engine.stats(true)?;
    let left = std::thread::scope(|scope| {
        let others = scope.spawn(|| others(stack.front));
        let left = leave(&phase.client, stack.front, leavers);
        match others.join() {
            Ok(whole) => whole?,
            Err(_) => return Err(Error::Io(io::Error::other("the thread of the other streams broke"))),
        }
        Ok(left.map_err(ProcessError::io(format!("clients that leave {}", phase.name)))?)
    })?;
    std::thread::sleep(SETTLING);
    let closed = engine.stats(false)?.left;
    let took = closed.iter().filter_map(|(watch, at)| Some(at.saturating_sub(*left.get(watch)?))).collect();
    let of = |part: &str| format!("client_abort_propagation_milliseconds_{part}{{phase=\"{}\"", phase.stage);
    Ok(Seen {
        took,
        left: left.len(),
        counted: total(stack.front, &of("count"))?,
        own_sum: total(stack.front, &of("sum"))?,
        own_p99: quantile(&scrape(stack.front, &of("bucket"))?, 0.99),
    })
}

fn total(front: SocketAddr, series: &str) -> Result<f64, Error> {
    Ok(scrape(front, series)?.iter().map(|(_, value)| value).sum())
}

/// Has so many clients leave, several at a time; when each did.
fn leave(client: &Client, front: SocketAddr, leavers: usize) -> io::Result<BTreeMap<u64, u64>> {
    let each = leavers.div_ceil(THREADS);
    let worker = |worker: usize| {
        let mut random = Random::new(worker as u64);
        let watches = (worker * each..(worker + 1) * each).map(|watch| 1 + watch as u64);
        watches.map(|watch| Ok((watch, client.run(front, watch, &mut random)?))).collect::<io::Result<Vec<_>>>()
    };
    std::thread::scope(|scope| {
        let worker = &worker;
        let workers: Vec<_> = (0..THREADS).map(|number| scope.spawn(move || worker(number))).collect();
        let mut left = BTreeMap::new();
        for worker in workers {
            left.extend(worker.join().map_err(|_| io::Error::other("a client's thread broke"))??);
        }
        Ok(left)
    })
}

/// Streams that nobody leaves; they end some time after the clients have begun to leave.
fn others(front: SocketAddr) -> Result<(), Error> {
    let shape = Shape { stream: Some(OTHERS_PACE), prefiller: None };
    let spread = OTHERS_PACE.interval_us * 1_000 / OTHERS as u64;
    let phase = LoadPhase { shape, spread, until: Until::Elapsed(2 * SECOND) };
    let tally = Session::open(front, OTHERS)?.run(phase)?;
    match tally.failure {
        Some(failure) => Err(crate::LoadError::Failing(failure).into()),
        None => Ok(()),
    }
}

impl Seen {
    fn record(mut self, phase: &Phase, sheet: &mut Sheet) {
        let ms = |ns: u64| ns as f64 / MILLISECOND as f64;
        let mut push = |metric, sample| sheet.push(phase.name, metric, sample);
        for (metric, share) in [(P50, 0.5), (P99, 0.99), (WORST, 1.0)] {
            if let Some(at) = percentile(&mut self.took, share) {
                push(metric, ms(at));
            }
        }
        push(LEFT, self.left as f64);
        push(UNSEEN, self.left.abs_diff(self.took.len()) as f64);
        push(UNCOUNTED, (self.left as f64 - self.counted).abs());
        if let Some((own, stopwatch)) = self.means() {
            push(OWN_MEAN, own);
            push(OWN_P99, self.own_p99);
            push(BEYOND, own - stopwatch);
        }
    }

    /// The gateway's own mean and the stopwatch's, ms; none where nobody left.
    fn means(&self) -> Option<(f64, f64)> {
        let stopwatch = self.took.iter().sum::<u64>() as f64 / MILLISECOND as f64 / self.took.len() as f64;
        let own = self.own_sum / self.counted;
        (stopwatch.is_finite() && own.is_finite()).then_some((own, stopwatch))
    }
}

fn report(ground: &Ground, sheet: Sheet) -> Report {
    let mut bars = Vec::new();
    for subject in PHASES.iter().map(|phase| phase.name) {
        let mut bar = |metric, limit| bars.push(Bar { subject, metric, rule: Rule::AtMost(limit) });
        bar(P99, LIMIT);
        bar(UNSEEN, 0.0);
        bar(UNCOUNTED, 0.0);
        bar(OWN_P99, LIMIT);
        bar(BEYOND, 0.0);
    }
    Report {
        title: "candor bench gateway: clients that leave",
        machine: ground.machine.clone(),
        yardstick: PHASES[0].name,
        subjects: PHASES.iter().map(|phase| phase.name).collect(),
        columns: vec![LEFT, P50, P99, WORST, OWN_MEAN, OWN_P99],
        sheet,
        bars,
        notes: vec![format!(
            "from the client's closing its socket to the engine's finding its connection closed; {OTHERS} other streams meanwhile. \
             Between the stages the decode leg is closed, and another one for a single token is sent on purpose"
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_means_are_of_the_same_clients() {
        let seen = Seen { took: vec![2_000_000, 4_000_000], left: 2, counted: 2.0, own_sum: 5.0, own_p99: 3.0 };
        assert_eq!(seen.means(), Some((2.5, 3.0)));
        assert_eq!(Seen::default().means(), None);
    }

    #[test]
    fn a_client_that_nobody_missed_breaks_a_bar() {
        let mut sheet = Sheet::default();
        let seen = Seen { took: vec![1_000_000], left: 2, counted: 1.0, own_sum: 0.5, own_p99: 1.0 };
        seen.record(&PHASES[0], &mut sheet);
        let holds = |metric| sheet.judge(Bar { subject: PHASES[0].name, metric, rule: Rule::AtMost(0.0) }, "").holds;
        assert!(!holds(UNSEEN) && !holds(UNCOUNTED) && holds(BEYOND));
    }
}
