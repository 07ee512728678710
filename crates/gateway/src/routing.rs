//! Choosing who serves a request.
//!
//! Whoever chooses, the choice is a [`Placement`], so that dispatch need not know who it was. An instance that failed a
//! request is [`Excluded`] from that request's next choice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::endpoints::{Instance, Roster};
use crate::scheduler::Lease;

/// Who serves a request.
#[derive(Debug)]
pub(crate) struct Placement {
    /// The instance that the request is sent to.
    pub(crate) serving: Arc<Instance>,
    /// The instance that computes the prompt for it, if another one does.
    pub(crate) prefill: Option<Arc<Instance>>,
    /// What a scheduler has on its account for it.
    pub(crate) leases: Vec<Lease>,
}

impl Placement {
    /// The request is with the instances that schedulers placed it on.
    pub(crate) fn delivered(&mut self) {
        self.leases.iter_mut().for_each(Lease::delivered);
    }
}

/// The instances that failed a request.
#[derive(Debug, Default)]
pub(crate) struct Excluded(Vec<Arc<Instance>>);

impl Excluded {
    /// The instance is not to be chosen again for this request; whether that is new.
    pub(crate) fn add(&mut self, instance: &Arc<Instance>) -> bool {
        let is_new = !self.has(instance);
        if is_new {
            self.0.push(Arc::clone(instance));
        }
        is_new
    }

    /// Whether an instance is excluded. By its endpoint: discovery may have made the instance anew meanwhile.
    pub(crate) fn has(&self, instance: &Instance) -> bool {
        self.0.iter().any(|excluded| excluded.endpoint == instance.endpoint)
    }

    /// Their ids, as whoever chose them named them.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.0.iter().map(|instance| instance.wire.id.clone()).collect()
    }

    /// Whether a roster has an instance to send to that is not excluded.
    pub(crate) fn leaves_any(&self, roster: &Roster) -> bool {
        roster.serving().iter().any(|instance| !self.has(instance))
    }
}

/// Takes instances in turn.
///
/// One counter drives both roles. Stepping both lists by one would pair the same prefill and decode instances for ever
/// when the lists are equally long (in general: meet only `lcm` of all the pairs), so a slow link between two of them would
/// never be spread. The prefill list is therefore shifted by one after each full cycle of pairs: every instance still gets its
/// turn, and every pair is met.
#[derive(Debug, Default)]
pub(crate) struct RoundRobin {
    turn: AtomicUsize,
}

impl RoundRobin {
    /// The next placement; `None` when nobody can serve. Where every instance is excluded, all are tried again: one of them may
    /// have recovered, and there is nobody else.
    pub(crate) fn place(&self, roster: &Roster, excluded: &Excluded) -> Option<Placement> {
        let (prefill, serving) = (roster.prefill(), roster.serving());
        if serving.is_empty() {
            return None;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let prefill = match prefill.len() {
            0 => None,
            count => {
                let shift = turn / lcm(count, serving.len());
                Some(next(prefill, turn.wrapping_add(shift), excluded))
            }
        };
        Some(Placement { serving: next(serving, turn, excluded), prefill, leases: Vec::new() })
    }
}

/// The first instance from `turn` on that is not excluded. The list is not empty.
fn next(instances: &[Arc<Instance>], turn: usize, excluded: &Excluded) -> Arc<Instance> {
    let count = instances.len();
    let mut in_turn = (0..count).map(|step| &instances[turn.wrapping_add(step) % count]);
    let chosen = in_turn.find(|instance| !excluded.has(instance)).unwrap_or(&instances[turn % count]);
    Arc::clone(chosen)
}

fn lcm(a: usize, b: usize) -> usize {
    a / gcd(a, b) * b
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
