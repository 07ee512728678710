//! The flags as data: one table from which the command line, `--help` and the checks are made.
//!
//! Names and defaults are upstream's where upstream has the flag, except where the help says so. Values stay text until
//! [`super::Args::validate`] reads them, so that an operator is told of every fault at once.

/// What becomes of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// It does what it says.
    Full,
    /// It belongs to something that does not exist yet: turning that on, or tuning it, is refused.
    Later,
}

/// One flag.
#[derive(Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    /// The value where nobody says otherwise; `None` is "not set".
    pub(super) default: Option<&'static str>,
    /// What stands for the value in `--help`; `BOOL` may stand alone.
    pub(super) value: &'static str,
    pub(super) heading: &'static str,
    pub(super) help: &'static str,
    /// The environment variable of a secret, which should not be on a command line.
    pub(super) env: Option<&'static str>,
    pub(super) support: Support,
}

const fn flag(heading: &'static str, [name, value, default, help]: [&'static str; 4]) -> Flag {
    Flag { name, default: Some(default), value, heading, help, env: None, support: Support::Full }
}

const fn unset(heading: &'static str, [name, value, help]: [&'static str; 3]) -> Flag {
    Flag { name, default: None, value, heading, help, env: None, support: Support::Full }
}

const fn secret(heading: &'static str, [name, env, help]: [&'static str; 3]) -> Flag {
    Flag { name, default: None, value: "PASSWORD", heading, help, env: Some(env), support: Support::Full }
}

const fn later(name: &'static str, value: &'static str) -> Flag {
    Flag { name, default: None, value, heading: LATER, help: "Not supported yet", env: None, support: Support::Later }
}

const LISTENING: &str = "Listening";
const POLICY: &str = "Policy";
const CMS: &str = "Full mode: the CMS";
const LITE: &str = "Lite mode: discovery and reports";
const REPLICAS: &str = "Several replicas";
const LATER: &str = "Not supported yet";

