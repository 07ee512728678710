//! Where the time of a run went, by the coordinator's spans.

use super::join::Joined;
use crate::published::attribute;
use crate::verdict::{Spread, StageNumber};

/// In the order of a request's life; the first is the whole of the others.
const STAGES: &[&str] = &[
    attribute::TRUE_TTFT_MS,
    attribute::GATEWAY_PART_MS,
    attribute::PREPROCESS_PART_MS,
    attribute::PREFILL_MS,
    attribute::KV_TRANSFER_MS,
    attribute::TIME_TO_DECODE_START_MS,
    attribute::FIRST_DECODE_STEP_MS,
];

/// Every number that any completed stream's span carries.
pub(super) fn numbers(joined: &[Joined<'_>]) -> Vec<StageNumber> {
    let decodes = || joined.iter().filter(|j| j.record.streamed_whole()).filter_map(|j| j.decode);
    let number = |key: &&'static str| {
        let ns = decodes().filter_map(|span| span.number(key)).map(|ms| (ms * 1e6).round().max(0.0) as u64);
        let ns: Vec<u64> = ns.collect();
        (!ns.is_empty()).then(|| StageNumber { name: short(key), ms: Spread::of_ns(ns) })
    };
    STAGES.iter().filter_map(number).collect()
}

fn short(key: &'static str) -> &'static str {
    key.rsplit_once('.').map_or(key, |(_, name)| name)
}
