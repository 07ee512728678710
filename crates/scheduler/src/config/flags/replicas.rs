//! Several schedulers, of which one places requests.

use super::{Flag, flag, unset};

pub(super) const FLAGS: &[Flag] = &[
    flag([
        "leader-election",
        "BOOL",
        "false",
        "Of several schedulers one places requests: the one that holds a lease in Redis; the others say who does",
    ]),
    unset(["leader-election-redis", "URL", "Where the lease lies; the CMS's Redis where this is not set"]),
    flag(["leader-election-lease", "DURATION", "3s", "How long the lease holds without being renewed"]),
    unset(["advertise-endpoint", "HOST:PORT", "Where gateways reach this replica; host and port where not set"]),
];
