//! Which instance should hand requests over to which.

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::api::{Endpoint, InferType};
use telemetry::clock::Moment;

use super::{Cause, Selection, Settings, Trigger};
use crate::policy::{Fallen, Filter, Metric, Mode, Weighing};
use crate::view::{ClusterView, Instance};

/// One instance hands requests over.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// Which instance.
    pub from: Party,
    /// To whom, best first; whoever comes later is tried where those before do not take them.
    pub to: Vec<Party>,
    /// What goes.
    pub selection: Selection,
    /// Why, as a llumlet is told.
    pub trigger: &'static str,
}

/// An instance that takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Its id in the CMS.
    pub id: Arc<str>,
    /// Where its llumlet is.
    pub llumlet: Endpoint,
}

/// Instances that take part in migrations that have not ended.
#[derive(Clone, Debug, Default)]
pub struct Busy {
    /// They hand over.
    pub from: BTreeSet<Arc<str>>,
    /// They are handed to.
    pub to: BTreeSet<Arc<str>>,
}

/// What should be moved now. No instance is to hand over and to be handed to; none hands over twice, nor while it still does.
/// `turn` goes from round to round: those who are handed to take turns by it where an instance fails.
#[must_use]
pub fn plan(view: &ClusterView, settings: &Settings, busy: &Busy, now: Moment, turn: usize) -> Vec<Move> {
    let look = Look::new(view, settings, busy, now);
    let mut moves: Vec<Move> = Vec::new();
    for &trigger in &settings.triggers {
        let found = match trigger.cause {
            Cause::Load { by, limit } => look.loads(trigger, by, limit),
            Cause::Failover => look.failovers(trigger, turn),
        };
        for found in found {
            if moves.iter().all(|known| known.from.id != found.from.id) {
                moves.push(found);
            }
        }
    }
    moves
}

/// One look at a snapshot.
struct Look<'a> {
    view: &'a ClusterView,
    settings: &'a Settings,
    busy: &'a Busy,
    weighing: Weighing<'static>,
    fallen: Fallen,
}

impl<'a> Look<'a> {
    fn new(view: &'a ClusterView, settings: &'a Settings, busy: &'a Busy, now: Moment) -> Self {
        let weighing = Weighing { mode: Mode::Full, wanted: InferType::Neutral, prompt_tokens: 0, hits: None, now };
        let filters = [Filter::Schedulability, Filter::Staleness(settings.staleness)];
        let fallen = Fallen::look(view, settings.domain, &filters, &weighing);
        Self { view, settings, busy, weighing, fallen }
    }

    fn is_well(&self, instance: &Instance) -> bool {
        let fresh = instance.age(self.weighing.now) <= self.settings.staleness;
        instance.schedulable && fresh && !self.fallen.has(instance)
    }

    /// Instances of a type that can move requests, and are well or not.
    fn of(&self, infer_type: InferType, well: bool) -> impl Iterator<Item = &'a Instance> {
        let instances = self.view.instances.iter();
        instances.filter(move |of| of.infer_type == infer_type && of.llumlet.is_some() && self.is_well(of) == well)
    }

    /// Those that have the most hand over to those that have the least.
    fn loads(&self, trigger: Trigger, by: Metric, limit: f64) -> Vec<Move> {
        let weigh = |instance: &'a Instance| (by.of(instance, &self.weighing), instance);
        let (mut over, mut under): (Vec<_>, Vec<_>) =
            self.of(trigger.infer_type, true).map(weigh).partition(|(load, _)| *load >= limit);
        // Who still hands over, or is handed to, will have another load when that is done.
        over.retain(|(_, instance)| !self.busy.from.contains(&instance.id));
        under.retain(|(_, instance)| !self.busy.to.contains(&instance.id));
        over.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.id.cmp(&other.id)));
        under.sort_by(|(a, one), (b, other)| a.total_cmp(b).then_with(|| one.id.cmp(&other.id)));
        let mut taken = BTreeSet::new();
        let mut moves = Vec::new();
        for (load, from) in over {
            let fits = |&&(less, to): &&(f64, &'a Instance)| {
                let is_near = !self.settings.within_unit || to.unit == from.unit;
                is_near && less < load && load - less >= self.settings.difference && from.serves_alike(to)
            };
            let (others, free): (Vec<_>, Vec<_>) =
                under.iter().filter(fits).map(|(_, to)| *to).partition(|to| taken.contains(&to.id));
            let Some(first) = free.first() else { continue };
            taken.insert(Arc::clone(&first.id));
            moves.extend(self.one(trigger, from, free.into_iter().chain(others), self.settings.selection));
        }
        moves
    }

    /// Those that take no requests any more hand over everything, each to another one.
    fn failovers(&self, trigger: Trigger, turn: usize) -> Vec<Move> {
        let well: Vec<&Instance> = self.of(trigger.infer_type, true).collect();
        let fails = |from: &&Instance| from.load.has_requests() && !self.busy.from.contains(&from.id);
        let failing = self.of(trigger.infer_type, false).filter(fails);
        let one = |(at, from): (usize, &'a Instance)| {
            let first = (turn + at) % well.len().max(1);
            let to = well[first..].iter().chain(&well[..first]).copied().filter(|to| from.serves_alike(to));
            self.one(trigger, from, to, Selection::EVERYTHING)
        };
        failing.enumerate().filter_map(one).collect()
    }

    fn one<'b>(
        &self,
        trigger: Trigger,
        from: &Instance,
        to: impl Iterator<Item = &'b Instance>,
        selection: Selection,
    ) -> Option<Move> {
        let party = |of: &Instance| Some(Party { id: Arc::clone(&of.id), llumlet: of.llumlet.clone()? });
        let to: Vec<Party> = to.filter_map(party).collect();
        (!to.is_empty()).then_some(Move { from: party(from)?, to, selection, trigger: trigger.as_str() })
    }
}
