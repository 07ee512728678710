//! The report that a person reads.

use std::io::{self, Write};

use crate::table::{Table, grouped, three};
use crate::verdict::{Holds, NumberCheck, Offender, Spread, Verdict};

/// Writes a verdict: the run, every check in a table, then the verdict with its reasons and the worst offenders.
///
/// # Errors
/// When `to` does not take it.
pub fn write(verdict: &Verdict, to: &mut dyn Write) -> io::Result<()> {
    heading(verdict, to)?;
    latencies(verdict, to)?;
    sums(verdict, to)?;
    numbers(verdict, to)?;
    stages(verdict, to)?;
    engines(verdict, to)?;
    conclusion(verdict, to)
}

fn heading(verdict: &Verdict, to: &mut dyn Write) -> io::Result<()> {
    let run = &verdict.run;
    let count = |number: u64| grouped(number as f64);
    writeln!(
        to,
        "{}: {} requests in {} s: {} completed, {} cancelled by the client, {} failed; {} output tokens",
        verdict.title,
        count(run.requests),
        three(run.elapsed_s),
        count(run.completed),
        count(run.cancelled),
        count(run.failed),
        count(run.tokens),
    )?;
    match run.echo_ms {
        Some(echo) => writeln!(
            to,
            "wake-up noise of this machine in this run, by {} echo round trips: p50 {} ms, p99 {} ms (two of them, the way\n\
             to the coordinator: {} and {} ms); bounds hold beyond it",
            count(echo.round_trips),
            three(echo.p50),
            three(echo.p99),
            three(echo.two_p50),
            three(echo.two_p99),
        ),
        None => writeln!(to, "no echo probe: bounds include the machine's own wake-up noise"),
    }?;
    let mut table = Table::new(["client's stopwatch [ms]", "mean", "p50", "p99", "max"]);
    table.row(spread("TTFT", run.ttft_ms));
    table.row(spread("TTFT from the intended start", run.ttft_from_intended_ms));
    table.row(spread("gap between tokens", run.itl_ms));
    write!(to, "\n{}", table.render())
}

fn spread(name: &str, spread: Spread) -> impl Iterator<Item = String> {
    let numbers = [spread.mean, spread.p50, spread.p99, spread.max].map(three);
    std::iter::once(name.to_owned()).chain(numbers)
}

fn latencies(verdict: &Verdict, to: &mut dyn Write) -> io::Result<()> {
    if verdict.latencies.is_empty() {
        return writeln!(to, "\n  no spans: nothing to hold against the stopwatch request by request");
    }
    let mut table = Table::new([
        "reported, per request [ms]",
        "n",
        "stopwatch p50",
        "reported p50",
        "|diff| p50",
        "< bound",
        "|diff| p99",
        "< bound",
        "worst",
        "",
    ]);
    for check in &verdict.latencies {
        let numbers = [
            check.stopwatch_ms.p50,
            check.reported_ms.p50,
            check.difference_ms.p50,
            check.bound_p50_ms,
            check.difference_ms.p99,
            check.bound_p99_ms,
            check.difference_ms.max,
        ];
        let cells = [check.name.to_owned(), grouped(check.compared as f64)].into_iter();
        table.row(cells.chain(numbers.map(three)).chain([word(&check.holds)]));
    }
    write!(to, "\n{}", table.render())
}

fn sums(verdict: &Verdict, to: &mut dyn Write) -> io::Result<()> {
    if verdict.sums.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["parts add up, per request", "n", "worst [µs]", ""]);
    for check in &verdict.sums {
        table.row([check.name.to_owned(), grouped(check.compared as f64), three(check.worst_us), word(&check.holds)]);
    }
    write!(to, "\n{}", table.render())
}

fn numbers(verdict: &Verdict, to: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(["counts and histograms", "expected", "reported", "allowed |diff|", "unit", ""]);
    for check in &verdict.numbers {
        let cells = [
            check.name.clone(),
            figure(check, check.expected),
            figure(check, check.reported),
            figure(check, check.tolerance),
            check.unit.to_owned(),
            word(&check.holds),
        ];
        table.row(cells);
    }
    write!(to, "\n{}", table.render())
}

/// Counts are written out, everything else to three digits beyond what could hide a difference.
fn figure(check: &NumberCheck, number: f64) -> String {
    if check.unit.is_empty() { grouped(number) } else { format!("{number:.3}") }
}

fn stages(verdict: &Verdict, to: &mut dyn Write) -> io::Result<()> {
    if verdict.stages.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["where the time went, by the coordinator [ms]", "mean", "p50", "p99", "max"]);
    for stage in &verdict.stages {
        table.row(spread(stage.name, stage.ms));
    }
    write!(to, "\n{}", table.render())
}

fn engines(verdict: &Verdict, to: &mut dyn Write) -> io::Result<()> {
    if verdict.engines.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["TTFT by the engines' own account [ms]", "mean", "p50", "p99", "max", "requests"]);
    for claim in &verdict.engines {
        let requests = grouped(claim.requests as f64);
        table.row(spread(&claim.service, claim.own_ttft_ms).chain([requests]));
    }
    table.row(spread("what the client saw", verdict.run.ttft_ms));
    write!(to, "\n{}", table.render())
}

fn word(holds: &Holds) -> String {
    match holds {
        Holds::Yes => "holds",
        Holds::No(_) => "BROKEN",
        Holds::Unchecked(_) => "not checked",
    }
    .to_owned()
}

fn conclusion(verdict: &Verdict, to: &mut dyn Write) -> io::Result<()> {
    let reasons = verdict.reasons();
    if reasons.is_empty() {
        return writeln!(to, "\n{}: the audit HOLDS", verdict.title);
    }
    writeln!(to, "\n{}: the audit is BROKEN", verdict.title)?;
    for reason in reasons {
        writeln!(to, "  - {reason}")?;
    }
    let late = verdict.latencies.iter().map(|check| (check.name, &check.offenders));
    let sums = verdict.sums.iter().map(|check| (check.name, &check.offenders));
    for (name, offenders) in late.chain(sums).filter(|(_, offenders)| !offenders.is_empty()) {
        write!(to, "\n{}", worst(name, offenders))?;
    }
    Ok(())
}

fn worst(name: &str, offenders: &[Offender]) -> String {
    let head = format!("worst of {name}");
    let mut table = Table::new([head.as_str(), "trace", "reported [ms]", "expected [ms]"]);
    for offender in offenders {
        table.row([
            offender.request_id.clone(),
            offender.trace_id.clone(),
            offender.reported_ms.map_or_else(|| "none".to_owned(), |ms| format!("{ms:.3}")),
            format!("{:.3}", offender.expected_ms),
        ]);
    }
    table.render()
}
