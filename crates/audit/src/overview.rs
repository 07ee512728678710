//! The end of a report on several runs: what a reader takes away, one line a run.

use std::io::{self, Write};

use crate::compare::{GATEWAY_TTFT, TRUE_TTFT};
use crate::table::{Table, grouped, three};
use crate::verdict::{EngineClaim, LatencyCheck, Verdict};

/// Writes the lines, and the verdict on all of them.
///
/// # Errors
/// When `to` does not take it.
pub(crate) fn write(verdicts: &[Verdict], to: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new([
        "TTFT [ms], p50",
        "stopwatch",
        "Candor",
        "|diff| p50",
        "< bound",
        "|diff| p99",
        "< bound",
        "prefill says",
        "decode says",
        "requests",
        "failed",
        "",
    ]);
    for verdict in verdicts {
        table.row(line(verdict));
    }
    let broken = verdicts.iter().filter(|verdict| !verdict.holds()).count();
    writeln!(to, "{}", table.render())?;
    match broken {
        0 => writeln!(to, "The audit HOLDS: every number above and in the reports is within its bound."),
        _ => writeln!(to, "The audit is BROKEN for {broken} of {}; the reports above say where.", verdicts.len()),
    }
}

fn line(verdict: &Verdict) -> Vec<String> {
    let mut cells = vec![verdict.title.clone(), three(verdict.run.ttft_ms.p50)];
    let check = |name| verdict.latencies.iter().find(move |check| check.name == name);
    match check(TRUE_TTFT).or_else(|| check(GATEWAY_TTFT)) {
        Some(check) => cells.extend(difference(check)),
        None => cells.extend(std::iter::repeat_n("-".to_owned(), 5)),
    }
    cells.push(claim(verdict, "prefill"));
    cells.push(claim(verdict, "decode"));
    cells.push(grouped(verdict.run.requests as f64));
    cells.push(grouped(verdict.run.failed as f64));
    cells.push(if verdict.holds() { "holds" } else { "BROKEN" }.to_owned());
    cells
}

fn difference(check: &LatencyCheck) -> [String; 5] {
    let difference = check.difference_ms;
    [check.reported_ms.p50, difference.p50, check.bound_p50_ms, difference.p99, check.bound_p99_ms].map(three)
}

/// The median of what the engines of a role say of themselves.
fn claim(verdict: &Verdict, role: &str) -> String {
    let of_role = |engine: &&EngineClaim| engine.service.ends_with(role);
    verdict.engines.iter().find(of_role).map_or_else(|| "-".to_owned(), |engine| three(engine.own_ttft_ms.p50))
}
