//! From records to snapshots.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use cluster::api::{Endpoint, InferType, LlmInstance};
use cluster::records::{InstanceMetadata, InstanceStatus};
use telemetry::clock::Moment;

use super::{ClusterView, Instance, Load, Seat, learn};
use crate::predict::{Forecast, Predictor};

/// Tokens per step of an instance that does not say.
const USUAL_BATCH: u64 = 65_536;

/// What a refresher remembers between two snapshots. Belongs to one task.
#[derive(Debug, Default)]
pub struct Roster {
    known: BTreeMap<Arc<str>, Known>,
    /// The store did not answer since metadata, or status, was read: what is missing in its next answer may have been lost
    /// rather than removed.
    lost: [bool; 2],
    /// Counts readings of status.
    reading: u64,
    predictor: Option<Predictor>,
    /// Tokens per step of an instance that does not say.
    usual_batch: Option<u64>,
    /// How far off what was predicted of prompts' progress was, since somebody last asked.
    progress: Vec<f64>,
}

/// The epoch of an instance that does not say when it began.
const UNKNOWN: u64 = 0.0_f64.to_bits();

/// How long an instance that a store has lost is kept: as long as its record would have lain there.
const KEPT: Duration = cluster::cms::EXPIRY;

/// An instance as the refresher knows it.
#[derive(Debug)]
struct Known {
    infer_type: InferType,
    model: Arc<str>,
    node: Option<Box<str>>,
    unit: Option<Box<str>>,
    data_parallel: bool,
    max_batched_tokens: u64,
    /// When the instance began, as it says itself; another number is another life.
    epoch: u64,
    answer: Arc<LlmInstance>,
    llumlet: Option<Endpoint>,
    seat: Arc<Seat>,
    status: Option<Status>,
    /// Its metadata, and its status, are not in the store, and nobody saw them being removed.
    missing: [bool; 2],
    /// The reading that last had its status.
    read: u64,
    forecast: Option<Arc<Forecast>>,
    /// The least time that ever lay between a status's time, by the instance's clock, and its being read.
    least_lag_ms: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Status {
    pub(super) update_id: i32,
    pub(super) profiling_id: i32,
    pub(super) timestamp_ms: i64,
    schedulable: bool,
    fresh_at: Moment,
    written_at: Moment,
    pub(super) load: Load,
    /// Who had come lately, where progress is predicted.
    pub(super) recent: Arc<[u64]>,
}

/// What became of a status that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It says something new.
    New,
    /// It says the same, or only that the instance is still there.
    Same,
    /// It says something new, and its counter began anew: the engine has restarted under its old id.
    Restarted,
    /// It is older than what is known.
    Older,
}

impl Roster {
    /// A roster that predicts, and learns how to, where it is given a predictor. Instances that do not say otherwise compute
    /// `usual_batch` tokens in one step at most.
    #[must_use]
    pub fn new(predictor: Option<Predictor>, usual_batch: u64) -> Self {
        Self { predictor, usual_batch: Some(usual_batch), ..Self::default() }
    }

    /// How far prompts' progress was from what was predicted of it, since this was last asked: shares of what there was to
    /// compute.
    pub fn take_progress(&mut self) -> Vec<f64> {
        std::mem::take(&mut self.progress)
    }

    /// The store does not answer.
    pub fn lose(&mut self) {
        self.lost = [true; 2];
    }

