//! Who may be placed now, and who waits.

use super::{Flag, Group, flag, unset};

pub(super) const FLAGS: &[Flag] = &[
    flag(
        Group::Admission,
        [
            "max-queue-size",
            "CANDOR_GATEWAY_MAX_QUEUE_SIZE",
            "COUNT",
            "512",
            "How many requests may wait for admission; one more is answered with 429",
        ],
    ),
    flag(
        Group::Admission,
        [
            "wait-queue-threads",
            "CANDOR_GATEWAY_WAIT_QUEUE_THREADS",
            "COUNT",
            "64",
            "How many requests are placed on instances at once. Llumnix has 5 threads for it; here it costs no thread",
        ],
    ),
    flag(
        Group::Admission,
        [
            "wait-queue-interval",
            "CANDOR_GATEWAY_WAIT_QUEUE_INTERVAL",
            "DURATION",
            "1s",
            "After how long a client that found the queue full is told to come back",
        ],
    ),
    flag(
        Group::Admission,
        [
            "queue-timeout",
            "CANDOR_GATEWAY_QUEUE_TIMEOUT",
            "DURATION",
            "30s",
            "How long a request may wait for admission before it is answered with 503",
        ],
    ),
    unset(
        Group::Admission,
        [
            "limits-config",
            "CANDOR_GATEWAY_LIMITS_CONFIG",
            "FILE",
            "YAML file of what models and API keys may use: concurrency, requests-per-minute, tokens-per-minute; \
             read again when it changes",
        ],
    ),
];
