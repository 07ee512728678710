//! For experiments; not shown in `--help`.

use super::{Flag, Group, unset};

pub(super) const FLAGS: &[Flag] = &[unset(
    Group::Hidden,
    [
        "inject-routing-delay",
        "CANDOR_GATEWAY_INJECT_ROUTING_DELAY",
        "DURATION",
        "Wait this long before choosing an engine, as if choosing took so long; for checking measurements",
    ],
)];
