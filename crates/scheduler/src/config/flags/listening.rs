//! Where the scheduler listens.

use super::{Flag, flag};

pub(super) const FLAGS: &[Flag] = &[
    flag(["host", "ADDRESS", "0.0.0.0", "Address to listen on"]),
    flag(["port", "PORT", "8088", "Port to listen on; 0 picks a free one (upstream's default: 8002)"]),
    flag(["max-body-bytes", "BYTES", "67108864", "Longest request body"]),
    flag(["drain-timeout", "DURATION", "10s", "How long requests in flight may take to finish after SIGTERM"]),
];
