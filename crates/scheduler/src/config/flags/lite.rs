//! Where instances are learnt from that say nothing of themselves.

use super::{Flag, flag, secret, unset};

pub(super) const FLAGS: &[Flag] = &[
    flag(["llm-backend-discovery", "KIND", "redis", "Where instances are learnt from: redis, etcd or endpoints"]),
    unset(["llm-backend-endpoints", "HOST:PORT,...", "Neutral instances, with `endpoints`"]),
    unset(["prefill-endpoints", "HOST:PORT,...", "Prefill instances, with `endpoints`"]),
    unset(["decode-endpoints", "HOST:PORT,...", "Decode instances, with `endpoints`"]),
    flag(["discovery-redis-host", "HOST", "redis", "Where discovery records are"]),
    flag(["discovery-redis-port", "PORT", "6379", "Its port"]),
    flag(["discovery-redis-username", "NAME", "", "User of that Redis"]),
    secret(["discovery-redis-password", "CANDOR_SCHEDULER_DISCOVERY_REDIS_PASSWORD", "Password of that Redis"]),
    flag(["discovery-redis-socket-timeout", "SECONDS", "1.0", "How long it may take to answer"]),
    flag(["discovery-redis-retry-times", "NUMBER", "1", "Accepted and of no effect: the next look is the retry"]),
    flag(["discovery-redis-refresh-interval-ms", "MS", "1000", "How often it is looked at"]),
    flag(["discovery-redis-status-ttl-ms", "MS", "60000", "How long a record counts that is not written again"]),
    flag(["discovery-etcd-endpoints", "HOST:PORT,...", "etcd:2379", "Where etcd is"]),
    flag(["discovery-etcd-username", "NAME", "", "User of etcd"]),
    secret(["discovery-etcd-password", "CANDOR_SCHEDULER_DISCOVERY_ETCD_PASSWORD", "Password of etcd"]),
    flag(["discovery-etcd-dial-timeout", "SECONDS", "5", "How long etcd may take to answer"]),
    flag(["discovery-etcd-lease-ttl", "SECONDS", "60", "How long a record lives without its writer"]),
    flag(["discovery-etcd-refresh-interval-sec", "SECONDS", "3600", "How often everything is read again"]),
    flag(["lrs-request-timeout", "DURATION", "30m", "A request that no gateway speaks of for longer is taken off"]),
];
