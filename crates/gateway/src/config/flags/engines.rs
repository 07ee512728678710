//! The engines, and how they are talked to.

use super::{Flag, Group, flag, secret, unset};

pub(super) const FLAGS: &[Flag] = &[
    flag(
        Group::Engines,
        [
            "llm-backend-discovery",
            "CANDOR_GATEWAY_LLM_BACKEND_DISCOVERY",
            "KIND",
            "endpoints",
            "Where the engines are learnt from: `redis`, `etcd`, or `endpoints`, the lists below (Llumnix's default: redis)",
        ],
    ),
    unset(
        Group::Engines,
        [
            "prefill-endpoints",
            "CANDOR_GATEWAY_PREFILL_ENDPOINTS",
            "HOST:PORT,...",
            "Prefill engines, as the decode instances' sidecars reach them",
        ],
    ),
    unset(
        Group::Engines,
        [
            "decode-endpoints",
            "CANDOR_GATEWAY_DECODE_ENDPOINTS",
            "HOST:PORT,...",
            "Decode instances: the sidecars in front of the decode engines",
        ],
    ),
    unset(
        Group::Engines,
        [
            "neutral-endpoints",
            "CANDOR_GATEWAY_NEUTRAL_ENDPOINTS",
            "HOST:PORT,...",
            "Engines that do both prefill and decode; instead of the two lists above",
        ],
    ),
    unset(
        Group::Engines,
        [
            "llm-backend-endpoints",
            "CANDOR_GATEWAY_LLM_BACKEND_ENDPOINTS",
            "HOST:PORT,...",
            "Llumnix's name for --neutral-endpoints",
        ],
    ),
    flag(
        Group::Engines,
        [
            "models-refresh-interval",
            "CANDOR_GATEWAY_MODELS_REFRESH_INTERVAL",
            "DURATION",
            "10s",
            "How often the engines are asked which models they serve",
        ],
    ),
    secret(
        Group::Engines,
        [
            "engine-api-key",
            "CANDOR_GATEWAY_ENGINE_API_KEY",
            "KEY",
            "Key for the gateway's own questions to the engines; clients' requests keep their own",
        ],
    ),
    flag(
        Group::Engines,
        [
            "connect-timeout",
            "CANDOR_GATEWAY_CONNECT_TIMEOUT",
            "DURATION",
            "5s",
            "How long opening a connection to an engine may take",
        ],
    ),
    flag(
        Group::Engines,
        [
            "response-header-timeout",
            "CANDOR_GATEWAY_RESPONSE_HEADER_TIMEOUT",
            "DURATION",
            "15m",
            "How long an engine may take to begin its answer",
        ],
    ),
    flag(
        Group::Engines,
        [
            "stream-idle-timeout",
            "CANDOR_GATEWAY_STREAM_IDLE_TIMEOUT",
            "DURATION",
            "5m",
            "How long an answer that has begun may stay silent",
        ],
    ),
];