    /// Takes in who there is; whoever is not listed is gone, unless the store may have lost it. Returns the ids of instances
    /// that are gone or have begun anew.
    pub fn metadata<R: Borrow<InstanceMetadata>>(
        &mut self,
        records: impl IntoIterator<Item = R>,
        now: Moment,
    ) -> Vec<Arc<str>> {
        let lost = std::mem::take(&mut self.lost[0]);
        let mut before = std::mem::take(&mut self.known);
        let mut ended = Vec::new();
        for record in records {
            let record = record.borrow();
            let Ok(infer_type) = record.instance_type.parse::<InferType>() else {
                tracing::warn!(
                    instance = record.instance_id,
                    infer_type = record.instance_type,
                    "instance left out: its type is none of neutral, prefill and decode"
                );
                continue;
            };
            let id: Arc<str> = record.instance_id.as_str().into();
            if self.known.contains_key(&id) {
                tracing::warn!(instance = %id, "instance is there twice; the first is taken");
                continue;
            }
            let epoch = record.utc_create.to_bits();
            let usual_batch = self.usual_batch.unwrap_or(USUAL_BATCH);
            let mut known = Known::of(record, infer_type, usual_batch);
            if let Some(same) = before.remove(&id) {
                // An agent may speak of an engine before it knows when that began.
                if same.epoch == epoch || same.epoch == UNKNOWN {
                    (known.seat, known.status, known.missing[1]) = (same.seat, same.status, same.missing[1]);
                    known.least_lag_ms = same.least_lag_ms;
                } else {
                    ended.push(Arc::clone(&id));
                }
            }
            self.known.insert(id, known);
        }
        for (id, mut known) in before {
            known.missing[0] |= lost;
            if known.missing[0] && known.is_recent(now) {
                self.known.insert(id, known);
            } else {
                ended.push(id);
            }
        }
        self.tell_apart();
        self.foresee();
        ended
    }

    /// The id that gateways are told is upstream's, made of address and rank. Engines that share an address share it too, and
    /// are then told apart by the ids that they have in the CMS.
    fn tell_apart(&mut self) {
        let mut of_id: HashMap<String, usize> = HashMap::new();
        for known in self.known.values() {
            *of_id.entry(known.answer.id.clone()).or_default() += 1;
        }
        for (id, known) in &mut self.known {
            if of_id.get(&known.answer.id).is_some_and(|&shared| shared > 1) {
                Arc::make_mut(&mut known.answer).id = id.to_string();
            }
        }
    }

    /// Takes in who there is by discovery: instances without any status. As [`Roster::metadata`] otherwise.
    pub fn discovered(&mut self, instances: impl IntoIterator<Item = LlmInstance>, now: Moment) -> Vec<Arc<str>> {
        let mut before = std::mem::take(&mut self.known);
        let mut ended = Vec::new();
        for instance in instances {
            let id: Arc<str> = instance.endpoint.to_string().into();
            if self.known.contains_key(&id) {
                continue;
            }
            let mut known = Known::discovered(instance, now);
            if let Some(same) = before.remove(&id) {
                if same.epoch == known.epoch {
                    known.seat = same.seat;
                } else {
                    ended.push(Arc::clone(&id));
                }
            }
            self.known.insert(id, known);
        }
        ended.extend(before.into_keys());
        ended
    }

    /// Takes in how everybody is, and settles the accounts with it. Whoever is not listed has no status, unless the store may
    /// have lost it. Says whether metadata should be read again: an engine has restarted under its old id, or one takes requests
    /// that took none before.
    pub fn statuses<R: Borrow<InstanceStatus>>(&mut self, records: impl IntoIterator<Item = R>, now: Moment) -> bool {
        let lost = std::mem::take(&mut self.lost[1]);
        self.reading += 1;
        let mut changed = false;
        for record in records {
            changed |= self.status(record.borrow(), now);
        }
        for known in self.known.values_mut() {
            let is_there = known.read == self.reading;
            known.missing[1] = !is_there && (known.missing[1] || lost);
            let is_kept = is_there || known.missing[1] && known.is_recent(now);
            if !is_kept {
                known.status = None;
            }
        }
        self.foresee();
        changed
    }

    /// Gives every instance what is known by now of those that are like it.
    fn foresee(&mut self) {
        let Some(predictor) = &mut self.predictor else {
            return;
        };
        for known in self.known.values_mut() {
            known.forecast = Some(predictor.forecast(&known.model, known.infer_type));
        }
        let known = &self.known;
        predictor.keep(|model, of| known.values().any(|known| known.infer_type == of && *known.model == *model));
    }

