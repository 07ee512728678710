//! Whether a gateway is left as it was.
//!
//! Requests of every kind, a third of them left by their clients at moments that chance decides. After some thousand of
//! them everything is let go: connections that lie idle run into their time-outs, threads that have nothing to do end. What
//! the process holds then is what it must hold again when all requests are over and the same time has passed.

use std::net::SocketAddr;
use std::time::Duration;

use super::cluster::Cluster;
use super::leaver::{Client, When};
use super::{Extent, LEAK_THREADS};
use crate::Error;
use crate::exposition::value;
use crate::frame::{Bar, Ground, Metric, Report, Rule, Sheet};
use crate::process::{Process, ProcessError};
use crate::proxy::Case;
use crate::proxy::passes::Plan;
use crate::proxy::stack::Stack;
use crate::random::Random;

/// What a third of the clients do, by turns: each leaves somewhere.
const LEAVING: [Client; 4] = [
    client("ttft_us=20000;prefill_us=5000;head=late", 4, When::Sent, (0, 1)),
    client("ttft_us=10000;prefill_us=500;head=late", 4, When::Sent, (0, 5)),
    client("ttft_us=20000", 4, When::Head, (0, 2)),
    client("ttft_us=500;itl_us=1000", 60, When::Tokens(4), (0, 2)),
];

/// What the others do.
const STAYING: [Client; 2] = [
    client("ttft_us=0", 4, When::Whole, (0, 0)),
    client("ttft_us=1000;itl_us=500;prefill_us=500", 6, When::Whole, (0, 0)),
];

const fn client(order: &'static str, tokens: u32, when: When, stays: (u64, u64)) -> Client {
    Client { order, tokens, when, stays }
}

/// The cases: one that is served whole, and one whose legs the gateway runs.
const CASES: [Case; 2] = [Case::GatewayTokenizer, Case::GatewayLegs];

/// Idle connections to engines end after 4 s, idle threads after 10 s.
const REST: Duration = Duration::from_secs(13);

const REQUESTS: Metric = Metric { name: "requests", unit: "", decimals: 0 };
const CANCELLED: Metric = Metric { name: "left", unit: "", decimals: 0 };
const UNPLANNED: Metric = Metric { name: "failed", unit: "requests", decimals: 0 };
const CURRENT: Metric = Metric { name: "still current", unit: "requests", decimals: 0 };
const RSS: Metric = Metric { name: "memory after", unit: "MB", decimals: 1 };
const BEFORE: Metric = Metric { name: "memory before", unit: "MB", decimals: 1 };
const RSS_GREW: Metric = Metric { name: "memory grew", unit: "MB", decimals: 1 };
const FILES: Metric = Metric { name: "open files", unit: "", decimals: 0 };
const FILES_GREW: Metric = Metric { name: "open files grew", unit: "", decimals: 0 };
const THREADS_GREW: Metric = Metric { name: "threads grew", unit: "", decimals: 0 };

/// By how much memory may differ from one rest to the next, MB: an allocator keeps what it likes.
const TOLERANCE: f64 = 2.0;

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    rss: u64,
    files: u64,
    threads: u64,
}

impl Held {
    fn of(process: &Process) -> Result<Self, ProcessError> {
        Ok(Self { rss: process.rss()?, files: process.descriptors()?, threads: process.threads()? })
    }
}

/// Runs the requests through every case.
pub(super) fn measure(ground: &Ground, extent: &Extent) -> Result<Report, Error> {
    let cluster = Cluster::start(ground)?;
    let plan = Plan { beside: cluster.beside(), ..Plan::on(ground) };
    let mut sheet = Sheet::default();
    for case in CASES {
        let stack = Stack::start(case, &cluster.engine, &plan, 0)?;
        one_case(ground, &stack, extent, &mut sheet)?;
    }
    ground.progress.clear();
    Ok(report(ground, extent, sheet))
}

