//! Who may use the gateway, and how connections to it are protected.

use super::{Flag, Group, flag, unset};

pub(super) const FLAGS: &[Flag] = &[
    unset(
        Group::Access,
        [
            "api-keys-file",
            "CANDOR_GATEWAY_API_KEYS_FILE",
            "FILE",
            "Who may use the gateway: a `name:hash` a line, the hash being SHA-256 of the key (`printf %s KEY | sha256sum`); \
             read again when it changes",
        ],
    ),
    flag(
        Group::Access,
        [
            "insecure-no-auth",
            "CANDOR_GATEWAY_INSECURE_NO_AUTH",
            "BOOL",
            "false",
            "Let everybody in who reaches the address; needed to listen beyond the loopback without --api-keys-file",
        ],
    ),
    unset(
        Group::Access,
        [
            "cert-path",
            "CANDOR_GATEWAY_CERT_PATH",
            "DIRECTORY",
            "Speak TLS with the `tls.crt` and `tls.key` in this directory; they are read again when they change",
        ],
    ),
    unset(
        Group::Access,
        [
            "cors-allow-origin",
            "CANDOR_GATEWAY_CORS_ALLOW_ORIGIN",
            "ORIGIN,...",
            "Origins whose web pages may use the gateway, or `*`; none unless said",
        ],
    ),
];
