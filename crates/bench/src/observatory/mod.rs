//! `bench observatory`: what samples and spans cost the observatory to take in, to keep, and to show.
//!
//! A real `candor observatory` is filled over OTLP: one with six hours of 10,000 series, every ten seconds, kept on the disk as
//! well; others with
//! 200,000 spans of P/D requests, over HTTP and over gRPC. Then it is asked everything that its dashboards ask, over one
//! hour. The process has one core to itself; memory and CPU time are the kernel's, times are those of a client of its API.

mod grpc;
mod panels;
mod process;
mod samples;
mod spans;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::frame::{Bar, Ground, Metric, Report, Rule, Sheet, Verdict, median};
use crate::process::ProcessError;
use crate::stopwatch::{MILLISECOND, now};
use panels::{Asked, Question};
use process::{Door, Observatory};

/// Flags of `bench observatory`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// One hour of samples instead of six, and one pass: for CI, where only gross misses count.
    #[arg(long)]
    pub quick: bool,
    /// Also write every sample, bar and verdict to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

const SERIES: usize = 10_000;
const SPANS: u64 = 200_000;
/// Scrapes in an hour.
const HOUR: u64 = 3_600_000 / samples::INTERVAL;
/// Scrapes in one export.
const AT_ONCE: u64 = 10;
/// P/D requests in one export: the SDKs send 512 spans at once.
const REQUESTS_AT_ONCE: u64 = 85;

const METRICS: &str = "10,000 series";
const OVER_HTTP: &str = "spans over OTLP/HTTP";
const OVER_GRPC: &str = "spans over OTLP/gRPC";
const PROMQL: &str = "panels in PromQL";
const TRACEQL: &str = "panels in TraceQL";

const MEMORY: Metric = Metric { name: "resident", unit: "MB", decimals: 1 };
const PEAK: Metric = Metric { name: "at its peak", unit: "MB", decimals: 1 };
const RATE: Metric = Metric { name: "taken in", unit: "/s of CPU", decimals: 0 };
const MIDDLE: Metric = Metric { name: "median panel", unit: "ms", decimals: 2 };
const WORST: Metric = Metric { name: "slowest panel", unit: "ms", decimals: 2 };
const WORST_ONCE: Metric = Metric { name: "slowest answer", unit: "ms", decimals: 2 };
const DISK: Metric = Metric { name: "on the disk", unit: "MB", decimals: 1 };
const BACK: Metric = Metric { name: "back after kill", unit: "ms", decimals: 0 };
const EMPTY: Metric = Metric { name: "without answer", unit: "", decimals: 0 };

/// Measures, prints, and judges.
///
/// # Errors
/// A process could not be driven to the end; missed bars are no error but the verdict.
pub fn run(args: &Args) -> Result<Verdict, Error> {
    Ok(measure(args)?.deliver(args.json.as_deref())?)
}

fn measure(args: &Args) -> Result<Report, Error> {
    let ground = Ground::with_load_here()?;
    let rounds = if args.quick { 3 } else { 9 };
    let mut bench = Bench { ground, sheet: Sheet::default(), slowest: Vec::new(), rounds };
    let hours = if args.quick { 1 } else { 6 };
    let questions = bench.metrics(hours)?;
    for pass in 0..if args.quick { 1 } else { 3 } {
        bench.spans(OVER_HTTP, Door::Http, pass, &questions)?;
        bench.spans(OVER_GRPC, Door::Grpc, pass, &questions)?;
    }
    bench.ground.progress.clear();
    Ok(bench.report(hours))
}

/// A run under way.
struct Bench {
    ground: Ground,
    sheet: Sheet,
    /// The slowest question of each kind, with its time in the first pass.
    slowest: Vec<String>,
    /// How often each question is asked.
    rounds: usize,
}

impl Bench {
    /// Fills an observatory with samples, and asks what the dashboards ask of them. Returns all that they ask.
    fn metrics(&mut self, hours: u64) -> Result<BTreeSet<Question>, Error> {
        let data = self.ground.directory().join("data");
        let observatory = self.start("observatory-samples", Some(&data))?;
        let questions = observatory.questions()?;
        let mut asked = Asked::new();
        for question in &questions {
            if let Question::Samples(expr) = question {
                panels::asked(expr, &mut asked);
            }
        }
        let fleet = samples::fleet(&asked, SERIES);
        let scrapes = hours * HOUR;
        let start = process::unix_nanos() / MILLISECOND - scrapes * samples::INTERVAL;
        let mut line = observatory.sender(Door::Http)?;
        let before = observatory.process.cpu_ns()?;
        for from in (0..scrapes).step_by(AT_ONCE as usize) {
            self.ground.progress.say(format_args!("samples: scrape {from} of {scrapes}"));
            for engine in &fleet {
                line.metrics(&engine.export(start, from, (from + AT_ONCE).min(scrapes)))?;
            }
        }
        let cpu = observatory.process.cpu_ns()? - before;
        let wanted = SERIES as u64 * scrapes;
        observatory.must_hold("observatory_samples_total{outcome=\"stored\"}", wanted)?;
        self.sheet.push(METRICS, RATE, wanted as f64 * 1e9 / cpu as f64);
        self.memory(METRICS, &observatory)?;
        self.ask(PROMQL, &observatory, questions.iter().filter(|question| matches!(question, Question::Samples(_))))?;
        self.sheet.push(METRICS, DISK, observatory.metric("observatory_disk_bytes{store=\"metrics\"}")? / 1e6);
        // Dropped is killed.
        drop(observatory);
        self.ground.progress.say(format_args!("samples: the same once more, after a kill"));
        let began = now();
        let observatory = self.start("observatory-again", Some(&data))?;
        self.sheet.push(METRICS, BACK, (now() - began) as f64 / MILLISECOND as f64);
        observatory.must_hold("observatory_series", SERIES as u64)?;
        Ok(questions)
    }

