//! Who chooses the engine of a request.

use super::{Flag, Group, flag, secret, unset};

pub(super) const FLAGS: &[Flag] = &[
    unset(
        Group::Scheduling,
        [
            "scheduling-policy",
            "CANDOR_GATEWAY_SCHEDULING_POLICY",
            "POLICY",
            "`round-robin` takes engines in turn and asks no scheduler; any other is the scheduler's. Where not set, the \
             scheduler is asked if there is one (Llumnix's default: load-balance)",
        ],
    ),
    unset(
        Group::Scheduling,
        [
            "scheduler-endpoints",
            "CANDOR_GATEWAY_SCHEDULER_ENDPOINTS",
            "HOST:PORT,...",
            "Schedulers; of several, the one that leads is found and followed",
        ],
    ),
    flag(
        Group::Scheduling,
        [
            "scheduler-discovery",
            "CANDOR_GATEWAY_SCHEDULER_DISCOVERY",
            "KIND",
            "endpoints",
            "Where schedulers are learnt from: `endpoints`, the list above",
        ],
    ),
    flag(
        Group::Scheduling,
        [
            "enable-full-mode-scheduling",
            "CANDOR_GATEWAY_ENABLE_FULL_MODE_SCHEDULING",
            "BOOL",
            "true",
            "Whether the scheduler knows of requests from the engines' own reports; if not, the gateway keeps its account",
        ],
    ),
    flag(
        Group::Scheduling,
        [
            "wait-scheduling-timeout",
            "CANDOR_GATEWAY_WAIT_SCHEDULING_TIMEOUT",
            "DURATION",
            "5s",
            "How long a request waits for a full cluster before it is answered with 503",
        ],
    ),
    flag(
        Group::Scheduling,
        [
            "wait-scheduling-retry-interval",
            "CANDOR_GATEWAY_WAIT_SCHEDULING_RETRY_INTERVAL",
            "DURATION",
            "1s",
            "How often it asks meanwhile",
        ],
    ),
    flag(
        Group::Scheduling,
        [
            "requests-report-duration",
            "CANDOR_GATEWAY_REQUESTS_REPORT_DURATION",
            "DURATION",
            "1s",
            "Without full mode: how often the growth of requests is reported, 0 for never; a bare number is seconds \
             (Llumnix's default: 0, with which it never gives a request back either)",
        ],
    ),
    secret(
        Group::Scheduling,
        ["service-token", "CANDOR_GATEWAY_SERVICE_TOKEN", "TOKEN", "`authorization` that is sent to schedulers"],
    ),
];
