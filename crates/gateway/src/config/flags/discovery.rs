//! Engines that come and go, as Redis or etcd tells of them.

use super::{Flag, Group, flag, secret, unset};

pub(super) const FLAGS: &[Flag] = &[
    flag(
        Group::Discovery,
        [
            "discovery-redis-host",
            "CANDOR_GATEWAY_DISCOVERY_REDIS_HOST",
            "HOST",
            "redis",
            "Redis that holds the engines' discovery records",
        ],
    ),
    flag(Group::Discovery, ["discovery-redis-port", "CANDOR_GATEWAY_DISCOVERY_REDIS_PORT", "PORT", "6379", "Its port"]),
    unset(
        Group::Discovery,
        ["discovery-redis-username", "CANDOR_GATEWAY_DISCOVERY_REDIS_USERNAME", "NAME", "User name for it"],
    ),
    secret(
        Group::Discovery,
        ["discovery-redis-password", "CANDOR_GATEWAY_DISCOVERY_REDIS_PASSWORD", "PASSWORD", "Password for it"],
    ),
    flag(
        Group::Discovery,
        [
            "discovery-redis-socket-timeout",
            "CANDOR_GATEWAY_DISCOVERY_REDIS_SOCKET_TIMEOUT",
            "DURATION",
            "1s",
            "How long it may take to answer; a bare number is seconds",
        ],
    ),
    flag(
        Group::Discovery,
        [
            "discovery-redis-retry-times",
            "CANDOR_GATEWAY_DISCOVERY_REDIS_RETRY_TIMES",
            "COUNT",
            "1",
            "Accepted for Llumnix's sake: it is asked again at each refresh, however often it failed",
        ],
    ),
    flag(
        Group::Discovery,
        [
            "discovery-redis-refresh-interval-ms",
            "CANDOR_GATEWAY_DISCOVERY_REDIS_REFRESH_INTERVAL_MS",
            "MILLISECONDS",
            "1000",
            "How often the records are read",
        ],
    ),
    flag(
        Group::Discovery,
        [
            "discovery-redis-status-ttl-ms",
            "CANDOR_GATEWAY_DISCOVERY_REDIS_STATUS_TTL_MS",
            "MILLISECONDS",
            "60000",
            "How long a record counts that nobody writes again",
        ],
    ),
    flag(
        Group::Discovery,
        [
            "discovery-etcd-endpoints",
            "CANDOR_GATEWAY_DISCOVERY_ETCD_ENDPOINTS",
            "HOST:PORT,...",
            "etcd:2379",
            "Members of the etcd that holds the engines' discovery records",
        ],
    ),
    unset(
        Group::Discovery,
        ["discovery-etcd-username", "CANDOR_GATEWAY_DISCOVERY_ETCD_USERNAME", "NAME", "User name for it"],
    ),
    secret(
        Group::Discovery,
        ["discovery-etcd-password", "CANDOR_GATEWAY_DISCOVERY_ETCD_PASSWORD", "PASSWORD", "Password for it"],
    ),
    flag(
        Group::Discovery,
        [
            "discovery-etcd-dial-timeout",
            "CANDOR_GATEWAY_DISCOVERY_ETCD_DIAL_TIMEOUT",
            "DURATION",
            "5s",
            "How long it may take to answer; a bare number is seconds",
        ],
    ),
    flag(
        Group::Discovery,
        [
            "discovery-etcd-lease-ttl",
            "CANDOR_GATEWAY_DISCOVERY_ETCD_LEASE_TTL",
            "DURATION",
            "60s",
            "How long the engines' leases run, and their records outlive an etcd that is away; a bare number is seconds",
        ],
    ),
    flag(
        Group::Discovery,
        [
            "discovery-etcd-refresh-interval-sec",
            "CANDOR_GATEWAY_DISCOVERY_ETCD_REFRESH_INTERVAL_SEC",
            "DURATION",
            "3600s",
            "How often all records are read although etcd tells of changes; a bare number is seconds",
        ],
    ),
];
