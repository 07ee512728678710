//! The measurements of `bench proxy`, each a short pass over all cases.

use std::path::Path;

use super::case::{Beside, Case};
use super::stack::{Engine, Stack};
use crate::frame::{Ground, Metric, Sheet, percentile};
use crate::load::{Pace, Phase, Until};
use crate::process::ProcessError;
use crate::progress::Progress;
use crate::stopwatch::{MILLISECOND, SECOND, now};
use crate::{Error, pin};

macro_rules! metrics {
    ($($constant:ident = $name:literal, $unit:literal, $decimals:literal;)*) => {
        $(pub(crate) const $constant: Metric = Metric { name: $name, unit: $unit, decimals: $decimals };)*
    };
}

metrics! {
    RPS = "requests", "/s", 0;
    P50 = "p50", "ms", 2;
    P99 = "p99", "ms", 2;
    CPU_REQUEST = "CPU/request", "us", 1;
    CPU_TOKEN = "CPU/token", "us", 1;
    ADDED_0 = "added TTFT@0", "ms", 3;
    ADDED_20 = "added TTFT@20", "ms", 3;
    ADDED_300 = "added TTFT@300", "ms", 3;
    EXCHANGE_0 = "exchange@0", "ms", 3;
    EXCHANGE_20 = "exchange@20", "ms", 3;
    EXCHANGE_300 = "exchange@300", "ms", 3;
    BUSY = "core busy", "%", 1;
    RSS = "peak RSS", "MB", 1;
    START = "start", "ms", 1;
    FAILED = "failed", "requests", 0;
    SPANS_OFF = "spans off", "spans", 0;
}

/// A probe of added TTFT: the engine's own, and under which names what is found is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    ttft_ms: u64,
    /// What the way there and back adds.
    pub(crate) metric: Metric,
    /// What one exchange takes at the same pace.
    pub(crate) exchange: Metric,
}

/// The probes, from an engine that answers at once to a slow one.
pub(crate) const ADDED: [Probe; 3] = [
    Probe { ttft_ms: 0, metric: ADDED_0, exchange: EXCHANGE_0 },
    Probe { ttft_ms: 20, metric: ADDED_20, exchange: EXCHANGE_20 },
    Probe { ttft_ms: 300, metric: ADDED_300, exchange: EXCHANGE_300 },
];

/// Connections of the closed loop, and streams of the paced pass.
const CONCURRENCY: usize = 64;
/// Connections of a pass for added TTFT: few enough that they rarely meet.
const PROBES: usize = 8;
/// Connections, one request each, whose median is what an exchange takes.
const EXCHANGES: usize = 24;
/// Streams of the memory pass.
const STREAMS: usize = 1_000;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    /// Starts of each case.
    pub(crate) starts: u32,
    /// Passes of the closed loop, and ns of each case in it.
    pub(crate) loops: (usize, u64),
    /// Passes of paced streams.
    pub(crate) paced: usize,
    /// Passes for added TTFT.
    pub(crate) probes: usize,
}

impl Amount {
    /// Enough for a verdict; or, `quick`, for gross misses.
    pub(crate) fn of(quick: bool) -> Self {
        if quick {
            Self { starts: 1, loops: (5, 200 * MILLISECOND), paced: 5, probes: 2 }
        } else {
            Self { starts: 5, loops: (15, 400 * MILLISECOND), paced: 15, probes: 5 }
        }
    }
}

/// Where and how much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) directory: &'a Path,
    /// The core of the load and the engine, and that of the proxy under test.
    pub(crate) load_cpu: usize,
    pub(crate) proxy_cpu: usize,
    pub(crate) amount: Amount,
    /// What the cases need beside an engine.
    pub(crate) beside: Beside<'a>,
}

impl<'a> Plan<'a> {
    /// A whole measurement, of cases that need nothing but an engine.
    pub(crate) fn on(ground: &'a Ground) -> Self {
        Self {
            directory: ground.directory(),
            load_cpu: ground.load_cpu,
            proxy_cpu: ground.subject_cpu,
            amount: Amount::of(false),
            beside: Beside::default(),
        }
    }
}

