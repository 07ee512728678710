//! `bench scheduler`: what a decision costs, over HTTP and over a real Redis, at 16, 256 and 1,024 instances.
//!
//! The scheduler has one core to itself; Redis and the load share the other. How long decisions and refreshes take is the
//! scheduler's own word (its histograms), since nobody outside can see where one begins; how many there are is the
//! load's, and memory is the kernel's.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::exposition::quantile;
use crate::frame::{Bar, Ground, Metric, Report, Rule, Sheet, Verdict};
use crate::stage::{Line, Redis, Scheduler, post};
use crate::stopwatch::{SECOND, now};
use crate::{Error, records};

/// Flags of `bench scheduler`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// One short pass: for CI, where only gross misses count.
    #[arg(long)]
    pub quick: bool,
    /// How many passes there are, without --quick
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    pub passes: u32,
    /// Also write every sample, bar and verdict to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A cluster's size, and the bar of its decisions in microseconds.
const SIZES: [(&str, usize, f64); 3] =
    [("16 instances", 16, 20.0), ("256 instances", 256, 60.0), ("1024 instances", 1024, 200.0)];

/// Requests in flight when memory is taken.
const IN_FLIGHT: usize = 100_000;

/// Kept-alive connections of the load.
const CONNECTIONS: usize = 8;

const PATIENCE: Duration = Duration::from_secs(60);

const DECISION_P99: Metric = Metric { name: "decision p99", unit: "us", decimals: 1 };
const RATE: Metric = Metric { name: "decisions", unit: "/s", decimals: 0 };
const REFRESH: Metric = Metric { name: "refresh", unit: "ms", decimals: 2 };
const ON_ACCOUNT: Metric = Metric { name: "in flight", unit: "", decimals: 0 };
const MEMORY: Metric = Metric { name: "memory", unit: "MB", decimals: 1 };
const FAILED: Metric = Metric { name: "failed", unit: "", decimals: 0 };

const DECISIONS: &str = "request_full_mode_schedule_duration_milliseconds";
const REFRESHES: &str = "scheduler_cms_refresh_status_duration_milliseconds";

/// Measures, prints, and judges.
///
/// # Errors
/// Redis is missing, or a process could not be driven to the end; missed bars are no error but the verdict.
pub fn run(args: &Args) -> Result<Verdict, Error> {
    Ok(measure(args)?.deliver(args.json.as_deref())?)
}

fn measure(args: &Args) -> Result<Report, Error> {
    let ground = Ground::with_load_here()?;
    let (own, other, mut sheet) = (ground.load_cpu, ground.subject_cpu, Sheet::default());
    let (passes, seconds) = if args.quick { (1, 2) } else { (args.passes, 5) };
    for pass in 0..passes {
        for (name, size, _) in SIZES {
            ground.progress.say(format_args!("pass {} of {passes}: {name}", pass + 1));
            let redis = Redis::start(ground.directory(), own)?;
            redis.put(&records::of(size))?;
            // Nothing may be too old, however long a slow machine takes.
            let flags = ["--request-local-account-staleness-seconds", "86400", "--instance-staleness-seconds", "86400"];
            let scheduler = Scheduler::start(&redis, &flags, size, (other, ground.directory()))?;
            pass_over(name, &scheduler, seconds, &mut sheet)?;
            if size == 1024 {
                memory(name, &scheduler, &mut sheet)?;
            }
        }
    }
    ground.progress.clear();
    Ok(report(ground, sheet))
}

/// One size in one pass: decisions as fast as they come, refreshes beside them.
fn pass_over(name: &'static str, scheduler: &Scheduler, seconds: u64, sheet: &mut Sheet) -> Result<(), Error> {
    let end = now() + seconds * SECOND;
    let (decided, failed) = ask_until(scheduler.address, "r", |_| now() < end);
    sheet.push(name, RATE, decided as f64 / seconds as f64);
    sheet.push(name, FAILED, failed as f64);
    sheet.push(name, DECISION_P99, quantile(&scheduler.scrape(&format!("{DECISIONS}_bucket"))?, 0.99) * 1e3);
    let (sum, count) = (scheduler.value(&format!("{REFRESHES}_sum"))?, scheduler.value(&format!("{REFRESHES}_count"))?);
    sheet.push(name, REFRESH, sum / count.max(1.0));
    Ok(())
}

/// The kernel's figure for the scheduler's memory with many requests on its accounts. How many there are is shown beside it: with
/// fewer the figure would mean nothing.
fn memory(name: &'static str, scheduler: &Scheduler, sheet: &mut Sheet) -> Result<(), Error> {
    let each = IN_FLIGHT / CONNECTIONS;
    let (_, failed) = ask_until(scheduler.address, "0199f5a2-7b1c-7d3e-8f00-in-flight", |asked| asked < each);
    sheet.push(name, FAILED, failed as f64);
    sheet.push(name, ON_ACCOUNT, scheduler.value("instance_cms_inflight_dispatch_requests")?);
    sheet.push(name, MEMORY, scheduler.process.peak_rss()? as f64 / 1e6);
    Ok(())
}

/// Has requests placed over several connections at once for as long as `goes_on` says of each; how many were, and were not.
fn ask_until(address: SocketAddr, id: &str, goes_on: impl Fn(usize) -> bool + Sync) -> (usize, usize) {
    let worker = |worker: usize| {
        let (mut asked, mut failed) = (0, 0);
        let Ok(mut line) = Line::open(address, PATIENCE) else {
            return (0, 1);
        };
        while goes_on(asked) && failed == 0 {
            let body =
                format!(r#"{{"id":"{id}-{worker}-{asked}","scheduling_mode":"neutral","prompt_num_tokens":700}}"#);
            match line.ask(&post(address, "/schedule", "r", &body), |_| {}) {
                Ok((200, _)) => asked += 1,
                Ok(_) | Err(_) => failed += 1,
            }
        }
        (asked, failed)
    };
    std::thread::scope(|scope| {
        let worker = &worker;
        let workers: Vec<_> = (0..CONNECTIONS).map(|n| scope.spawn(move || worker(n))).collect();
        let each = workers.into_iter().map(|worker| worker.join().unwrap_or((0, 1)));
        each.fold((0, 0), |(asked, failed), (a, f)| (asked + a, failed + f))
    })
}

fn report(ground: Ground, sheet: Sheet) -> Report {
    let mut bars = Vec::new();
    for (subject, size, micros) in SIZES {
        let mut bar = |metric, rule| bars.push(Bar { subject, metric, rule });
        bar(FAILED, Rule::AtMost(0.0));
        bar(DECISION_P99, Rule::MedianAtMost(micros));
        match size {
            256 => bar(RATE, Rule::MedianAtLeast(15_000.0)),
            1024 => {
                bar(REFRESH, Rule::MedianAtMost(10.0));
                bar(ON_ACCOUNT, Rule::MedianAtLeast(IN_FLIGHT as f64));
                bar(MEMORY, Rule::AtMost(200.0));
            }
            _ => {}
        }
    }
    let (own, other) = (ground.load_cpu, ground.subject_cpu);
    let note = format!(
        "scheduler on core {other}, Redis and {CONNECTIONS} connections on core {own}; memory after {IN_FLIGHT} more requests"
    );
    Report {
        title: "candor bench scheduler",
        machine: ground.machine,
        yardstick: SIZES[0].0,
        subjects: SIZES.map(|(name, ..)| name).to_vec(),
        columns: vec![DECISION_P99, RATE, REFRESH, ON_ACCOUNT, MEMORY, FAILED],
        sheet,
        bars,
        notes: vec![note],
    }
}
