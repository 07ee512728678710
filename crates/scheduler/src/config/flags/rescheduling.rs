//! Moving requests from instance to instance.

use super::{Flag, flag};

pub(super) const FLAGS: &[Flag] = &[
    flag(["enable-rescheduling", "BOOL", "false", "Llumnix's flag; here the same as --colocated-rescheduling-mode"]),
    flag([
        "colocated-rescheduling-mode",
        "BOOL",
        "false",
        "Have requests moved from instance to instance, beside placing them",
    ]),
    flag([
        "standalone-rescheduling-mode",
        "BOOL",
        "false",
        "Have requests moved, and place none; `/metrics` and `/healthz` are served as ever",
    ]),
    flag([
        "rescheduling-policies",
        "POLICY,...",
        "decode_load,prefill_failover,decode_failover,neutral_failover",
        "Why requests are moved: neutral_load, decode_load (an instance has more than another), neutral_failover, prefill_failover, \
         decode_failover (an instance takes no requests any more)",
    ]),
    flag(["rescheduling-interval-ms", "MS", "500", "How often instances are compared"]),
    flag([
        "rescheduling-neutral-load-metric",
        "METRIC",
        "kv_cache_usage_ratio_projected",
        "What neutral instances are compared by (neutral_load)",
    ]),
    flag([
        "rescheduling-neutral-load-threshold",
        "NUMBER",
        "1.0",
        "From here on a neutral instance hands over; below, it may be handed to",
    ]),
    flag([
        "rescheduling-decode-load-metric",
        "METRIC",
        "kv_cache_usage_ratio_projected",
        "What decode instances are compared by (decode_load)",
    ]),
    flag([
        "rescheduling-decode-load-threshold",
        "NUMBER",
        "1.0",
        "From here on a decode instance hands over; below, it may be handed to",
    ]),
    flag([
        "rescheduling-load-balance-threshold",
        "NUMBER",
        "0.7",
        "How much more than the other one an instance must have to hand over",
    ]),
    flag(["rescheduling-load-balance-scope", "SCOPE", "cluster", "Among whom loads are balanced: cluster, or unit"]),
    flag([
        "rescheduling-req-select-order",
        "ORDER",
        "SR",
        "Which requests go first: LCR, FCR (last, first come), LR, SR (longest, shortest), FCW, FCWSR (waiting)",
    ]),
    flag([
        "rescheduling-req-select-rule",
        "RULE",
        "TOKEN",
        "What --rescheduling-req-select-value counts: NUM_REQ, TOKEN or RATIO",
    ]),
    flag([
        "rescheduling-req-select-value",
        "NUMBER",
        "1024",
        "How much is handed over at once: requests (-1 is all), tokens, or a share of the KV cache",
    ]),
    flag([
        "llumlet-grpc-timeout-seconds",
        "SECONDS",
        "5",
        "How long a migration may take; -1 is 5. Others do not wait for it [Llumnix: -1]",
    ]),
    flag([
        "llumlet-grpc-connection-pool-size",
        "NUMBER",
        "-1",
        "Llumnix's flag; one HTTP/2 connection to each instance carries all calls here",
    ]),
];