/// Starts every case `starts` times, the last of which stay; the memory of each is taken while it is fresh.
pub(crate) fn start(
    plan: &Plan<'_>,
    cases: &[Case],
    engine: &Engine,
    sheet: &mut Sheet,
    progress: &Progress,
) -> Result<Vec<Stack>, Error> {
    let mut stacks = Vec::with_capacity(cases.len());
    for &case in cases {
        progress.say(format_args!("{}: start, memory at {STREAMS} streams", case.name()));
        let mut kept = None;
        for attempt in 0..plan.amount.starts {
            drop(kept.take());
            let stack = Stack::start(case, engine, plan, attempt)?;
            if case != Case::Direct {
                sheet.push(case.name(), START, ms(stack.started_in));
            }
            kept = Some(stack);
        }
        if let Some(mut stack) = kept {
            memory(&mut stack, engine, sheet)?;
            stacks.push(stack);
        }
    }
    Ok(stacks)
}

/// Peak memory with all streams open at once.
fn memory(stack: &mut Stack, engine: &Engine, sheet: &mut Sheet) -> Result<(), Error> {
    engine.stats(true)?;
    // Spread over 1 s and silent for 2 s, so that all are open before the first token.
    let pace = Pace { tokens: 8, ttft_us: 2_000_000, interval_us: 250_000 };
    let phase = Phase { shape: stack.shape(Some(pace)), spread: SECOND / STREAMS as u64, until: Until::Each(1) };
    let mut session = stack.session(STREAMS)?;
    stack.run(&mut session, phase)?;
    let open = engine.stats(false)?.streams_peak;
    if open < STREAMS as u64 {
        return Err(Error::TooFewStreams { case: stack.case.name(), open, wanted: STREAMS as u64 });
    }
    if stack.case != Case::Direct {
        sheet.push(stack.case.name(), RSS, stack.peak_rss()? as f64 / 1e6);
    }
    Ok(())
}

/// Every kind of pass, over all stacks.
pub(crate) fn measure(
    plan: &Plan<'_>,
    stacks: &mut [Stack],
    sheet: &mut Sheet,
    progress: &Progress,
) -> Result<(), Error> {
    let (loops, slice) = plan.amount.loops;
    interleave("requests/s", loops, stacks, sheet, progress, |stack, sheet| closed_loop(stack, slice, sheet))?;
    interleave("paced streams", plan.amount.paced, stacks, sheet, progress, paced)?;
    interleave("added TTFT", plan.amount.probes, stacks, sheet, progress, |stack, sheet| {
        ADDED.into_iter().try_for_each(|probe| {
            if stack.case == Case::Direct {
                exchange(plan, stack, probe, sheet)?;
            }
            added(stack, probe, sheet)
        })
    })
}

/// Passes over all stacks, every other one backwards, so that no case is always measured first.
fn interleave(
    what: &str,
    passes: usize,
    stacks: &mut [Stack],
    sheet: &mut Sheet,
    progress: &Progress,
    mut measure: impl FnMut(&mut Stack, &mut Sheet) -> Result<(), Error>,
) -> Result<(), Error> {
    for pass in 0..passes {
        progress.say(format_args!("{what}: pass {} of {passes}", pass + 1));
        for index in 0..stacks.len() {
            let index = if pass % 2 == 0 { index } else { stacks.len() - 1 - index };
            measure(&mut stacks[index], sheet)?;
        }
    }
    Ok(())
}

