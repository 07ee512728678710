//! The bars of `bench proxy`: ratios to nginx in the same run.
//!
//! One hop of ours may add 0.15 ms of TTFT to what nginx adds. A disaggregated request also has its prefill to fetch
//! before it is decoded, which a bare proxy never does: that exchange, as the load measures it from the proxy's core at
//! the same pace in the same pass, is taken off first. Gateway and sidecar in a row are two hops.

use super::case::{Case, YARDSTICK};
use super::passes::{ADDED, BUSY, CPU_REQUEST, CPU_TOKEN, FAILED, P50, P99, Probe, RPS, RSS, SPANS_OFF, START};
use crate::frame::{Aside, Bar, Metric, Rule};

/// Columns of the table.
pub(crate) const COLUMNS: &[Metric] =
    &[RPS, P50, P99, BUSY, CPU_REQUEST, CPU_TOKEN, ADDED[0].metric, ADDED[1].metric, ADDED[2].metric, RSS, START];

/// What one hop of ours may add to the TTFT beyond nginx, ms.
const HOP: f64 = 0.15;

/// Every bar of the cases that are measured.
pub(crate) fn bars(cases: &[Case]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for &case in cases {
        let mut bar = |metric, rule| {
            bars.push(Bar { subject: case.name(), metric, rule });
        };
        bar(FAILED, Rule::AtMost(0.0));
        if case == YARDSTICK {
            // Not a bar for Candor but for the bench: were engine or load the bottleneck, every ratio would flatter us; and
            // were the core shared with strangers, requests/s would be a lottery.
            bar(BUSY, Rule::MedianAtLeast(90.0));
        }
        if case.is_one_of_ours() {
            bar(RPS, Rule::RatioAtLeast(if case.names_prefiller() { 0.3 } else { 0.6 }));
            bar(CPU_TOKEN, Rule::RatioAtMost(1.2));
            bar(RSS, Rule::AtMost(40.0));
            bar(START, Rule::MedianAtMost(100.0));
        }
        for probe in ADDED {
            if let Some(rule) = added(case, probe) {
                bar(probe.metric, rule);
            }
        }
        if !case.request_spans().is_empty() {
            bar(SPANS_OFF, Rule::AtMost(0.0));
        }
    }
    debug_assert!(cases.contains(&YARDSTICK), "every ratio needs it");
    bars
}

/// What a case of ours may add to the TTFT.
fn added(case: Case, probe: Probe) -> Option<Rule> {
    let limit = f64::from(case.hops()) * HOP;
    let exchange = Aside { what: "one direct exchange", subject: Case::Direct.name(), metric: probe.exchange };
    match case.hops() {
        0 => None,
        _ if case.disaggregates() => Some(Rule::ExcessBeside(limit, exchange)),
        _ => Some(Rule::ExcessAtMost(limit)),
    }
}
