//! Where instances speak for themselves.

use super::{Flag, flag, secret, unset};

pub(super) const FLAGS: &[Flag] = &[
    unset(["cms", "URL", "redis://[[user]:password@]host[:port][/database]; instead of the flags below"]),
    flag(["cms-redis-host", "HOST", "redis.roles", "Where the CMS is"]),
    flag(["cms-redis-port", "PORT", "10000", "Its port"]),
    flag(["cms-redis-username", "NAME", "", "User of the CMS"]),
    secret(["cms-redis-password", "CANDOR_SCHEDULER_CMS_REDIS_PASSWORD", "Password of the CMS"]),
    flag(["cms-redis-socket-timeout", "SECONDS", "1.0", "How long the CMS may take to answer"]),
    flag(["cms-redis-retry-times", "NUMBER", "1", "Accepted and of no effect: the next refresh is the retry"]),
    flag(["cms-pull-status-interval-ms", "MS", "50", "How often instances' status is read"]),
    flag(["cms-pull-metadata-interval-ms", "MS", "10000", "How often it is read which instances there are"]),
    flag([
        "enable-instance-status-local-account",
        "BOOL",
        "true",
        "Count what is in flight to an instance until its status shows it",
    ]),
    flag([
        "request-local-account-staleness-seconds",
        "SECONDS",
        "10",
        "A request that no status has shown after this is not counted any more",
    ]),
];
