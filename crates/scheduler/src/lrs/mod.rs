//! Local real-time state: what runs on instances that say nothing of themselves (lite mode).
//!
//! A request counts on its instance from its placement: as waiting until its prefill is reported done, as running from then
//! on, whatever the type of the instance. It is taken out when its gateway releases it, when the gateway is lost, when the
//! instance is gone, and at the latest when nothing was heard of it for too long.

mod tally;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use cluster::api::{ReportEvent, ReportKind};
use parking_lot::Mutex;
use telemetry::clock::Moment;

use crate::view::Instance;

pub(crate) use tally::MOST_TOKENS;
pub use tally::{Sums, Tally};

#[cfg(test)]
mod tests;

/// Requests lie in so many maps, each with a lock of its own.
const SHARDS: usize = 16;

/// All requests of all gateways.
#[derive(Debug)]
pub struct Lrs {
    hasher: RandomState,
    shards: [Mutex<HashMap<Box<str>, Vec<Placed>>>; SHARDS],
}

/// A request on one instance.
#[derive(Debug)]
struct Placed {
    instance: Instance,
    gateway: Arc<str>,
    tokens: u64,
    running: bool,
    placed: Moment,
    heard: Moment,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It was taken in.
    Taken,
    /// It says nothing of a request that is known on that instance and of that gateway.
    Unknown,
}

impl Default for Lrs {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Lrs {
    /// A request was placed. One that is on the instance already is placed anew: it counts once.
    pub fn place(&self, id: &str, instance: &Instance, gateway: &Arc<str>, tokens: u64, now: Moment) {
        let tokens = tokens.min(MOST_TOKENS);
        let placed = Placed {
            instance: instance.clone(),
            gateway: Arc::clone(gateway),
            tokens,
            running: false,
            placed: now,
            heard: now,
        };
        let mut shard = self.shard(id).lock();
        let on = shard.entry(id.into()).or_default();
        on.retain(|known| known.instance.id != instance.id || known.leave());
        instance.seat.tally.enter(tokens);
        on.push(placed);
    }

    /// A gateway reports on a request.
    pub fn report(&self, event: &ReportEvent, now: Moment) -> Heard {
        let mut shard = self.shard(&event.id).lock();
        let known = shard.get_mut(event.id.as_str()).and_then(|on| {
            let is_it =
                |known: &Placed| known.instance.is_called(&event.instance_id) && *known.gateway == *event.gateway_id;
            on.iter_mut().find(|known| is_it(known))
        });
        let Some(known) = known else {
            return Heard::Unknown;
        };
        known.heard = now;
        let tokens = event.num_tokens.min(MOST_TOKENS);
        if tokens > known.tokens {
            known.instance.seat.tally.grow(known.running, tokens - known.tokens);
            known.tokens = tokens;
        }
        if event.kind == ReportKind::PrefillDone && !known.running {
            known.running = true;
            known.instance.seat.tally.start(known.tokens, now - known.placed);
        }
        Heard::Taken
    }

    /// Takes a request off one instance; says whether it was there.
    pub fn release(&self, id: &str, instance: &str) -> bool {
        self.take_from(self.shard(id), Some(id), |known| known.instance.is_called(instance)) > 0
    }

    /// A gateway is lost. Says how many requests went with it.
    pub fn lose_gateway(&self, gateway: &str) -> usize {
        self.take(|known| *known.gateway == *gateway)
    }

    /// An instance is gone, or has begun anew. Says how many requests went with it.
    pub fn lose_instance(&self, instance: &str) -> usize {
        self.take(|known| *known.instance.id == *instance)
    }

    /// Takes out what nothing was heard of for longer than `patience`. Says how many requests there were.
    pub fn expire(&self, now: Moment, patience: Duration) -> usize {
        self.take(|known| now - known.heard > patience)
    }

    /// Requests there are, counting one on two instances twice.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().values().map(Vec::len).sum::<usize>()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, id: &str) -> &Mutex<HashMap<Box<str>, Vec<Placed>>> {
        &self.shards[self.hasher.hash_one(id) as usize % SHARDS]
    }

    fn take(&self, which: impl Fn(&Placed) -> bool) -> usize {
        self.shards.iter().map(|shard| self.take_from(shard, None, &which)).sum()
    }

    /// Takes out of one shard what `which` says, of one request or of all.
    fn take_from(
        &self,
        shard: &Mutex<HashMap<Box<str>, Vec<Placed>>>,
        id: Option<&str>,
        which: impl Fn(&Placed) -> bool,
    ) -> usize {
        let mut shard = shard.lock();
        let mut taken = 0;
        let mut thin = |on: &mut Vec<Placed>| {
            let before = on.len();
            on.retain(|known| !which(known) || known.leave());
            taken += before - on.len();
            !on.is_empty()
        };
        match id {
            None => shard.retain(|_, on| thin(on)),
            Some(id) => {
                if shard.get_mut(id).is_some_and(|on| !thin(on)) {
                    shard.remove(id);
                }
            }
        }
        taken
    }
}

impl Placed {
    /// Takes the request off the instance's sums. `false`, so that it reads as "does not stay".
    fn leave(&self) -> bool {
        self.instance.seat.tally.leave(self.running, self.tokens);
        false
    }
}
