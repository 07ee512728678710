//! What happens to a request.

use super::{Flag, Group, flag};

pub(super) const FLAGS: &[Flag] = &[
    flag(
        Group::Requests,
        [
            "max-body-bytes",
            "CANDOR_GATEWAY_MAX_BODY_BYTES",
            "BYTES",
            "67108864",
            "Longest request body; a longer one is answered with 413",
        ],
    ),
    flag(
        Group::Requests,
        [
            "exact-token-accounting",
            "CANDOR_GATEWAY_EXACT_TOKEN_ACCOUNTING",
            "BOOL",
            "false",
            "Ask engines for a running token count on every chunk, and take it out again for the client",
        ],
    ),
    flag(
        Group::Requests,
        [
            "retry-max-count",
            "CANDOR_GATEWAY_RETRY_MAX_COUNT",
            "COUNT",
            "0",
            "How often a request that an engine failed is sent to another one, as long as the client was sent nothing",
        ],
    ),
];