    fn status(&mut self, record: &InstanceStatus, now: Moment) -> bool {
        let Some(known) = self.known.get_mut(record.instance_id.as_str()) else {
            return false;
        };
        known.read = self.reading;
        let before = known.status.clone();
        let taken = known.take(record, now);
        if let (Some(predictor), Taken::New | Taken::Restarted) = (&mut self.predictor, taken) {
            let before = before.as_ref().filter(|_| taken == Taken::New);
            if let (Some(forecast), Some(before)) = (&known.forecast, before) {
                let was = learn::progress(forecast, before, (record, taken), known.max_batched_tokens);
                self.progress.extend(was);
            }
            if let Some(step) = learn::step(before, record) {
                predictor.learn(&known.model, known.infer_type, step);
            }
        }
        let took_none = before.is_some_and(|before| !before.schedulable);
        taken == Taken::Restarted || took_none && record.schedulable
    }

    /// The ids of all instances.
    pub fn ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.known.keys()
    }

    /// Settles by age what no status has settled. Says how many requests there were.
    pub fn expire(&self, now: Moment, patience: Duration) -> usize {
        self.known.values().map(|known| known.seat.account.expire(now, patience)).sum()
    }

    /// The snapshot: every instance that has a status.
    #[must_use]
    pub fn view(&self) -> ClusterView {
        let mut nodes = Numbers::default();
        let mut units = Numbers::default();
        let mut instances = Vec::with_capacity(self.known.len());
        for (id, known) in &self.known {
            let Some(status) = &known.status else {
                continue;
            };
            instances.push(Instance {
                id: Arc::clone(id),
                infer_type: known.infer_type,
                model: Arc::clone(&known.model),
                node: nodes.of(known.node.as_deref()),
                unit: units.of(known.unit.as_deref()),
                data_parallel: known.data_parallel,
                max_batched_tokens: known.max_batched_tokens,
                schedulable: status.schedulable,
                fresh_at: status.fresh_at,
                written_at: status.written_at,
                load: status.load,
                forecast: known.forecast.clone(),
                answer: Arc::clone(&known.answer),
                llumlet: known.llumlet.clone(),
                seat: Arc::clone(&known.seat),
            });
        }
        ClusterView { instances, nodes: nodes.next, units: units.next }
    }
}

