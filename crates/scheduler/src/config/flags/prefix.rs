//! Which instance has which prompt's beginning in its cache.

use super::{Flag, flag, unset};

pub(super) const FLAGS: &[Flag] = &[
    unset([
        "kvs-backend",
        "KIND",
        "Where it is learnt who has which prefix in its KV cache: approximate (from what was placed where); not looked up where this \
         is not set",
    ]),
    flag([
        "enable-cache-aware-scheduling",
        "BOOL",
        "false",
        "Place by prefix and load: the same as --scheduling-policy cache-aware; needs --kvs-backend",
    ]),
    flag([
        "dispatch-prefill-cache-locality-metric",
        "METRIC",
        "cache_aware_all_prefills_tokens_num",
        "What cache-aware compares neutral and prefill instances by, before their load",
    ]),
    flag(["cache-aware-scheduling-min-tokens", "NUMBER", "1024", "The prefix of a shorter prompt is not looked up"]),
    flag([
        "kvs-chunk-size",
        "NUMBER",
        "256",
        "Tokens of a block. Where the gateway does not know the tokens, it cuts the text, into blocks of 256 bytes",
    ]),
    flag([
        "kvs-approximate-max-blocks",
        "NUMBER",
        "500000",
        "Blocks remembered, one counting for each instance that has it; some 80 bytes each (not upstream's)",
    ]),
    flag([
        "kvs-approximate-max-age",
        "DURATION",
        "10m",
        "A block that was not placed again for longer is thought to be in no cache any more (not upstream's)",
    ]),
];
