//! Choosing who serves a request.
//!
//! So far: round robin. A scheduler's answer, a route to an external endpoint or a retry that excludes an instance all end
//! in the same [`Placement`], so that dispatch need not know who chose.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::endpoints::{Instance, Roster};

/// Who serves a request.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    /// The instance that the request is sent to.
    pub(crate) serving: Arc<Instance>,
    /// The instance that computes the prompt for it, if another one does.
    pub(crate) prefill: Option<Arc<Instance>>,
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
    /// The next placement; `None` when nobody can serve.
    pub(crate) fn place(&self, roster: &Roster) -> Option<Placement> {
        let (prefill, serving) = (roster.prefill(), roster.serving());
        if serving.is_empty() {
            return None;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let prefill = match prefill.len() {
            0 => None,
            count => {
                let shift = turn / lcm(count, serving.len());
                Some(Arc::clone(&prefill[turn.wrapping_add(shift) % count]))
            }
        };
        Some(Placement { serving: Arc::clone(&serving[turn % serving.len()]), prefill })
    }
}

fn lcm(a: usize, b: usize) -> usize {
    a / gcd(a, b) * b
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
