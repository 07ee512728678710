//! What is known of each pod, and until when. No IO; times are arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use telemetry::clock::Moment;

use super::roster::Roster;
use crate::api::{Endpoint, InferType, LlmInstance};
use crate::keys;
use crate::records::{BadRecord, InstanceDiscoveryInfo, PodDiscoveryInfo};

/// What shows that a pod lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alive {
    /// Its record is written again. The time stamp in it is compared with our wall clock once, when the record is first seen;
    /// from then on only whether it changes counts, so that a pod whose clock is wrong is not taken for dead, nor kept for ever.
    Rewritten,
    /// Its record is there: the store itself takes it away when its lease ends.
    Present,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Table {
    time_to_live: Duration,
    alive: Alive,
    pods: BTreeMap<String, Pod>,
    /// The source did not answer the last time: what is missing in its next answer may have been lost rather than removed.
    lost: bool,
}

#[derive(Debug)]
struct Pod {
    timestamp_ms: i64,
    instances: Vec<LlmInstance>,
    /// When it last gave a sign of life.
    heard: Moment,
    /// Its record is not there, and nobody saw it being removed.
    missing: bool,
}

impl Table {
    pub(super) fn new(time_to_live: Duration, alive: Alive) -> Self {
        Self { time_to_live, alive, pods: BTreeMap::new(), lost: false }
    }

    /// The source does not answer.
    pub(super) fn lost(&mut self) {
        self.lost = true;
    }

    /// Takes over everything that the source has, and says what of it cannot be used.
    pub(super) fn load(
        &mut self,
        records: Vec<(String, PodDiscoveryInfo)>,
        now: Moment,
        wall_ms: i64,
    ) -> Vec<BadRecord> {
        let mut bad = Vec::new();
        let mut present = BTreeSet::new();
        for (key, record) in records {
            self.see(&key, &record, now, wall_ms, &mut bad);
            present.insert(key);
        }
        let lost = std::mem::take(&mut self.lost);
        let time_to_live = self.time_to_live;
        self.pods.retain(|key, pod| {
            if present.contains(key) {
                return true;
            }
            pod.missing |= lost;
            pod.missing && now - pod.heard <= time_to_live
        });
        bad
    }

    fn see(&mut self, key: &str, record: &PodDiscoveryInfo, now: Moment, wall_ms: i64, bad: &mut Vec<BadRecord>) {
        let timestamp_ms = record.timestamp_ms;
        let heard = match self.pods.get(key) {
            _ if self.alive == Alive::Present => now,
            Some(known) if known.timestamp_ms == timestamp_ms => known.heard,
            Some(_) => now,
            None => now - Duration::from_millis(wall_ms.saturating_sub(timestamp_ms).try_into().unwrap_or(0)),
        };
        let instances = instances(key, record, bad);
        self.pods.insert(key.to_owned(), Pod { timestamp_ms, instances, heard, missing: false });
    }

    /// The instances of all pods that live.
    pub(super) fn roster(&self, now: Moment) -> Roster {
        let living = self.pods.values().filter(|pod| now - pod.heard <= self.time_to_live);
        let mut ids = BTreeSet::new();
        let unique = living.flat_map(|pod| &pod.instances).filter(|instance| ids.insert(instance.id.as_str()));
        Roster::new(unique.cloned().collect())
    }

    /// Keys of records that nobody has renewed for many times their time to live: their writer is gone for good.
    pub(super) fn abandoned(&self, now: Moment) -> Vec<String> {
        let abandoned = |pod: &Pod| !pod.missing && now - pod.heard > self.time_to_live * 10;
        self.pods.iter().filter(|(_, pod)| abandoned(pod)).map(|(key, _)| key.clone()).collect()
    }
}

/// The instances of a pod that can be sent to.
fn instances(key: &str, record: &PodDiscoveryInfo, bad: &mut Vec<BadRecord>) -> Vec<LlmInstance> {
    let name = &record.pod_name;
    if key != keys::redis_discovery(name) && key != keys::etcd_discovery(name) {
        bad.push(BadRecord::new(key, format!("it is about pod {name:?}")));
        return Vec::new();
    }
    let mut instances: Vec<LlmInstance> = Vec::new();
    for info in &record.instances {
        match instance(name, info) {
            Ok(instance) if instances.iter().any(|other| other.id == instance.id) => {
                bad.push(BadRecord::new(key, format!("it names {} twice", instance.id)));
            }
            Ok(instance) => instances.push(instance),
            Err(problem) => bad.push(BadRecord::new(key, problem)),
        }
    }
    instances
}

fn instance(pod: &str, info: &InstanceDiscoveryInfo) -> Result<LlmInstance, String> {
    let id = keys::rank_id(pod, info.dp_rank);
    let infer_type: InferType = info.instance_type.parse().map_err(|error| format!("{id}: {error}"))?;
    let port = u16::try_from(info.entrypoint_port).ok().filter(|port| *port != 0);
    let port = port.ok_or_else(|| format!("{id}: {} is no port", info.entrypoint_port))?;
    if info.entrypoint_ip.is_empty() {
        return Err(format!("{id}: it has no address"));
    }
    Ok(LlmInstance {
        version: info.version,
        id,
        model: info.model.clone(),
        infer_type,
        endpoint: Endpoint { host: info.entrypoint_ip.clone(), port },
        aux_ip: info.kv_transfer_ip.clone(),
        aux_port: i64::from(info.kv_transfer_port),
        dp_rank: i64::from(info.dp_rank),
        dp_size: i64::from(info.dp_size),
    })
}

#[cfg(test)]
mod tests;