    fn start(&self, name: &str, data: Option<&Path>) -> Result<Observatory, Error> {
        Observatory::start(name, data, self.ground.subject_cpu, self.ground.directory())
    }

    /// Fills an observatory with spans by one door, and in the first passes asks what the dashboards ask of them.
    fn spans(
        &mut self,
        subject: &'static str,
        door: Door,
        pass: usize,
        questions: &BTreeSet<Question>,
    ) -> Result<(), Error> {
        let observatory = self.start(&format!("observatory-spans-{pass}"), None)?;
        let (requests, end) = (SPANS.div_ceil(spans::EACH), process::unix_nanos());
        let mut line = observatory.sender(door)?;
        let before = observatory.process.cpu_ns()?;
        for from in (0..requests).step_by(REQUESTS_AT_ONCE as usize) {
            self.ground.progress.say(format_args!("{subject}, pass {}: request {from} of {requests}", pass + 1));
            line.spans(&spans::export(from, (from + REQUESTS_AT_ONCE).min(requests), requests, end))?;
        }
        let cpu = observatory.process.cpu_ns()? - before;
        let sent = requests * spans::EACH;
        observatory.must_hold("observatory_spans_received_total{outcome=\"stored\"}", sent)?;
        self.sheet.push(subject, RATE, sent as f64 * 1e9 / cpu as f64);
        self.memory(subject, &observatory)?;
        if door == Door::Http {
            let of_spans = questions.iter().filter(|question| !matches!(question, Question::Samples(_)));
            self.ask(TRACEQL, &observatory, of_spans)?;
        }
        Ok(())
    }

    fn memory(&mut self, subject: &'static str, observatory: &Observatory) -> Result<(), Error> {
        self.sheet.push(subject, MEMORY, observatory.process.rss()? as f64 / 1e6);
        self.sheet.push(subject, PEAK, observatory.process.peak_rss()? as f64 / 1e6);
        Ok(())
    }

    /// Asks each question several times over the last hour. A panel's time is the middle one of its answers'.
    fn ask<'q>(
        &mut self,
        subject: &'static str,
        observatory: &Observatory,
        questions: impl Iterator<Item = &'q Question> + Clone,
    ) -> Result<(), Error> {
        let end = process::unix_nanos() / 1_000_000_000;
        let mut line = observatory.line()?;
        let (mut times, mut once, mut empty) = (Vec::new(), 0.0_f64, 0);
        for question in questions {
            self.ground.progress.say(format_args!("{subject}: question {}", times.len() + 1));
            let request = observatory.get(&question.path(end));
            let mut taken = Vec::new();
            for _ in 0..self.rounds {
                let began = now();
                let (status, answer) = line.ask(&request, |_| {}).map_err(ProcessError::io("a question"))?;
                taken.push((now() - began) as f64 / MILLISECOND as f64);
                if status != 200 || taken.len() == 1 && !question.is_answered(answer) {
                    empty += 1;
                    break;
                }
            }
            once = taken.iter().copied().fold(once, f64::max);
            times.push((median(taken.into_iter()).unwrap_or(f64::INFINITY), question));
        }
        times.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.sheet.push(subject, EMPTY, f64::from(empty));
        self.sheet.push(subject, WORST_ONCE, once);
        if let (Some(middle), Some((worst, question))) = (median(times.iter().map(|(taken, _)| *taken)), times.last()) {
            self.sheet.push(subject, MIDDLE, middle);
            self.sheet.push(subject, WORST, *worst);
            let place = format!("{subject}: {} questions, the slowest ", times.len());
            if !self.slowest.iter().any(|known| known.starts_with(&place)) {
                self.slowest.push(format!("{place}{worst:.1} ms: {question}"));
            }
        }
        Ok(())
    }

    fn report(self, hours: u64) -> Report {
        let (own, other) = (self.ground.load_cpu, self.ground.subject_cpu);
        let bars = [
            (METRICS, MEMORY, Rule::AtMost(300.0)),
            (OVER_HTTP, MEMORY, Rule::AtMost(250.0)),
            (OVER_GRPC, MEMORY, Rule::AtMost(250.0)),
            (OVER_HTTP, RATE, Rule::MedianAtLeast(20_000.0)),
            (OVER_GRPC, RATE, Rule::MedianAtLeast(20_000.0)),
            (PROMQL, WORST, Rule::MedianAtMost(50.0)),
            (TRACEQL, WORST, Rule::MedianAtMost(50.0)),
            (PROMQL, EMPTY, Rule::AtMost(0.0)),
            (TRACEQL, EMPTY, Rule::AtMost(0.0)),
        ];
        let mut notes = vec![
            format!(
                "observatory on core {other}, load on core {own}; {hours} h of samples every 10 s; {SPANS} spans over 1 h"
            ),
            format!(
                "panels over 1 h, a point every {} s, each asked several times: the middle of its answers' times",
                panels::STEP
            ),
        ];
        notes.extend(self.slowest);
        Report {
            title: "candor bench observatory",
            machine: self.ground.machine,
            yardstick: METRICS,
            subjects: vec![METRICS, OVER_HTTP, OVER_GRPC, PROMQL, TRACEQL],
            columns: vec![MEMORY, PEAK, RATE, DISK, BACK, MIDDLE, WORST, WORST_ONCE, EMPTY],
            sheet: self.sheet,
            bars: bars.into_iter().map(|(subject, metric, rule)| Bar { subject, metric, rule }).collect(),
            notes,
        }
    }
}
