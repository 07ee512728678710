//! P/D protocols that the gateway runs itself.

use super::{Flag, Group, flag, unset};

pub(super) const FLAGS: &[Flag] = &[
    unset(
        Group::Disaggregation,
        [
            "pd-disagg-protocol",
            "CANDOR_GATEWAY_PD_DISAGG_PROTOCOL",
            "PROTOCOL",
            "Run this protocol between engines without sidecars: nixlv2, lmcache, sglang, mooncake, kvt (or Llumnix's vllm-kvt, vllm-mooncake, sglang-mooncake)",
        ],
    ),
    flag(
        Group::Disaggregation,
        [
            "separate-pd-scheduling",
            "CANDOR_GATEWAY_SEPARATE_PD_SCHEDULING",
            "BOOL",
            "false",
            "Place the stages of a request one after the other: the decode stage when the prefill is done, where the \
             gateway runs the protocol",
        ],
    ),
    flag(
        Group::Disaggregation,
        [
            "pd-bootstrap-port",
            "CANDOR_GATEWAY_PD_BOOTSTRAP_PORT",
            "PORT",
            "8998",
            "Bootstrap port of the prefill servers, for sglang and mooncake",
        ],
    ),
    flag(
        Group::Disaggregation,
        [
            "prefill-timeout",
            "CANDOR_GATEWAY_PREFILL_TIMEOUT",
            "DURATION",
            "300s",
            "How long a prefill may take, retries included",
        ],
    ),
    flag(
        Group::Disaggregation,
        [
            "prefill-max-retries",
            "CANDOR_GATEWAY_PREFILL_MAX_RETRIES",
            "N",
            "0",
            "Further attempts after every prefill candidate has had its chance",
        ],
    ),
    flag(
        Group::Disaggregation,
        [
            "prefill-retry-backoff",
            "CANDOR_GATEWAY_PREFILL_RETRY_BACKOFF",
            "DURATION",
            "200ms",
            "Pause before each of them",
        ],
    ),
    flag(
        Group::Disaggregation,
        [
            "on-prefill-failure",
            "CANDOR_GATEWAY_ON_PREFILL_FAILURE",
            "error|decode-only",
            "error",
            "When the prefill fails: answer with its error, or let the decoder do both",
        ],
    ),
];
