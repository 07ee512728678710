//! Where the gateway listens, and how it treats the connections of clients.

use super::{EXTRA_ARGS, Flag, Group, SETTINGS_FILE, flag, secret, unset};

pub(super) const FLAGS: &[Flag] = &[
    flag(Group::Listening, ["host", "CANDOR_GATEWAY_HOST", "ADDRESS", "0.0.0.0", "Address to listen on"]),
    flag(Group::Listening, ["port", "CANDOR_GATEWAY_PORT", "PORT", "8089", "Port to listen on; 0 picks a free one"]),
    unset(
        Group::Listening,
        [
            SETTINGS_FILE,
            "CANDOR_GATEWAY_CONFIG",
            "FILE",
            "YAML file of settings, `flag-name: value`; the command line and the environment win over it",
        ],
    ),
    secret(
        Group::Listening,
        [
            EXTRA_ARGS,
            "CANDOR_GATEWAY_EXTRA_ARGS",
            "K=V,...",
            "More settings, which win over all others: `name=value,other='a,b',list=[x,y]`",
        ],
    ),
    flag(
        Group::Listening,
        [
            "client-header-timeout",
            "CANDOR_GATEWAY_CLIENT_HEADER_TIMEOUT",
            "DURATION",
            "30s",
            "How long a client may take to send the head of a request",
        ],
    ),
    flag(
        Group::Listening,
        [
            "client-idle-timeout",
            "CANDOR_GATEWAY_CLIENT_IDLE_TIMEOUT",
            "DURATION",
            "5m",
            "How long a client's connection may lie idle between requests",
        ],
    ),
    flag(
        Group::Listening,
        [
            "drain-timeout",
            "CANDOR_GATEWAY_DRAIN_TIMEOUT",
            "DURATION",
            "60s",
            "How long requests in flight may take to finish after SIGTERM",
        ],
    ),
];
