//! The cluster as a decision sees it: an immutable snapshot.
//!
//! Refreshers make a new one and put it in place of the old; a decision takes one and is never disturbed. What changes with
//! every placement does not lie in the snapshot but in each instance's [`Seat`], which goes from snapshot to snapshot.

mod build;
mod learn;
mod load;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use cluster::api::{Endpoint, InferType, LlmInstance};
use telemetry::clock::Moment;

pub use build::Roster;
pub use load::Load;

use crate::account::Account;
use crate::lrs::Tally;
use crate::predict::Forecast;

#[cfg(test)]
mod tests;

/// All instances, by id.
#[derive(Debug, Default)]
pub struct ClusterView {
    /// In the order of their ids, which is the last tie-break of every decision.
    pub instances: Vec<Instance>,
    /// How many different nodes there are: [`Instance::node`] is less.
    pub nodes: usize,
    /// The same of units.
    pub units: usize,
}

/// One instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its id: the CMS's, or `host:port` in lite mode.
    pub id: Arc<str>,
    /// What it is used for.
    pub infer_type: InferType,
    /// The model it serves; empty where it does not say, and then it is taken to serve any.
    pub model: Arc<str>,
    /// Its machine, as a small number.
    pub node: usize,
    /// Its unit (the data-parallel ranks that fall together), as a small number.
    pub unit: usize,
    /// Whether it is one of several data-parallel ranks.
    pub data_parallel: bool,
    /// Tokens that it computes in one step at most.
    pub max_batched_tokens: u64,
    /// Whether it takes requests.
    pub schedulable: bool,
    /// When its status was new.
    pub fresh_at: Moment,
    /// When its status was written, on this clock.
    pub written_at: Moment,
    /// What its status says.
    pub load: Load,
    /// What its steps take, where that is predicted.
    pub forecast: Option<Arc<Forecast>>,
    /// What a gateway is told of it.
    pub answer: Arc<LlmInstance>,
    /// Where its llumlet is, which moves requests; `None` where it has none.
    pub llumlet: Option<Endpoint>,
    /// What changes between two snapshots.
    pub seat: Arc<Seat>,
}

/// What belongs to an instance beyond any snapshot.
#[derive(Debug, Default)]
pub struct Seat {
    /// What is in flight to it (full mode).
    pub account: Account,
    /// What gateways say runs on it (lite mode).
    pub tally: Tally,
    last_dispatch: AtomicU64,
    holder: AtomicU32,
    promised: AtomicU64,
}

impl ClusterView {
    /// The instance of this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Instance> {
        let at = self.instances.binary_search_by(|instance| (*instance.id).cmp(id)).ok()?;
        self.instances.get(at)
    }

    /// The instance that a gateway was told of as `named`.
    #[must_use]
    pub fn named(&self, named: &LlmInstance) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.answer.endpoint == named.endpoint)
    }
}

impl Instance {
    /// How old its status is.
    #[must_use]
    pub fn age(&self, now: Moment) -> Duration {
        now - self.fresh_at
    }

    /// Whether it serves `model`.
    #[must_use]
    pub fn serves(&self, model: &str) -> bool {
        model.is_empty() || self.model.is_empty() || *self.model == *model
    }

    /// Whether `other` serves what this one serves.
    #[must_use]
    pub fn serves_alike(&self, other: &Self) -> bool {
        other.serves(&self.model)
    }

    /// Whether `name` means this instance: its id here, its id towards gateways, or `host:port`.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        *self.id == *name || self.answer.id == name || is_written(&self.answer.endpoint, name)
    }
}

/// Whether `text` is this endpoint as `host:port`, found out without writing it down.
fn is_written(endpoint: &Endpoint, text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    endpoint.host == host && port.parse() == Ok(endpoint.port)
}

impl Seat {
    /// It was chosen, as the `turn`-th choice of all.
    pub fn chosen(&self, turn: u64) {
        self.last_dispatch.fetch_max(turn, Ordering::Relaxed);
    }

    /// The number that the index of prefixes knows it by; 0 while nothing was placed there.
    #[must_use]
    pub fn holder(&self) -> u32 {
        self.holder.load(Ordering::Relaxed)
    }

    /// The number that the index of prefixes knows it by, which is `next` from now on where it had none.
    pub fn holder_or(&self, next: impl FnOnce() -> u32) -> u32 {
        match self.holder() {
            0 => {
                let next = next();
                self.holder
                    .compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed)
                    .map_or_else(|known| known, |_| next)
            }
            known => known,
        }
    }

    /// A request was placed whose prompt is expected to be computed by then.
    pub fn promise(&self, by: Moment) {
        self.promised.fetch_max(by.as_nanos(), Ordering::Relaxed);
    }

    /// When all prompts placed so far are expected to be computed.
    fn promised(&self) -> Moment {
        Moment::from_nanos(self.promised.load(Ordering::Relaxed))
    }

    /// Which choice was its last; 0 where it was never chosen.
    #[must_use]
    pub fn last_dispatch(&self) -> u64 {
        self.last_dispatch.load(Ordering::Relaxed)
    }
}
