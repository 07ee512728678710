//! What the engines claim for themselves.

use std::collections::BTreeMap;

use super::join::Joined;
use crate::published::attribute;
use crate::verdict::{EngineClaim, Spread};

/// Every service's own time to first token, over the streams that completed, so that it can stand beside the client's.
pub(super) fn claims(joined: &[Joined<'_>]) -> Vec<EngineClaim> {
    let mut services: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for engine in joined.iter().filter(|j| j.record.streamed_whole()).flat_map(|j| &j.engines) {
        if let Some(seconds) = engine.number(attribute::ENGINE_TTFT_S) {
            let ns = (seconds * 1e9).round().max(0.0) as u64;
            services.entry(&engine.service).or_default().push(ns);
        }
    }
    let claim = |(service, ns): (&str, Vec<u64>)| EngineClaim {
        service: service.to_owned(),
        requests: ns.len() as u64,
        own_ttft_ms: Spread::of_ns(ns),
    };
    services.into_iter().map(claim).collect()
}
