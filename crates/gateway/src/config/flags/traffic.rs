//! Where requests go beside the cluster.

use super::{Flag, Group, flag, secret, unset};

pub(super) const FLAGS: &[Flag] = &[
    unset(
        Group::Traffic,
        [
            "route-policy",
            "CANDOR_GATEWAY_ROUTE_POLICY",
            "weight|prefix",
            "How requests are split between the cluster and other endpoints: by chance, or by their model",
        ],
    ),
    secret(
        Group::Traffic,
        [
            "route-config",
            "CANDOR_GATEWAY_ROUTE_CONFIG",
            "JSON",
            "List of routes: base_url (a URL, or `local`), weight or prefix, and where wanted api_key, model, fallback",
        ],
    ),
    unset(
        Group::Traffic,
        [
            "mirror-config",
            "CANDOR_GATEWAY_MIRROR_CONFIG",
            "FILE",
            "JSON file that says which requests are copied to where (Enable, Target, Ratio, Timeout, Authorization, EnableLog)",
        ],
    ),
    flag(
        Group::Traffic,
        [
            "fallback-retry-queue-enabled",
            "CANDOR_GATEWAY_FALLBACK_RETRY_QUEUE_ENABLED",
            "BOOL",
            "false",
            "Let a request wait and try again that a fallback answered with 429",
        ],
    ),
    flag(
        Group::Traffic,
        [
            "fallback-retry-queue-size",
            "CANDOR_GATEWAY_FALLBACK_RETRY_QUEUE_SIZE",
            "N",
            "100",
            "Requests that may wait so",
        ],
    ),
    flag(
        Group::Traffic,
        [
            "fallback-retry-worker-size",
            "CANDOR_GATEWAY_FALLBACK_RETRY_WORKER_SIZE",
            "N",
            "10",
            "Requests of those that may be tried at the same time",
        ],
    ),
    flag(
        Group::Traffic,
        [
            "fallback-retry-max-count",
            "CANDOR_GATEWAY_FALLBACK_RETRY_MAX_COUNT",
            "N",
            "3",
            "Attempts for each; -1 is without end",
        ],
    ),
    flag(
        Group::Traffic,
        [
            "fallback-retry-init-delay-ms",
            "CANDOR_GATEWAY_FALLBACK_RETRY_INIT_DELAY_MS",
            "MS",
            "500",
            "Wait before the first of them, in milliseconds; each further one is twice as long",
        ],
    ),
    flag(
        Group::Traffic,
        [
            "fallback-retry-max-delay-ms",
            "CANDOR_GATEWAY_FALLBACK_RETRY_MAX_DELAY_MS",
            "MS",
            "5000",
            "Longest wait, in milliseconds",
        ],
    ),
];
