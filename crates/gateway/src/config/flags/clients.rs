//! What is watched and borne of clients.

use super::{Flag, Group, flag};

pub(super) const FLAGS: &[Flag] = &[
    flag(
        Group::Clients,
        [
            "max-buffered-bytes-per-stream",
            "CANDOR_GATEWAY_MAX_BUFFERED_BYTES_PER_STREAM",
            "BYTES",
            "262144",
            "How much of an answer may wait for a client that reads slowly; then the engine is read no further. Request heads \
             must fit into it too",
        ],
    ),
    flag(
        Group::Clients,
        [
            "stall-threshold",
            "CANDOR_GATEWAY_STALL_THRESHOLD",
            "DURATION",
            "2s",
            "From which gap between two tokens on a stream counts as stalled",
        ],
    ),
    flag(
        Group::Clients,
        [
            "egress-check-ratio",
            "CANDOR_GATEWAY_EGRESS_CHECK_RATIO",
            "RATIO",
            "0.01",
            "The share of first tokens that are followed until they have left the kernel",
        ],
    ),
];
