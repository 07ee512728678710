//! `bench proxy`: what Candor costs as a proxy, beside bare proxies, in one run.
//!
//! The proxy under test has one core to itself, the null engine and the load share another. All cases run side by side
//! and idle until it is their turn, so that a pass visits each within seconds. Telemetry of ours is fully on: metrics,
//! a span per request exported over OTLP/HTTP, per-token timing; the collector's count is a bar of its own.

pub(crate) mod bars;
mod case;
pub(crate) mod passes;
pub(crate) mod stack;
mod yardstick;

use std::path::PathBuf;
use std::time::Duration;

pub use case::Case;
pub(crate) use case::{Beside, YARDSTICK};
use passes::{ADDED, Amount, FAILED, Plan, Probe, SPANS_OFF};
use stack::{Engine, Stack};

use crate::Error;
use crate::frame::{Ground, Report, Sheet, Verdict};
use crate::progress::Progress;

/// How long the last spans may take to arrive.
const SPANS_PATIENCE: Duration = Duration::from_secs(15);
const SPANS_PAUSE: Duration = Duration::from_millis(200);
/// Descriptors of one process at 1,000 streams: two per stream, and some.
const DESCRIPTORS: u64 = 4_096;

/// Flags of `bench proxy`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Fewer and shorter passes: for CI, where only gross misses count.
    #[arg(long)]
    pub quick: bool,
    /// Also write every sample, bar and verdict to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Only these cases (direct and nginx are always among them); the bars of the others are left out.
    #[arg(long, value_name = "CASE", value_delimiter = ',')]
    pub only: Vec<Case>,
}

impl Args {
    fn cases(&self) -> Vec<Case> {
        let always = |case: &Case| matches!(*case, Case::Direct | YARDSTICK);
        let wanted = |case: &Case| always(case) || self.only.is_empty() || self.only.contains(case);
        Case::ALL.into_iter().filter(wanted).collect()
    }
}

/// Measures, prints, and judges.
///
/// # Errors
/// A yardstick is missing, or a process could not be driven to the end; missed bars are no error but the verdict.
pub fn run(args: &Args) -> Result<Verdict, Error> {
    let ground = Ground::with_load_here()?;
    let engine = Engine::start("engine", &ground)?;
    let plan = Plan { amount: Amount::of(args.quick), ..Plan::on(&ground) };
    Ok(measure("candor bench proxy", &ground, &engine, &plan, &args.cases())?.report.deliver(args.json.as_deref())?)
}

/// What was found, and the processes that it was found of.
pub(crate) struct Measured {
    pub(crate) report: Report,
    pub(crate) stacks: Vec<Stack>,
}

/// Sends every kind of pass through the cases, and holds them against their bars.
pub(crate) fn measure(
    title: &'static str,
    ground: &Ground,
    engine: &Engine,
    plan: &Plan<'_>,
    cases: &[Case],
) -> Result<Measured, Error> {
    check_descriptor_limit()?;
    let (progress, mut sheet) = (&ground.progress, Sheet::default());
    let mut stacks = passes::start(plan, cases, engine, &mut sheet, progress)?;
    passes::measure(plan, &mut stacks, &mut sheet, progress)?;
    let mut notes = vec![format!(
        "proxy on core {}, engine and load on core {}; spans of ours exported over OTLP/HTTP, every token timed",
        ground.subject_cpu, ground.load_cpu
    )];
    notes.extend(ground.crowded());
    notes.extend(exchanges(&sheet));
    notes.extend(settle(engine, &stacks, &mut sheet, progress)?);
    progress.clear();
    let report = Report {
        title,
        machine: ground.machine.clone(),
        yardstick: YARDSTICK.name(),
        subjects: cases.iter().map(|case| case.name()).collect(),
        columns: bars::COLUMNS.to_vec(),
        bars: bars::bars(cases),
        sheet,
        notes,
    };
    Ok(Measured { report, stacks })
}

/// What was taken off the added TTFT of cases that fetch a prefill first.
fn exchanges(sheet: &Sheet) -> Option<String> {
    let figure = |probe: &Probe| Some(format!("{:.3}", sheet.median(Case::Direct.name(), probe.exchange)?));
    let figures: Option<Vec<String>> = ADDED.iter().map(figure).collect();
    Some(format!("one direct exchange from the proxy's core at the pace of each probe: {} ms", figures?.join(", ")))
}

/// Compares requests with the spans that arrived, once they have; returns sentences about it.
fn settle(engine: &Engine, stacks: &[Stack], sheet: &mut Sheet, progress: &Progress) -> Result<Vec<String>, Error> {
    progress.say(format_args!("waiting for the last spans"));
    let mut spans = engine.stats(false)?.spans;
    let mut waited = Duration::ZERO;
    let off = |spans: &Spans, stack: &Stack| -> u64 {
        stack.case.request_spans().iter().map(|name| stack.requests.abs_diff(arrived(spans, stack, name))).sum()
    };
    while waited < SPANS_PATIENCE && stacks.iter().any(|stack| off(&spans, stack) > 0) {
        std::thread::sleep(SPANS_PAUSE);
        waited += SPANS_PAUSE;
        spans = engine.stats(false)?.spans;
    }
    let mut notes = Vec::new();
    for stack in stacks {
        let name = stack.case.name();
        sheet.push(name, FAILED, stack.failed as f64);
        if let Some(failure) = &stack.failure {
            notes
                .push(format!("{name}: {} of {} requests failed, first with: {failure}", stack.failed, stack.requests));
        }
        if !stack.case.request_spans().is_empty() {
            sheet.push(name, SPANS_OFF, off(&spans, stack) as f64);
        }
        for span in stack.case.request_spans() {
            let arrived = arrived(&spans, stack, span);
            notes.push(format!("{name}: {arrived} {span} spans arrived for {} requests", stack.requests));
        }
    }
    Ok(notes)
}

type Spans = std::collections::BTreeMap<String, std::collections::BTreeMap<String, u64>>;

fn arrived(spans: &Spans, stack: &Stack, name: &str) -> u64 {
    spans.get(&stack.collector).and_then(|names| names.get(name)).copied().unwrap_or(0)
}

/// Whether enough files may be open in the processes that are started: they inherit our limit, which is as high as it may be
/// since the program began.
fn check_descriptor_limit() -> Result<(), Error> {
    use rustix::process::{Resource, getrlimit};
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < DESCRIPTORS => Err(Error::Descriptors { wanted: DESCRIPTORS, allowed }),
        _ => Ok(()),
    }
}
