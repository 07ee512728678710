//! How instances are chosen.

use super::{Flag, flag, unset};

pub(super) const FLAGS: &[Flag] = &[
    flag([
        "enable-full-mode-scheduling",
        "BOOL",
        "true",
        "Instances speak for themselves, through the CMS; `false` is lite mode, where gateways speak of them",
    ]),
    flag([
        "scheduling-policy",
        "POLICY",
        "load-balance",
        "load-balance, cache-aware, flood, round-robin, power-of-two or least-latency; in full mode also slo and adaptive-pd",
    ]),
    unset(["policy-config", "FILE", "TOML file that puts a policy together; instead of --scheduling-policy"]),
    flag(["dispatch-top-k", "NUMBER", "1", "Choose among so many of the best, at random"]),
    unset([
        "dispatch-neutral-load-metric",
        "METRIC",
        "What neutral instances are compared by [default: all_prefills_tokens_num; in lite mode num_tokens]",
    ]),
    unset([
        "dispatch-neutral-load-threshold",
        "NUMBER",
        "Those that have less come first [default: 8192; in lite mode none]",
    ]),
    unset([
        "dispatch-prefill-load-metric",
        "METRIC",
        "What prefill instances are compared by [default: all_prefills_tokens_num; in lite mode num_tokens]",
    ]),
    unset([
        "dispatch-prefill-load-threshold",
        "NUMBER",
        "Those that have less come first [default: 2048; in lite mode none]",
    ]),
    unset([
        "dispatch-decode-load-metric",
        "METRIC",
        "What decode instances are compared by [default: kv_cache_usage_ratio_projected; in lite mode num_tokens]",
    ]),
    unset([
        "dispatch-decode-load-threshold",
        "NUMBER",
        "Those that have less come first [default: 1.0; in lite mode none]",
    ]),
    flag([
        "failover-domain",
        "DOMAIN",
        "instance-unit",
        "What is avoided with an instance that fails: instance, node, instance-unit or node-unit",
    ]),
    flag(["instance-staleness-seconds", "SECONDS", "60", "A status that has not changed for longer is not believed"]),
    flag([
        "allow-concurrent-scheduling",
        "BOOL",
        "false",
        "Accepted and of no effect: decisions never wait for each other",
    ]),
    flag([
        "multi-model-support",
        "BOOL",
        "false",
        "Accepted and of no effect: a request goes to instances of its model, where they say which they serve",
    ]),
];
