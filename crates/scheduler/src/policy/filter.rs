//! Who may not be chosen.

use std::time::Duration;

use super::{Metric, Weighing};
use crate::view::{ClusterView, Instance};

/// Why an instance was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It is of another type.
    InferType,
    /// It serves another model.
    Model,
    /// The gateway asked not to be sent there.
    Excluded,
    /// It says that it takes no requests.
    Unschedulable,
    /// Its status is too old.
    Stale,
    /// It shares its machine or unit with one of which either is true.
    FailoverDomain,
    /// It is kept for other work.
    Reserved,
    /// It has too much to do.
    Threshold,
}

impl Rejected {
    /// Every one, in the order in which filters are asked.
    pub const ALL: [Self; 8] = [
        Self::InferType,
        Self::Model,
        Self::Excluded,
        Self::Unschedulable,
        Self::Stale,
        Self::FailoverDomain,
        Self::Reserved,
        Self::Threshold,
    ];

    /// The word in explanations and spans.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InferType => "infer-type",
            Self::Model => "model",
            Self::Excluded => "excluded",
            Self::Unschedulable => "schedulability",
            Self::Stale => "staleness",
            Self::FailoverDomain => "failover-domain",
            Self::Reserved => "reserved",
            Self::Threshold => "metric-threshold",
        }
    }
}

/// What else falls when an instance does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Nothing.
    Instance,
    /// Everything on its machine.
    Node,
    /// Everything of its unit, where it is a data-parallel rank.
    InstanceUnit,
    /// Everything of every unit that is on its machine, where it is a data-parallel rank; else everything on its machine.
    NodeUnit,
}

impl Domain {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Instance, Self::Node, Self::InstanceUnit, Self::NodeUnit];

    /// The word in flags and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Node => "node",
            Self::InstanceUnit => "instance-unit",
            Self::NodeUnit => "node-unit",
        }
    }

    /// The domain of this word.
    ///
    /// # Errors
    /// In words, where it is none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|domain| domain.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no failover domain"))
    }
}

/// One filter of a stage. Those on type, model and exclusion are not here: they are always asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Filter {
    /// The instance says that it takes requests.
    Schedulability,
    /// Its status is no older than this.
    Staleness(Duration),
    /// A metric is below a limit. In the fallback pass, when nobody was left, it is asked only if `hard`.
    Below {
        /// Which.
        metric: Metric,
        /// The limit; at it is not below it.
        limit: f64,
        /// Whether the fallback pass asks too.
        hard: bool,
    },
}

impl Filter {
    /// Whether the instance is left out, and why.
    pub(super) fn rejects(&self, instance: &Instance, weighing: &Weighing<'_>, fallback: bool) -> Option<Rejected> {
        match *self {
            Self::Schedulability => (!instance.schedulable).then_some(Rejected::Unschedulable),
            Self::Staleness(most) => (instance.age(weighing.now) > most).then_some(Rejected::Stale),
            Self::Below { hard: false, .. } if fallback => None,
            Self::Below { metric, limit, .. } => {
                let below = metric.of(instance, weighing) < limit;
                (!below).then_some(Rejected::Threshold)
            }
        }
    }

    /// Whether whoever it rejects takes its failover domain along.
    pub(super) fn needs_failover(self) -> bool {
        matches!(self, Self::Schedulability | Self::Staleness(_))
    }
}

/// Machines and units that have fallen. Empty, and free of charge, while nobody has.
#[derive(Debug, Default)]
pub(crate) struct Fallen {
    nodes: Vec<bool>,
    units: Vec<bool>,
}

impl Fallen {
    /// Looks at every instance, of whatever type: a machine that fails takes all of them along.
    pub(crate) fn look(view: &ClusterView, domain: Domain, filters: &[Filter], weighing: &Weighing<'_>) -> Self {
        let mut fallen = Self::default();
        let fails = |instance: &&Instance| {
            let mut asked = filters.iter().filter(|filter| filter.needs_failover());
            asked.any(|filter| filter.rejects(instance, weighing, false).is_some())
        };
        if domain == Domain::Instance {
            return fallen;
        }
        for instance in view.instances.iter().filter(fails) {
            match domain {
                Domain::InstanceUnit if instance.data_parallel => mark(&mut fallen.units, instance.unit, view.units),
                Domain::Node => mark(&mut fallen.nodes, instance.node, view.nodes),
                Domain::NodeUnit => {
                    mark(&mut fallen.nodes, instance.node, view.nodes);
                    if instance.data_parallel {
                        fallen.units_on(instance.node, view);
                    }
                }
                Domain::Instance | Domain::InstanceUnit => {}
            }
        }
        fallen
    }

    fn units_on(&mut self, node: usize, view: &ClusterView) {
        for beside in view.instances.iter().filter(|beside| beside.node == node && beside.data_parallel) {
            mark(&mut self.units, beside.unit, view.units);
        }
    }

    /// Whether the instance has fallen with somebody else.
    pub(crate) fn has(&self, instance: &Instance) -> bool {
        let marked = |marks: &[bool], at: usize| marks.get(at).copied().unwrap_or(false);
        marked(&self.nodes, instance.node) || marked(&self.units, instance.unit)
    }
}

fn mark(marks: &mut Vec<bool>, at: usize, len: usize) {
    if marks.is_empty() {
        marks.resize(len, false);
    }
    if let Some(mark) = marks.get_mut(at) {
        *mark = true;
    }
}