impl Known {
    fn of(record: &InstanceMetadata, infer_type: InferType, usual_batch: u64) -> Self {
        let named = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Box::from);
        let answer = LlmInstance {
            version: record.utc_create as i64,
            id: format!("{}_instance{}_{}", record.ip, record.dp_rank, record.data_parallel_size),
            model: record.model.clone(),
            infer_type,
            endpoint: Endpoint { host: record.ip.clone(), port: port(record.api_server_port) },
            aux_ip: record.ip_kvt.clone(),
            aux_port: i64::from(record.kvt_port),
            dp_rank: i64::from(record.dp_rank),
            dp_size: i64::from(record.data_parallel_size),
        };
        Self {
            infer_type,
            model: record.model.as_str().into(),
            node: named(&record.node_id),
            unit: named(&record.unit_id),
            data_parallel: record.data_parallel_size > 1,
            max_batched_tokens: u64::try_from(record.max_num_batched_tokens)
                .ok()
                .filter(|&n| n > 0)
                .unwrap_or(usual_batch),
            epoch: record.utc_create.to_bits(),
            answer: Arc::new(answer),
            llumlet: llumlet(record),
            seat: Arc::default(),
            status: None,
            missing: [false; 2],
            read: 0,
            forecast: None,
            least_lag_ms: i64::MAX,
        }
    }

    fn discovered(instance: LlmInstance, now: Moment) -> Self {
        Self {
            infer_type: instance.infer_type,
            model: instance.model.as_str().into(),
            node: None,
            unit: None,
            data_parallel: instance.dp_size > 1,
            max_batched_tokens: USUAL_BATCH,
            epoch: instance.version as u64,
            answer: Arc::new(instance),
            llumlet: None,
            seat: Arc::default(),
            status: Some(Status {
                update_id: 0,
                profiling_id: 0,
                timestamp_ms: 0,
                schedulable: true,
                fresh_at: now,
                written_at: now,
                load: Load::default(),
                recent: Arc::default(),
            }),
            missing: [false; 2],
            read: 0,
            forecast: None,
            least_lag_ms: i64::MAX,
        }
    }

    fn is_recent(&self, now: Moment) -> bool {
        self.status.as_ref().is_some_and(|status| now - status.fresh_at < KEPT)
    }

    /// What lies in the store is the latest that the instance wrote, unless the store went back in time (a replica that
    /// took over, say). A counter that went back while time went on is an engine that restarted.
    fn take(&mut self, record: &InstanceStatus, now: Moment) -> Taken {
        let taken = match &self.status {
            None => Taken::New,
            Some(before) => {
                let later = record.timestamp_ms > before.timestamp_ms;
                let alive = record.timestamp_ms != before.timestamp_ms || record.schedulable != before.schedulable;
                match record.update_id.cmp(&before.update_id) {
                    Ordering::Greater => Taken::New,
                    Ordering::Less if later => Taken::Restarted,
                    Ordering::Less => return Taken::Older,
                    Ordering::Equal if alive => Taken::Same,
                    Ordering::Equal => return Taken::Same,
                }
            }
        };
        if taken == Taken::Restarted {
            self.seat.account.clear();
        }
        let fresh_at = if self.status.is_none() { written(record.timestamp_ms, now) } else { now };
        let written_at = self.written_at(record.timestamp_ms, now);
        self.status = Some(Status {
            update_id: record.update_id,
            profiling_id: record.profiling_id,
            timestamp_ms: record.timestamp_ms,
            schedulable: record.schedulable,
            fresh_at,
            written_at,
            load: Load::of(record),
            recent: if self.forecast.is_some() { learn::recent(record) } else { Arc::default() },
        });
        if taken != Taken::Same {
            let listed = record.recent_waiting_requests.iter().chain(&record.waiting_requests);
            self.seat.account.reconcile(listed.map(String::as_str));
        }
        taken
    }

    /// When a status was written that is read now. Its own time says so once the clocks' difference is known: the least lag that
    /// was ever seen is taken for it. Nor was it written before the one before it was read.
    fn written_at(&mut self, timestamp_ms: i64, now: Moment) -> Moment {
        let lag_ms = unix_ms(now).saturating_sub(timestamp_ms);
        self.least_lag_ms = self.least_lag_ms.min(lag_ms);
        let since = now - Duration::from_millis(lag_ms.saturating_sub(self.least_lag_ms).unsigned_abs());
        self.status.as_ref().map_or(since, |before| since.max(before.fresh_at))
    }
}

/// When a status was written, the first time it is seen. Only here is another host's clock believed, and never into the
/// future; from then on a status is as old as the time since it last changed.
fn written(timestamp_ms: i64, now: Moment) -> Moment {
    let age_ms = unix_ms(now).saturating_sub(timestamp_ms).max(0);
    now - Duration::from_millis(age_ms.unsigned_abs())
}

/// Where an instance's llumlet is, if it says so.
fn llumlet(record: &InstanceMetadata) -> Option<Endpoint> {
    let port = port(record.llumlet_port);
    (port > 0).then(|| Endpoint { host: record.ip.clone(), port })
}

fn unix_ms(moment: Moment) -> i64 {
    i64::try_from(moment.unix_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

fn port(number: i32) -> u16 {
    u16::try_from(number).unwrap_or(0)
}

/// Small numbers for names. Whoever has no name is alone.
#[derive(Default)]
struct Numbers<'a> {
    of_name: HashMap<&'a str, usize>,
    next: usize,
}

impl<'a> Numbers<'a> {
    fn of(&mut self, name: Option<&'a str>) -> usize {
        let next = self.next;
        let number = match name {
            Some(name) => *self.of_name.entry(name).or_insert(next),
            None => next,
        };
        self.next = self.next.max(number + 1);
        number
    }
}
