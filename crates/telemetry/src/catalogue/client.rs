//! What happens between a relay and its client: the same series in the gateway and in the sidecar.

use super::{Component, Kind, Label, Metric, PART_MS, STAGE_MS, Unit};
use crate::outcome::STAGES;

/// Where a client left.
const ABORT_PHASE: Label = Label::closed("phase", STAGES);
/// Values of the label `phase` of stalls: whom the client waited for.
pub(crate) const STALL_PHASES: &[&str] = &["second_token", "decode", "client"];
const STALL_PHASE: Label = Label::closed("phase", STALL_PHASES);

const HELD_S: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0];

pub(crate) static ABORT_MILLISECONDS: Metric = Metric::new(
    Component::Relay,
    Kind::Histogram,
    "client_abort_propagation_milliseconds",
    "From finding that the client has closed its connection to the engine's connection being closed, by the stage the \
     request was in. Legs that are left to finish on purpose are not waited for.",
)
.unit(Unit::Milliseconds)
.buckets(STAGE_MS)
.labels(&[ABORT_PHASE])
.observed("when a client leaves before its answer is whole");
pub(crate) static STALLS_TOTAL: Metric = Metric::new(
    Component::Relay,
    Kind::Counter,
    "stream_stalls_total",
    "Gaps between tokens above the stall threshold: after the first token (where a KV transfer may hide), later, or because \
     the client did not read.",
)
.labels(&[STALL_PHASE])
.observed("at the token that ends the gap");
pub(crate) static HELD_SECONDS: Metric = Metric::new(
    Component::Relay,
    Kind::Histogram,
    "slow_client_stall_seconds",
    "Time for which a stream could not be passed on because its client did not read, summed over the request.",
)
.unit(Unit::Seconds)
.buckets(HELD_S)
.observed("at the end of a stream that was held up for a millisecond or more");
pub(crate) static EGRESS_MILLISECONDS: Metric = Metric::new(
    Component::Relay,
    Kind::Histogram,
    "client_egress_delay_milliseconds",
    "From the kernel's taking a first token to its having sent everything that waited for the client.",
)
.unit(Unit::Milliseconds)
.buckets(PART_MS)
.observed("for a sample of first tokens");

pub(super) static ALL: &[&Metric] = &[&ABORT_MILLISECONDS, &STALLS_TOTAL, &HELD_SECONDS, &EGRESS_MILLISECONDS];
