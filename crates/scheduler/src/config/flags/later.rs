//! What does not exist yet: turning it on, or tuning it, is refused.

use super::{Flag, later};

pub(super) const FLAGS: &[Flag] = &[
    later("kvs-enable-save-unfull-chunk", "BOOL"),
    later("kvs-iris-meta-prefix", "TEXT"),
    later("kvs-vllm-block-prefix", "TEXT"),
    later("kvs-retry-interval-ms", "MS"),
    later("kvs-retry-times", "NUMBER"),
    later("kvs-metadata-service-down-duration-s", "SECONDS"),
    later("kvs-metadata-service-http-server-host", "HOST"),
    later("kvs-metadata-service-http-server-port", "PORT"),
    later("kvs-hash-algo", "KIND"),
    later("tpot-migrate-out-ceil-threshold", "NUMBER"),
    later("tpot-migrate-out-floor-threshold", "NUMBER"),
    later("rescheduling-prefill-load-metric", "METRIC"),
    later("rescheduling-prefill-load-threshold", "NUMBER"),
];
