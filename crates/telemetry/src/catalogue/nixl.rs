//! The NIXL connector's series of a vLLM instance, but for `vllm:nixl_post_time_seconds`: nothing is posted in a
//! simulation, and what cannot be measured is absent, not zero.

use super::vllm::ENGINE;
use super::{Component, Kind, Metric, Unit};

const XFER_S: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 5.0];
const BYTES: &[f64] = &[
    2048.0,
    8192.0,
    32768.0,
    131_072.0,
    524_288.0,
    2_097_152.0,
    8_388_608.0,
    33_554_432.0,
    134_217_728.0,
    536_870_912.0,
    2_147_483_648.0,
    8_589_934_592.0,
];
const DESCRIPTORS: &[f64] =
    &[10.0, 20.0, 30.0, 50.0, 75.0, 100.0, 200.0, 400.0, 1000.0, 2000.0, 4000.0, 10000.0, 20000.0, 50000.0];

const PULLED: &str = "on the decode instance, when a transfer ends";

const fn histogram(name: &'static str, unit: Unit, buckets: &'static [f64], help: &'static str) -> Metric {
    Metric::new(Component::Engine, Kind::Histogram, name, help)
        .labels(ENGINE)
        .unit(unit)
        .buckets(buckets)
        .observed(PULLED)
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric::new(Component::Engine, Kind::Counter, name, help).labels(ENGINE)
}

pub(crate) static XFER_TIME: Metric = histogram(
    "vllm:nixl_xfer_time_seconds",
    Unit::Seconds,
    XFER_S,
    "Histogram of transfer duration for NIXL KV Cache transfers.",
);
pub(crate) static BYTES_TRANSFERRED: Metric = histogram(
    "vllm:nixl_bytes_transferred",
    Unit::Bytes,
    BYTES,
    "Histogram of bytes transferred per NIXL KV Cache transfers.",
);
pub(crate) static NUM_DESCRIPTORS: Metric = histogram(
    "vllm:nixl_num_descriptors",
    Unit::Count,
    DESCRIPTORS,
    "Histogram of number of descriptors per NIXL  KV Cache transfers.",
);
pub(crate) static FAILED_TRANSFERS: Metric = counter(
    "vllm:nixl_num_failed_transfers_total",
    "Number of failed NIXL KV Cache transfers, including handshake and notification failures.",
)
.observed("on the decode instance, each failure");
pub(crate) static EXPIRED: Metric = counter(
    "vllm:nixl_num_kv_expired_reqs_total",
    "Number of requests that had their KV expire. NOTE: This metric is tracked on the P instance.",
)
.observed("on the prefill instance, when blocks are freed unpulled");
pub(crate) static LATE_NOTIFICATIONS: Metric = counter(
    "vllm:nixl_num_notifications_after_expiry_total",
    "Number of completion notifications for requests that were no longer tracked, usually because their KV lease expired.",
)
.observed("on the prefill instance, each late pull");

pub(super) static ALL: &[&Metric] =
    &[&XFER_TIME, &BYTES_TRANSFERRED, &NUM_DESCRIPTORS, &FAILED_TRANSFERS, &EXPIRED, &LATE_NOTIFICATIONS];
