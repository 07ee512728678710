//! The flags of Llumnix's gateway, one by one: each is known here, and has upstream's default or is listed as an exception.

use super::*;

/// Every flag, with its default there; durations and lists as they are written here.
const UPSTREAM: &[(&str, &str)] = &[
    ("port", "8001"),
    ("host", "0.0.0.0"),
    ("max-queue-size", "512"),
    ("wait-queue-threads", "5"),
    ("wait-queue-interval", "1s"),
    ("extra-args", ""),
    ("forward-tokens", "true"),
    ("enable-log-input", ""),
    ("enable-pprof", ""),
    ("llm-backend-discovery", "redis"),
    ("llm-backend-endpoints", ""),
    ("scheduling-policy", "load-balance"),
    ("scheduler-discovery", "endpoints"),
    ("scheduler-endpoints", ""),
    ("enable-full-mode-scheduling", "true"),
    ("wait-scheduling-timeout", "5s"),
    ("wait-scheduling-retry-interval", "1s"),
    ("requests-report-duration", "0"),
    ("service-token", ""),
    ("discovery-redis-host", "redis"),
    ("discovery-redis-port", "6379"),
    ("discovery-redis-username", ""),
    ("discovery-redis-password", ""),
    ("discovery-redis-socket-timeout", "1s"),
    ("discovery-redis-retry-times", "1"),
    ("discovery-redis-status-ttl-ms", "60000"),
    ("discovery-redis-refresh-interval-ms", "1000"),
    ("discovery-etcd-endpoints", "etcd:2379"),
    ("discovery-etcd-username", ""),
    ("discovery-etcd-password", ""),
    ("discovery-etcd-dial-timeout", "5s"),
    ("discovery-etcd-lease-ttl", "60s"),
    ("discovery-etcd-refresh-interval-sec", "3600s"),
    ("route-policy", ""),
    ("route-config", ""),
    ("retry-max-count", "0"),
    ("fallback-retry-queue-enabled", "false"),
    ("fallback-retry-queue-size", "100"),
    ("fallback-retry-worker-size", "10"),
    ("fallback-retry-max-count", "3"),
    ("fallback-retry-init-delay-ms", "500"),
    ("fallback-retry-max-delay-ms", "5000"),
    ("tokenizer-name", ""),
    ("tokenizer-path", ""),
    ("chat-template", ""),
    ("max-model-len", "0"),
    ("tool-call-parser", ""),
    ("reasoning-parser", ""),
    ("batch-oss-path", ""),
    ("batch-oss-endpoint", ""),
    ("batch-parallel", ""),
    ("batch-lines-per-shard", ""),
    ("batch-request-timeout", ""),
    ("batch-request-retry-times", ""),
    ("batch-redis-addrs", ""),
    ("batch-redis-username", ""),
    ("batch-redis-password", ""),
    ("batch-redis-retry-times", ""),
    ("v", ""),
];

/// Defaults that are others here, and why.
const OTHERWISE: &[(&str, &str)] = &[
    // The port that upstream's own manifests use.
    ("port", "8089"),
    // A placement that is under way occupies no thread here.
    ("wait-queue-threads", "64"),
    // A gateway that is given engines needs no Redis and no scheduler.
    ("llm-backend-discovery", "endpoints"),
    ("scheduling-policy", ""),
    // With 0 the gateway never gives a request back to the scheduler's account, in upstream.
    ("requests-report-duration", "1s"),
];

fn base() -> Args {
    Args::default().with("neutral-endpoints", "a:1").with("insecure-no-auth", "true")
}

#[test]
fn every_flag_of_upstream_is_known_and_has_its_default() {
    for (name, theirs) in UPSTREAM {
        let flag = flags().find(|flag| flag.name == *name).unwrap_or_else(|| panic!("--{name} is not known"));
        let ours = OTHERWISE.iter().find(|(other, _)| other == name).map_or(*theirs, |(_, ours)| *ours);
        assert_eq!(flag.default.unwrap_or_default(), ours, "--{name}");
    }
}

#[test]
fn what_is_not_honoured_is_refused_with_what_to_do_instead_unless_it_asks_for_nothing() {
    for refused in REFUSED {
        let told = base().with(refused.name, "1x").validate().unwrap_err();
        let told: Vec<_> = told.iter().map(Fault::to_string).collect();
        assert_eq!(told, [format!("--{}: is not honoured: {}", refused.name, refused.instead)]);
        for harmless in refused.harmless.iter().chain([&""]) {
            assert!(base().with(refused.name, *harmless).validate().is_ok(), "--{} {harmless}", refused.name);
        }
    }
    assert!(base().with("batch-parallel", "8").validate().is_ok(), "without a path it means nothing there either");
}

#[test]
fn durations_may_be_bare_numbers_of_seconds_as_upstream_has_some() {
    let config = base().with("connect-timeout", "2").with("stream-idle-timeout", "1.5").validate().unwrap();
    assert_eq!(config.timeouts.connect, Duration::from_secs(2));
    assert_eq!(config.timeouts.stream_idle, Duration::from_millis(1500));
    assert!(base().with("connect-timeout", "-2").validate().is_err());
    assert!(base().with("connect-timeout", "inf").validate().is_err());
}
