//! One choice: of the instances of a type, one, or nobody and why.

use cluster::api::InferType;

use super::filter::Fallen;
use super::reserve::Reserved;
use super::select::{Bench, Candidate, Selector};
use super::{Ask, Dice, Domain, Filter, Rejected, Weighing};
use crate::view::{ClusterView, Instance};

/// How an instance of one type is chosen.
#[derive(Debug)]
pub struct Stage {
    /// Types of instances that are candidates.
    pub(super) accepts: Vec<InferType>,
    /// Work that an instance may be kept for which then is no candidate.
    pub(super) avoids: Option<InferType>,
    /// Asked in this order.
    pub(super) filters: Vec<Filter>,
    /// What else falls when an instance does.
    pub(super) domain: Domain,
    pub(super) selector: Selector,
    pub(super) dice: Dice,
}

/// Who was chosen, and out of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its place in the snapshot.
    pub at: usize,
    /// How many could have been.
    pub candidates: usize,
    /// Whether it took the fallback pass: everybody was above a threshold.
    pub fallback: bool,
    /// How many were left out, by [`Rejected`].
    pub rejected: Counts,
}

/// How many were left out, by [`Rejected`].
pub(super) type Counts = [u32; Rejected::ALL.len()];

/// Nobody could be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nobody {
    /// How many were left out, and why, in the pass that was kindest.
    pub rejected: Counts,
}

/// Told of each instance as it is judged; what an explanation is made of.
pub(super) trait Judge {
    /// The instance was left out, or became a candidate.
    fn judged(&mut self, at: usize, rejected: Option<Rejected>);
}

/// Nobody asked.
pub(super) struct Silent;

impl Judge for Silent {
    fn judged(&mut self, _at: usize, _rejected: Option<Rejected>) {}
}

impl Stage {
    /// The name of its selector.
    #[must_use]
    pub fn selector(&self) -> &'static str {
        self.selector.as_str()
    }

    /// Whether it goes by predictions.
    pub(super) fn predicts(&self) -> bool {
        let asks = |filter: &Filter| matches!(filter, Filter::Below { metric, .. } if metric.is_predicted());
        self.filters.iter().any(asks) || self.selector.by().iter().any(|metric| metric.is_predicted())
    }

    /// Who is kept for one kind of work, where that plays a part.
    fn reserved(&self, view: &ClusterView, ask: &Ask<'_>, weighing: &Weighing<'_>) -> Reserved {
        if self.avoids.is_none() && self.selector.prefers_reserved().is_none() {
            return Reserved::default();
        }
        Reserved::look(view, (&self.accepts, &self.filters), ask, weighing)
    }

    /// Chooses.
    pub(super) fn choose(
        &self,
        view: &ClusterView,
        ask: &Ask<'_>,
        weighing: Weighing<'_>,
        judge: &mut impl Judge,
    ) -> Result<Chosen, Nobody> {
        let reserved = self.reserved(view, ask, &weighing);
        let fallen = Fallen::look(view, self.domain, &self.filters, &weighing);
        let mut pass =
            Pass { stage: self, ask, weighing, reserved, fallen, fallback: false, rejected: Counts::default() };
        let mut candidates = pass.candidates(view, judge);
        if candidates.is_empty() && pass.rejected[Rejected::Threshold as usize] > 0 {
            pass = Pass { fallback: true, rejected: Counts::default(), ..pass };
            candidates = pass.candidates(view, judge);
        }
        let bench = Bench { instances: &view.instances, weighing, reserved };
        match self.selector.choose(bench, &candidates, &self.dice) {
            None => Err(Nobody { rejected: pass.rejected }),
            Some(chosen) => Ok(Chosen {
                at: chosen as usize,
                candidates: candidates.len(),
                fallback: pass.fallback,
                rejected: pass.rejected,
            }),
        }
    }

    /// The candidates in the order of the selector's metrics.
    pub(super) fn rank(
        &self,
        view: &ClusterView,
        ask: &Ask<'_>,
        weighing: Weighing<'_>,
        candidates: &[Candidate],
    ) -> Vec<Candidate> {
        let reserved = self.reserved(view, ask, &weighing);
        let bench = Bench { instances: &view.instances, weighing, reserved };
        self.selector.rank(bench, candidates)
    }
}

/// One look at everybody.
struct Pass<'a> {
    stage: &'a Stage,
    ask: &'a Ask<'a>,
    weighing: Weighing<'a>,
    reserved: Reserved,
    fallen: Fallen,
    fallback: bool,
    rejected: Counts,
}

impl Pass<'_> {
    fn candidates(&mut self, view: &ClusterView, judge: &mut impl Judge) -> Vec<Candidate> {
        let mut candidates = Vec::with_capacity(view.instances.len());
        for (at, instance) in view.instances.iter().enumerate() {
            let rejected = self.rejects(at, instance);
            judge.judged(at, rejected);
            match rejected {
                Some(why) => self.rejected[why as usize] += 1,
                None => candidates.push(at as Candidate),
            }
        }
        candidates
    }

    fn rejects(&self, at: usize, instance: &Instance) -> Option<Rejected> {
        if !self.stage.accepts.contains(&instance.infer_type) {
            return Some(Rejected::InferType);
        }
        if !instance.serves(self.ask.model) {
            return Some(Rejected::Model);
        }
        if self.ask.taken == Some(at) || self.ask.excluded.iter().any(|name| instance.is_called(name)) {
            return Some(Rejected::Excluded);
        }
        let kept = self.stage.avoids.and_then(|work| self.reserved.of(work));
        let mut filters = self.stage.filters.iter();
        let own = filters.find_map(|filter| filter.rejects(instance, &self.weighing, self.fallback));
        match own {
            // Whoever has fallen with others is not merely busy.
            None | Some(Rejected::Threshold) if self.fallen.has(instance) => Some(Rejected::FailoverDomain),
            None | Some(Rejected::Threshold) if kept == Some(at) => Some(Rejected::Reserved),
            own => own,
        }
    }
}
