//! What is expected of instances, and what of it is good enough.

use super::{Flag, flag, unset};

pub(super) const FLAGS: &[Flag] = &[
    flag([
        "enable-predictor-enhanced-scheduling",
        "BOOL",
        "false",
        "Learn what instances' steps take, reckon with what they will have computed since their status, and show what is \
         predicted; on anyway for policies that go by predictions",
    ]),
    flag([
        "num-predictor-warmup-samples",
        "NUMBER",
        "20",
        "Steps to be seen before anything is predicted without a profile",
    ]),
    flag([
        "max-num-batched-tokens",
        "NUMBER",
        "65536",
        "Tokens in one step at most, of instances that do not say it themselves",
    ]),
    unset(["ttft-profiling-data-path", "FILE", "What prompts take, as upstream's profiler measures it (JSON)"]),
    unset(["tpot-profiling-data-path", "FILE", "What decode steps take, as upstream's profiler measures it (JSON)"]),
    flag(["ttft-slo", "MS", "6000", "Objective of the time to the first token, for slo and adaptive-pd"]),
    flag(["tpot-slo", "MS", "50", "Objective of the time per further token, for slo and adaptive-pd"]),
    flag(["ttft-slo-dispatch-threshold", "NUMBER", "0.85", "Share of --ttft-slo that a prediction must be below"]),
    flag(["tpot-slo-dispatch-threshold", "NUMBER", "0.85", "Share of --tpot-slo that a prediction must be below"]),
    flag(["enable-adaptive-pd", "BOOL", "false", "With --scheduling-policy slo: the policy adaptive-pd"]),
];
