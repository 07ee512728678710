//! The bars of `bench proxy`: ratios to nginx in the same run.

use super::case::{Case, YARDSTICK};
use super::passes::{
    ADDED_0, ADDED_20, ADDED_300, CPU_REQUEST, CPU_TOKEN, FAILED, P50, P99, RPS, RSS, SPANS_OFF, START,
};
use crate::frame::{Bar, Metric, Rule};

/// Columns of the table.
pub(super) const COLUMNS: &[Metric] =
    &[RPS, P50, P99, CPU_REQUEST, CPU_TOKEN, ADDED_0, ADDED_20, ADDED_300, RSS, START];

/// Every bar of the cases that are measured.
pub(super) fn bars(cases: &[Case]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for &case in cases {
        let mut bar = |metric, rule| {
            bars.push(Bar { subject: case.name(), metric, rule });
        };
        bar(FAILED, Rule::AtMost(0.0));
        if case == Case::Direct {
            // Not a bar for Candor but for the bench: engine and load must not be the bottleneck.
            bar(RPS, Rule::RatioAtLeast(1.6));
        }
        if case.is_one_of_ours() {
            bar(RPS, Rule::RatioAtLeast(if case.names_prefiller() { 0.3 } else { 0.6 }));
            bar(CPU_TOKEN, Rule::RatioAtMost(1.2));
            for added in [ADDED_0, ADDED_20, ADDED_300] {
                bar(added, Rule::ExcessAtMost(0.15));
            }
            bar(RSS, Rule::AtMost(40.0));
            bar(START, Rule::MedianAtMost(100.0));
        }
        if !case.request_spans().is_empty() {
            bar(SPANS_OFF, Rule::AtMost(0.0));
        }
    }
    debug_assert!(cases.contains(&YARDSTICK), "every ratio needs it");
    bars
}