/// Requests/s, latency and CPU per request at full tilt.
fn closed_loop(stack: &mut Stack, slice: u64, sheet: &mut Sheet) -> Result<(), Error> {
    let name = stack.case.name();
    let mut session = stack.session(CONCURRENCY)?;
    let shape = stack.shape(None);
    let warm = Phase { shape, spread: 0, until: Until::Each(4) };
    stack.run(&mut session, warm)?;
    let begun = now();
    let (mut tally, cpu) = stack.run(&mut session, Phase { shape, spread: 0, until: Until::Elapsed(slice) })?;
    let elapsed = now() - begun;
    sheet.push(name, RPS, tally.in_time as f64 * SECOND as f64 / slice as f64);
    for (metric, share) in [(P50, 0.5), (P99, 0.99)] {
        if let Some(latency) = percentile(&mut tally.totals, share) {
            sheet.push(name, metric, ms(latency));
        }
    }
    if stack.case != Case::Direct {
        sheet.push(name, CPU_REQUEST, us(cpu) / tally.requests.max(1) as f64);
        sheet.push(name, BUSY, 100.0 * cpu as f64 / elapsed as f64);
    }
    Ok(())
}

/// CPU per token of streams at the pace of an engine, their ticks spread evenly.
fn paced(stack: &mut Stack, sheet: &mut Sheet) -> Result<(), Error> {
    let pace = Pace { tokens: 128, ttft_us: 20_000, interval_us: 10_000 };
    let shape = stack.shape(Some(pace));
    let mut session = stack.session(CONCURRENCY)?;
    let warm = Phase { shape: stack.shape(None), spread: 0, until: Until::Each(2) };
    stack.run(&mut session, warm)?;
    let spread = pace.interval_us * 1_000 / CONCURRENCY as u64;
    let (tally, cpu) = stack.run(&mut session, Phase { shape, spread, until: Until::Each(1) })?;
    if stack.case != Case::Direct {
        sheet.push(stack.case.name(), CPU_TOKEN, us(cpu) / tally.tokens.max(1) as f64);
    }
    Ok(())
}

/// How long a request that does not stream takes by itself, asked from the proxy's core: what a proxy pays for an exchange
/// with the engine, both ways from core to core. At the pace of the probe, since a core that idles takes time to wake.
fn exchange(plan: &Plan<'_>, stack: &mut Stack, probe: Probe, sheet: &mut Sheet) -> Result<(), Error> {
    let shape = stack.shape(None);
    let mut session = stack.session(EXCHANGES)?;
    stack.run(&mut session, Phase { shape, spread: 0, until: Until::Each(2) })?;
    move_to(plan.proxy_cpu)?;
    let run = stack.run(&mut session, Phase { shape, spread: probe.spacing(), until: Until::Each(1) });
    move_to(plan.load_cpu)?;
    let (mut tally, _) = run?;
    if let Some(total) = percentile(&mut tally.totals, 0.5) {
        sheet.push(stack.case.name(), probe.exchange, ms(total));
    }
    Ok(())
}

/// Moves the load to a core.
fn move_to(cpu: usize) -> Result<(), Error> {
    Ok(pin::to_core(cpu).map_err(ProcessError::io("cannot move the load to another core"))?)
}

/// What the way there and back adds to the engine's time to first token, on kept-alive connections.
fn added(stack: &mut Stack, probe: Probe, sheet: &mut Sheet) -> Result<(), Error> {
    let pace = Pace { tokens: 4, ttft_us: probe.ttft_ms * 1_000, interval_us: 10_000 };
    let shape = stack.shape(Some(pace));
    let mut session = stack.session(PROBES)?;
    stack.run(&mut session, Phase { shape: stack.shape(None), spread: 0, until: Until::Each(2) })?;
    let until = Until::Elapsed((4 * probe.period()).max(SECOND / 2));
    let (mut tally, _) = stack.run(&mut session, Phase { shape, spread: probe.spacing(), until })?;
    if let Some(added) = percentile(&mut tally.added, 0.5) {
        sheet.push(stack.case.name(), probe.metric, ms(added));
    }
    Ok(())
}

impl Probe {
    /// From one request of a connection to its next, ns.
    fn period(self) -> u64 {
        (self.ttft_ms + 30) * MILLISECOND
    }

    /// From one connection's request to the next one's, ns.
    fn spacing(self) -> u64 {
        self.period() / PROBES as u64
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}