fn one_case(ground: &Ground, stack: &Stack, extent: &Extent, sheet: &mut Sheet) -> Result<(), Error> {
    let Some(process) = stack.processes().last() else { return Ok(()) };
    let name = stack.case.name();
    ground.progress.say(format_args!("{name}: {} requests to warm up", extent.warm));
    let warm = send(stack.front, extent.warm, 1);
    std::thread::sleep(REST);
    let before = Held::of(process)?;
    ground.progress.say(format_args!("{name}: {} requests", extent.requests));
    let sent = send(stack.front, extent.requests, 2);
    std::thread::sleep(REST);
    let after = Held::of(process)?;
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let mut push = |metric, sample| sheet.push(name, metric, sample);
    push(REQUESTS, sent.requests as f64);
    push(CANCELLED, sent.left as f64);
    push(UNPLANNED, (sent.failed + warm.failed) as f64);
    push(CURRENT, value(stack.front, "gateway_current_requests")?);
    push(BEFORE, mb(before.rss));
    push(RSS, mb(after.rss));
    push(RSS_GREW, mb(after.rss) - mb(before.rss));
    push(FILES, after.files as f64);
    push(FILES_GREW, after.files as f64 - before.files as f64);
    push(THREADS_GREW, after.threads as f64 - before.threads as f64);
    Ok(())
}

/// What became of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sent {
    requests: usize,
    left: usize,
    failed: usize,
}

impl Sent {
    fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            left: self.left + other.left,
            failed: self.failed + other.failed,
        }
    }
}

/// Sends so many requests, several at a time, a third of which are left.
fn send(front: SocketAddr, requests: usize, seed: u64) -> Sent {
    let worker = |worker: usize| {
        let mut random = Random::new(seed * 1_000 + worker as u64);
        let mut sent = Sent::default();
        for number in (worker..requests).step_by(LEAK_THREADS) {
            let (client, leaves) = turn(number, &mut random);
            sent.requests += 1;
            match client.run(front, 1 + number as u64, &mut random) {
                Ok(_) => sent.left += usize::from(leaves),
                Err(_) => sent.failed += 1,
            }
        }
        sent
    };
    std::thread::scope(|scope| {
        let worker = &worker;
        let workers: Vec<_> = (0..LEAK_THREADS).map(|number| scope.spawn(move || worker(number))).collect();
        let each =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Sent { failed: 1, ..Sent::default() }));
        each.fold(Sent::default(), Sent::and)
    })
}

/// Who the client of a request is, and whether it leaves: every third one does.
fn turn(number: usize, random: &mut Random) -> (Client, bool) {
    let leaves = number.is_multiple_of(3);
    let among: &[Client] = if leaves { &LEAVING } else { &STAYING };
    (among[random.below(among.len() as u64) as usize], leaves)
}

fn report(ground: &Ground, extent: &Extent, sheet: Sheet) -> Report {
    let mut bars = Vec::new();
    for subject in CASES.map(Case::name) {
        let mut bar = |metric, limit| bars.push(Bar { subject, metric, rule: Rule::AtMost(limit) });
        bar(UNPLANNED, 0.0);
        bar(CURRENT, 0.0);
        bar(RSS_GREW, TOLERANCE);
        bar(FILES_GREW, 0.0);
        bar(THREADS_GREW, 0.0);
    }
    Report {
        title: "candor bench gateway: what is left behind",
        machine: ground.machine.clone(),
        yardstick: CASES[0].name(),
        subjects: CASES.map(Case::name).to_vec(),
        columns: vec![REQUESTS, CANCELLED, BEFORE, RSS, FILES],
        sheet,
        bars,
        notes: vec![format!(
            "growth from after {} requests and {} s of rest to after {} more and the same rest; {LEAK_THREADS} clients at a time",
            extent.warm,
            REST.as_secs(),
            extent.requests,
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_leaves() {
        let mut random = Random::new(1);
        let leaving = (0..3_000).filter(|&number| turn(number, &mut random).1).count();
        assert_eq!(leaving, 1_000);
    }

    #[test]
    fn what_the_threads_sent_adds_up() {
        let one = Sent { requests: 3, left: 1, failed: 0 };
        let other = Sent { requests: 4, left: 1, failed: 2 };
        assert_eq!(one.and(other), Sent { requests: 7, left: 2, failed: 2 });
    }
}
