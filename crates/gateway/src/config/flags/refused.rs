//! Flags of Llumnix's gateway that this one has no use for. They are known, so that a deployment's arguments can be taken over
//! as they are; one that asks for something that would silently not happen is a fault that says what to do instead.

use super::{Flag, Group, unset};

/// Why a flag is not honoured.
pub(in crate::config) struct Refused {
    /// The flag.
    pub(in crate::config) name: &'static str,
    /// The values that ask for nothing: an empty one always does.
    pub(in crate::config) harmless: &'static [&'static str],
    /// What to do instead.
    pub(in crate::config) instead: &'static str,
}

const fn flag([name, env]: [&'static str; 2]) -> Flag {
    unset(Group::Hidden, [name, env, "VALUE", "Known to Llumnix's gateway; not honoured here"])
}

/// One that may stand alone.
const fn switch([name, env]: [&'static str; 2]) -> Flag {
    unset(Group::Hidden, [name, env, "BOOL", "Known to Llumnix's gateway; not honoured here"])
}

pub(super) const FLAGS: &[Flag] = &[
    switch(["enable-log-input", "CANDOR_GATEWAY_ENABLE_LOG_INPUT"]),
    switch(["enable-pprof", "CANDOR_GATEWAY_ENABLE_PPROF"]),
    flag(["tool-call-parser", "CANDOR_GATEWAY_TOOL_CALL_PARSER"]),
    flag(["reasoning-parser", "CANDOR_GATEWAY_REASONING_PARSER"]),
    flag(["batch-oss-path", "CANDOR_GATEWAY_BATCH_OSS_PATH"]),
    flag(["batch-oss-endpoint", "CANDOR_GATEWAY_BATCH_OSS_ENDPOINT"]),
    flag(["batch-parallel", "CANDOR_GATEWAY_BATCH_PARALLEL"]),
    flag(["batch-lines-per-shard", "CANDOR_GATEWAY_BATCH_LINES_PER_SHARD"]),
    flag(["batch-request-timeout", "CANDOR_GATEWAY_BATCH_REQUEST_TIMEOUT"]),
    flag(["batch-request-retry-times", "CANDOR_GATEWAY_BATCH_REQUEST_RETRY_TIMES"]),
    flag(["batch-redis-addrs", "CANDOR_GATEWAY_BATCH_REDIS_ADDRS"]),
    flag(["batch-redis-username", "CANDOR_GATEWAY_BATCH_REDIS_USERNAME"]),
    super::secret(
        Group::Hidden,
        [
            "batch-redis-password",
            "CANDOR_GATEWAY_BATCH_REDIS_PASSWORD",
            "VALUE",
            "Known to Llumnix's gateway; not honoured here",
        ],
    ),
    flag(["batch-redis-retry-times", "CANDOR_GATEWAY_BATCH_REDIS_RETRY_TIMES"]),
    flag(["v", "CANDOR_GATEWAY_V"]),
];

/// What each of them is told that is given a value of consequence. The batch API's other flags have none without its path.
pub(in crate::config) const REFUSED: &[Refused] = &[
    Refused {
        name: "enable-log-input",
        harmless: &["false", "0"],
        instead: "prompts are never logged; --mirror-config sends copies of requests to where they may be looked at",
    },
    Refused {
        name: "enable-pprof",
        harmless: &["false", "0"],
        instead: "there is no Go runtime to profile: /metrics has the process's own, and `perf` works on the binary",
    },
    Refused {
        name: "tool-call-parser",
        harmless: &[],
        instead: "a chat stays a chat, which the engine parses: give vLLM --tool-call-parser and --enable-auto-tool-choice",
    },
    Refused {
        name: "reasoning-parser",
        harmless: &[],
        instead: "a chat stays a chat, which the engine parses: give vLLM --reasoning-parser",
    },
    Refused { name: "batch-oss-path", harmless: &[], instead: "the batch API is not served yet: leave it out" },
    Refused { name: "v", harmless: &[], instead: "say how much to log with --log-level" },
];
