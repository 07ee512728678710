//! The seed document's example: "client gateway 2 ms, prefill 50 ms, KV transfer 3 ms, decode 10 ms".
//!
//! The seed says that the client waits 55 ms; it waits for the first decode step too, 65 ms, and the decode engine calls
//! it a fraction of that. Requests come one at a time, so that nothing but the example's own durations is in the numbers.

use audit::verdict::{Holds, NumberCheck, Verdict};

use crate::topology::{Connector, GroupConfig, Latency};

pub(super) const GROUP: GroupConfig = GroupConfig::two_and_two(Connector::Nixlv2, Latency::SEED_EXAMPLE);

pub(super) const LOAD: &[&str] =
    &["--concurrency=1", "--requests=40", "--prompt-tokens=constant:200", "--output-tokens=constant:12"];

/// What the coordinator's spans must say: name, milliseconds, and how far off the median may be.
const EXPECTED: &[(&str, f64, f64)] =
    &[("true_ttft_ms", 65.0, 1.5), ("time_to_decode_start_ms", 55.0, 1.5), ("kv_transfer_overhead_ms", 3.0, 1.0)];

pub(super) fn expect(verdict: &Verdict) -> Vec<NumberCheck> {
    let number = |(name, expected, tolerance): &(&str, f64, f64)| {
        let found = verdict.stage(name).map_or(f64::NAN, |spread| spread.p50);
        NumberCheck::within(format!("median {name}"), *expected, found, *tolerance, "ms")
    };
    EXPECTED.iter().map(number).chain([decoder_is_far_below(verdict)]).collect()
}

/// "Far below" the truth: less than half of it.
fn decoder_is_far_below(verdict: &Verdict) -> NumberCheck {
    let truth = verdict.stage("true_ttft_ms").map_or(f64::NAN, |spread| spread.p50);
    let decoder = verdict.engines.iter().find(|claim| claim.service.ends_with("decode"));
    let claimed = decoder.map_or(f64::NAN, |claim| claim.own_ttft_ms.p50);
    let holds = if claimed < truth / 2.0 {
        Holds::Yes
    } else {
        Holds::No(format!("it claims {claimed:.1} ms, the truth is {truth:.1} ms"))
    };
    NumberCheck {
        name: "decode engine's own TTFT, far below".to_owned(),
        expected: truth,
        reported: claimed,
        tolerance: truth,
        unit: "ms",
        holds,
    }
}
