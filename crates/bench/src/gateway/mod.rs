//! `bench gateway`: the gateway at its work, in one run with nginx.
//!
//! Admission is on, a real `candor scheduler` over a real Redis places every request, metrics and tracing are on; once
//! without and once with a tokenizer. Four parts, each with processes of its own:
//!
//! - as a proxy: the cases, passes and bars of `bench proxy`;
//! - `prompt`: a prompt of 300 KB;
//! - `abort`: clients that leave;
//! - `leak`: what is left behind by 100,000 requests.

mod abort;
mod cluster;
mod leak;
mod leaver;
mod prompt;
mod tokenizer;

use std::io;
use std::path::PathBuf;

use crate::Error;
use crate::exposition::scrape;
use crate::frame::{Bar, Ground, Metric, Report, Rule, Verdict};
use crate::process::{ProcessError, exchange};
use crate::proxy::passes::{Amount, Plan};
use crate::proxy::stack::Stack;
use crate::proxy::{self, Case};
use crate::stage::post;
use cluster::Cluster;

/// The cases that are compared.
const CASES: [Case; 4] = [Case::Direct, Case::Nginx, Case::GatewayScheduler, Case::GatewayTokenizer];

/// Clients that leave at a time.
const THREADS: usize = 16;
/// Clients at a time, where it is looked for leaks.
const LEAK_THREADS: usize = 32;

/// Requests that somebody else than the scheduler placed.
const UNPLACED: Metric = Metric { name: "not by scheduler", unit: "requests", decimals: 0 };

/// Flags of `bench gateway`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Fewer and shorter passes: for CI, where only gross misses count.
    #[arg(long)]
    pub quick: bool,
    /// Also write every sample, bar and verdict to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Only these parts.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    pub only: Vec<Part>,
}

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Requests/s, CPU, memory, start and added TTFT, beside nginx.
    Proxy,
    /// What a prompt of 300 KB adds.
    Prompt,
    /// How long an engine works for a client that has left.
    Abort,
    /// Memory, open files and threads after 100,000 requests.
    Leak,
}

impl Part {
    const ALL: [Self; 4] = [Self::Proxy, Self::Prompt, Self::Abort, Self::Leak];
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Extent {
    amount: Amount,
    prompt_passes: usize,
    /// Clients that leave in each phase.
    leavers: usize,
    /// Requests before and after the first look at what is held.
    warm: usize,
    requests: usize,
}

impl Extent {
    fn of(quick: bool) -> Self {
        let amount = Amount::of(quick);
        if quick {
            Self { amount, prompt_passes: 2, leavers: 200, warm: 3_000, requests: 9_000 }
        } else {
            Self { amount, prompt_passes: 9, leavers: 1_000, warm: 6_000, requests: 100_000 }
        }
    }
}

/// Measures, prints, and judges.
///
/// # Errors
/// nginx or Redis is missing, or a process could not be driven to the end; missed bars are no error but the verdict.
pub fn run(args: &Args) -> Result<Verdict, Error> {
    let ground = Ground::with_load_here()?;
    let extent = Extent::of(args.quick);
    let wanted = |part: &Part| args.only.is_empty() || args.only.contains(part);
    let mut reports = Vec::new();
    for part in Part::ALL.into_iter().filter(wanted) {
        let report = match part {
            Part::Proxy => as_proxy(&ground, &extent)?,
            Part::Prompt => prompt::measure(&ground, &extent)?,
            Part::Abort => abort::measure(&ground, &extent)?,
            Part::Leak => leak::measure(&ground, &extent)?,
        };
        report.print()?;
        reports.push(report);
    }
    Ok(Report::deliver_all(&reports, args.json.as_deref())?)
}

/// The passes and bars of `bench proxy`; and whether the scheduler did place every request.
fn as_proxy(ground: &Ground, extent: &Extent) -> Result<Report, Error> {
    let cluster = Cluster::start(ground)?;
    let plan = Plan { beside: cluster.beside(), amount: extent.amount, ..Plan::on(ground) };
    let title = "candor bench gateway: as a proxy";
    let proxy::Measured { mut report, stacks } = proxy::measure(title, ground, &cluster.engine, &plan, &CASES)?;
    for stack in stacks.iter().filter(|stack| stack.case.is_one_of_ours()) {
        let subject = stack.case.name();
        report.sheet.push(subject, UNPLACED, unplaced(stack)?);
        report.bars.push(Bar { subject, metric: UNPLACED, rule: Rule::AtMost(0.0) });
        if stack.case == Case::GatewayTokenizer {
            report.notes.push(format!("{subject}: the load's prompt is {}", cut(stack)?));
        }
    }
    report.notes.push("scheduler and Redis on the core of engine and load".to_owned());
    Ok(report)
}

/// Requests of a case's that its gateway says the scheduler did not place.
fn unplaced(stack: &Stack) -> Result<f64, Error> {
    let placements = scrape(stack.front, "gateway_placement_total{")?;
    let by_scheduler = placements.iter().filter(|(labels, _)| labels.contains("by=\"scheduler\""));
    Ok((stack.requests as f64 - by_scheduler.map(|(_, placed)| placed).sum::<f64>()).abs())
}

/// Proof that prompts are cut: what the gateway says of one.
fn cut(stack: &Stack) -> Result<String, Error> {
    let body =
        r#"{"model":"bench","messages":[{"role":"user","content":"00000000000000000000: say something short."}]}"#;
    let request = post(stack.front, "/tokenize", "bench-tokenize", body);
    let (status, answer) = exchange(stack.front, &request).map_err(ProcessError::io("/tokenize"))?;
    let count = serde_json::from_str::<serde_json::Value>(&answer).ok().and_then(|answer| answer["count"].as_u64());
    match count {
        Some(count) if status == 200 => Ok(format!("cut into {count} tokens")),
        _ => Err(ProcessError::io("/tokenize")(io::Error::other(format!("status {status}: {answer}"))).into()),
    }
}