pub(super) static FLAGS: &[Flag] = &[
    flag(LISTENING, ["host", "ADDRESS", "0.0.0.0", "Address to listen on"]),
    flag(LISTENING, ["port", "PORT", "8088", "Port to listen on; 0 picks a free one (upstream's default: 8002)"]),
    flag(LISTENING, ["max-body-bytes", "BYTES", "67108864", "Longest request body"]),
    flag(
        LISTENING,
        ["drain-timeout", "DURATION", "10s", "How long requests in flight may take to finish after SIGTERM"],
    ),
    flag(
        POLICY,
        [
            "enable-full-mode-scheduling",
            "BOOL",
            "true",
            "Instances speak for themselves, through the CMS; `false` is lite mode, where gateways speak of them",
        ],
    ),
    flag(
        POLICY,
        [
            "scheduling-policy",
            "POLICY",
            "load-balance",
            "load-balance, flood, round-robin, power-of-two or least-latency",
        ],
    ),
    unset(POLICY, ["policy-config", "FILE", "TOML file that puts a policy together; instead of --scheduling-policy"]),
    flag(POLICY, ["dispatch-top-k", "NUMBER", "1", "Choose among so many of the best, at random"]),
    unset(
        POLICY,
        [
            "dispatch-neutral-load-metric",
            "METRIC",
            "What neutral instances are compared by [default: all_prefills_tokens_num; in lite mode num_tokens]",
        ],
    ),
    unset(
        POLICY,
        [
            "dispatch-neutral-load-threshold",
            "NUMBER",
            "Those that have less come first [default: 8192; in lite mode none]",
        ],
    ),
    unset(
        POLICY,
        [
            "dispatch-prefill-load-metric",
            "METRIC",
            "What prefill instances are compared by [default: all_prefills_tokens_num; in lite mode num_tokens]",
        ],
    ),
    unset(
        POLICY,
        [
            "dispatch-prefill-load-threshold",
            "NUMBER",
            "Those that have less come first [default: 2048; in lite mode none]",
        ],
    ),
    unset(
        POLICY,
        [
            "dispatch-decode-load-metric",
            "METRIC",
            "What decode instances are compared by [default: kv_cache_usage_ratio_projected; in lite mode num_tokens]",
        ],
    ),
    unset(
        POLICY,
        [
            "dispatch-decode-load-threshold",
            "NUMBER",
            "Those that have less come first [default: 1.0; in lite mode none]",
        ],
    ),
    flag(
        POLICY,
        [
            "failover-domain",
            "DOMAIN",
            "instance-unit",
            "What is avoided with an instance that fails: instance, node, instance-unit or node-unit",
        ],
    ),
    flag(
        POLICY,
        ["instance-staleness-seconds", "SECONDS", "60", "A status that has not changed for longer is not believed"],
    ),
    flag(
        POLICY,
        [
            "allow-concurrent-scheduling",
            "BOOL",
            "false",
            "Accepted and of no effect: decisions never wait for each other",
        ],
    ),
    flag(
        POLICY,
        [
            "multi-model-support",
            "BOOL",
            "false",
            "Accepted and of no effect: a request goes to instances of its model, where they say which they serve",
        ],
    ),
    unset(CMS, ["cms", "URL", "redis://[[user]:password@]host[:port][/database]; instead of the flags below"]),
    flag(CMS, ["cms-redis-host", "HOST", "redis.roles", "Where the CMS is"]),
    flag(CMS, ["cms-redis-port", "PORT", "10000", "Its port"]),
    flag(CMS, ["cms-redis-username", "NAME", "", "User of the CMS"]),
    secret(CMS, ["cms-redis-password", "CANDOR_SCHEDULER_CMS_REDIS_PASSWORD", "Password of the CMS"]),
    flag(CMS, ["cms-redis-socket-timeout", "SECONDS", "1.0", "How long the CMS may take to answer"]),
    flag(CMS, ["cms-redis-retry-times", "NUMBER", "1", "Accepted and of no effect: the next refresh is the retry"]),
    flag(CMS, ["cms-pull-status-interval-ms", "MS", "50", "How often instances' status is read"]),
    flag(CMS, ["cms-pull-metadata-interval-ms", "MS", "10000", "How often it is read which instances there are"]),
    flag(
        CMS,
        [
            "enable-instance-status-local-account",
            "BOOL",
            "true",
            "Count what is in flight to an instance until its status shows it",
        ],
    ),
    flag(
        CMS,
        [
            "request-local-account-staleness-seconds",
            "SECONDS",
            "10",
            "A request that no status has shown after this is not counted any more",
        ],
    ),
    flag(LITE, ["llm-backend-discovery", "KIND", "redis", "Where instances are learnt from: redis, etcd or endpoints"]),
    unset(LITE, ["llm-backend-endpoints", "HOST:PORT,...", "Neutral instances, with `endpoints`"]),
    unset(LITE, ["prefill-endpoints", "HOST:PORT,...", "Prefill instances, with `endpoints`"]),
    unset(LITE, ["decode-endpoints", "HOST:PORT,...", "Decode instances, with `endpoints`"]),
    flag(LITE, ["discovery-redis-host", "HOST", "redis", "Where discovery records are"]),
    flag(LITE, ["discovery-redis-port", "PORT", "6379", "Its port"]),
    flag(LITE, ["discovery-redis-username", "NAME", "", "User of that Redis"]),
    secret(LITE, ["discovery-redis-password", "CANDOR_SCHEDULER_DISCOVERY_REDIS_PASSWORD", "Password of that Redis"]),
    flag(LITE, ["discovery-redis-socket-timeout", "SECONDS", "1.0", "How long it may take to answer"]),
    flag(LITE, ["discovery-redis-retry-times", "NUMBER", "1", "Accepted and of no effect: the next look is the retry"]),
    flag(LITE, ["discovery-redis-refresh-interval-ms", "MS", "1000", "How often it is looked at"]),
    flag(LITE, ["discovery-redis-status-ttl-ms", "MS", "60000", "How long a record counts that is not written again"]),
    flag(LITE, ["discovery-etcd-endpoints", "HOST:PORT,...", "etcd:2379", "Where etcd is"]),
    flag(LITE, ["discovery-etcd-username", "NAME", "", "User of etcd"]),
    secret(LITE, ["discovery-etcd-password", "CANDOR_SCHEDULER_DISCOVERY_ETCD_PASSWORD", "Password of etcd"]),
    flag(LITE, ["discovery-etcd-dial-timeout", "SECONDS", "5", "How long etcd may take to answer"]),
    flag(LITE, ["discovery-etcd-lease-ttl", "SECONDS", "60", "How long a record lives without its writer"]),
    flag(LITE, ["discovery-etcd-refresh-interval-sec", "SECONDS", "3600", "How often everything is read again"]),
    flag(
        LITE,
        ["lrs-request-timeout", "DURATION", "30m", "A request that no gateway speaks of for longer is taken off"],
    ),
    flag(
        REPLICAS,
        [
            "leader-election",
            "BOOL",
            "false",
            "Of several schedulers one places requests: the one that holds a lease in Redis; the others say who does",
        ],
    ),
    unset(REPLICAS, ["leader-election-redis", "URL", "Where the lease lies; the CMS's Redis where this is not set"]),
    flag(REPLICAS, ["leader-election-lease", "DURATION", "3s", "How long the lease holds without being renewed"]),
    unset(
        REPLICAS,
        ["advertise-endpoint", "HOST:PORT", "Where gateways reach this replica; host and port where not set"],
    ),
    later("enable-cache-aware-scheduling", "BOOL"),
    later("dispatch-prefill-cache-locality-metric", "METRIC"),
    later("cache-aware-scheduling-min-tokens", "NUMBER"),
    later("kvs-backend", "KIND"),
    later("kvs-chunk-size", "NUMBER"),
    later("kvs-enable-save-unfull-chunk", "BOOL"),
    later("kvs-iris-meta-prefix", "TEXT"),
    later("kvs-vllm-block-prefix", "TEXT"),
    later("kvs-retry-interval-ms", "MS"),
    later("kvs-retry-times", "NUMBER"),
    later("kvs-metadata-service-down-duration-s", "SECONDS"),
    later("kvs-metadata-service-http-server-host", "HOST"),
    later("kvs-metadata-service-http-server-port", "PORT"),
    later("kvs-hash-algo", "KIND"),
    later("enable-predictor-enhanced-scheduling", "BOOL"),
    later("max-num-batched-tokens", "NUMBER"),
    later("num-predictor-warmup-samples", "NUMBER"),
    later("ttft-slo", "MS"),
    later("tpot-slo", "MS"),
    later("ttft-slo-dispatch-threshold", "NUMBER"),
    later("tpot-slo-dispatch-threshold", "NUMBER"),
    later("tpot-migrate-out-ceil-threshold", "NUMBER"),
    later("tpot-migrate-out-floor-threshold", "NUMBER"),
    later("enable-adaptive-pd", "BOOL"),
    later("enable-rescheduling", "BOOL"),
    later("colocated-rescheduling-mode", "BOOL"),
    later("standalone-rescheduling-mode", "BOOL"),
    later("rescheduling-policies", "POLICY,..."),
    later("rescheduling-interval-ms", "MS"),
    later("rescheduling-neutral-load-metric", "METRIC"),
    later("rescheduling-neutral-load-threshold", "NUMBER"),
    later("rescheduling-prefill-load-metric", "METRIC"),
    later("rescheduling-prefill-load-threshold", "NUMBER"),
    later("rescheduling-decode-load-metric", "METRIC"),
    later("rescheduling-decode-load-threshold", "NUMBER"),
    later("rescheduling-req-select-order", "ORDER"),
    later("rescheduling-req-select-rule", "RULE"),
    later("rescheduling-req-select-value", "NUMBER"),
    later("rescheduling-load-balance-threshold", "NUMBER"),
    later("rescheduling-load-balance-scope", "SCOPE"),
    later("llumlet-grpc-connection-pool-size", "NUMBER"),
    later("llumlet-grpc-timeout-seconds", "SECONDS"),
];
