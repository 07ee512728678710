//! `bench policies`: what a policy is worth, in the time that clients wait for their first token.
//!
//! Eight simulated engines of unequal speed publish their true status in a real Redis; a scheduler places requests that
//! arrive as a Poisson process; each is then sent to the engine it was placed on, over its own connection, and a stopwatch
//! runs from its arrival to the first event of its answer. All policies see the same requests at the same times, one
//! policy after the other in every pass, and are compared within the pass.

mod load;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::frame::{Bar, Ground, Machine, Metric, Report, Rule, Sheet, Verdict, percentile};
use crate::process::{Process, free_address};
use crate::stage::{Redis, Scheduler, candor, get};
use crate::stopwatch::MILLISECOND;
use load::Arrivals;

/// Flags of `bench policies`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// One short pass: for CI, where only gross misses count.
    #[arg(long)]
    pub quick: bool,
    /// How many passes there are, without --quick
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    pub passes: u64,
    /// Which arrivals the first pass has; each further one has the next
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
    /// Also write every sample, bar and verdict to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Requests per second; the slowest engine bears some 5 of them.
    #[arg(long, default_value_t = 32.0)]
    pub rate: f64,
}

/// The policy under test, and those that it is compared with.
const SUBJECT: &str = "load-balance";
const YARDSTICK: &str = "round-robin";
const POLICIES: [&str; 4] = [SUBJECT, YARDSTICK, "power-of-two", "least-latency"];

/// How much slower than the first each engine is.
const SPEEDS: [u32; 8] = [2, 2, 3, 3, 4, 6, 8, 12];

const P50: Metric = Metric { name: "TTFT p50", unit: "ms", decimals: 1 };
const P99: Metric = Metric { name: "TTFT p99", unit: "ms", decimals: 1 };
const VS_TWO: Metric = Metric { name: "p99 / power-of-two's", unit: "", decimals: 2 };
const SLOWEST: Metric = Metric { name: "to the slowest", unit: "%", decimals: 1 };
const FAILED: Metric = Metric { name: "failed", unit: "", decimals: 0 };

/// Measures, prints, and judges.
///
/// # Errors
/// Redis is missing, or a process could not be driven to the end; missed bars are no error but the verdict.
pub fn run(args: &Args) -> Result<Verdict, Error> {
    Ok(measure(args)?.deliver(args.json.as_deref())?)
}

fn measure(args: &Args) -> Result<Report, Error> {
    let ground = Ground::prepare()?;
    let (own, other, mut sheet) = (ground.load_cpu, ground.subject_cpu, Sheet::default());
    let redis = Redis::start(ground.directory(), own)?;
    let engines = engines(&redis, other, ground.directory())?;
    let (passes, seconds) = if args.quick { (1, 8) } else { (args.passes, 20) };
    for pass in 0..passes {
        let arrivals = Arrivals::poisson(args.seed.wrapping_add(pass), args.rate, seconds);
        for policy in POLICIES {
            ground.progress.say(format_args!("pass {} of {passes}: {policy}", pass + 1));
            let flags = ["--scheduling-policy", policy];
            let scheduler = Scheduler::start(&redis, &flags, SPEEDS.len(), (own, ground.directory()))?;
            let slowest = engines.last().map(|(_, address)| *address);
            record(policy, &load::run(&arrivals, scheduler.address), slowest, &mut sheet);
        }
        compare(&mut sheet);
    }
    ground.progress.clear();
    Ok(report(ground.machine, sheet, args.rate))
}

/// What one policy did in one pass.
fn record(policy: &'static str, outcome: &load::Outcome, slowest: Option<SocketAddr>, sheet: &mut Sheet) {
    let placed = outcome.ttft.len().max(1) as f64;
    let to_slowest = outcome.ttft.iter().filter(|(engine, _)| Some(*engine) == slowest).count() as f64;
    let mut ttft: Vec<u64> = outcome.ttft.iter().map(|(_, ttft)| *ttft).collect();
    for (metric, share) in [(P50, 0.5), (P99, 0.99)] {
        let at = percentile(&mut ttft, share).unwrap_or(0);
        sheet.push(policy, metric, at as f64 / MILLISECOND as f64);
    }
    sheet.push(policy, SLOWEST, to_slowest / placed * 100.0);
    sheet.push(policy, FAILED, outcome.failed as f64);
}

/// The pass's second comparison, which the report's one yardstick does not make.
fn compare(sheet: &mut Sheet) {
    let latest = |policy| sheet.samples(policy, P99).last().copied();
    if let (Some(own), Some(two)) = (latest(SUBJECT), latest("power-of-two")) {
        sheet.push(SUBJECT, VS_TWO, own / two);
    }
}

fn report(machine: Machine, sheet: Sheet, rate: f64) -> Report {
    let mut bars = vec![
        Bar { subject: SUBJECT, metric: P99, rule: Rule::RatioAtMost(1.0) },
        Bar { subject: SUBJECT, metric: VS_TWO, rule: Rule::MedianAtMost(1.0) },
    ];
    bars.extend(POLICIES.map(|subject| Bar { subject, metric: FAILED, rule: Rule::AtMost(0.0) }));
    Report {
        title: "candor bench policies",
        machine,
        yardstick: YARDSTICK,
        subjects: POLICIES.to_vec(),
        columns: vec![P50, P99, VS_TWO, SLOWEST, FAILED],
        sheet,
        bars,
        notes: vec![format!(
            "{} engines, the slowest {} times as slow as the fastest; {rate} requests/s, Poisson; full mode over Redis",
            SPEEDS.len(),
            SPEEDS[SPEEDS.len() - 1] / SPEEDS[0],
        )],
    }
}

/// Starts the engines, the slowest last.
fn engines(redis: &Redis, cpu: usize, directory: &Path) -> Result<Vec<(Process, SocketAddr)>, Error> {
    let mut engines = Vec::with_capacity(SPEEDS.len());
    for (n, speed) in SPEEDS.iter().enumerate() {
        let address = free_address()?;
        let words = [
            format!("--port={}", address.port()),
            format!("--seed={n}"),
            format!("--cms={}", redis.url()),
            format!("--instance-id=engine-{n}"),
            format!("--prefill-base={}ms", 5 * speed),
            format!("--prefill-per-token={}us", 25 * speed),
            format!("--decode-step={}ms", 5 * speed),
            "--no-enable-prefix-caching".to_owned(),
        ];
        let words: Vec<String> = std::iter::once("engine".to_owned()).chain(words).collect();
        let mut process = candor(&format!("engine-{n}"), &words, cpu, directory)?;
        process.first_answer(address, &get(address, "/health"))?;
        engines.push((process, address));
    }
    Ok(engines)
}
