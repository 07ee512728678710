//! Requests that are moved from instance to instance.

use super::Scheduler;
use crate::catalogue::scheduler as catalogue;
use crate::metrics::{Counter, Family};

/// Values of the label `result`.
pub const RESULTS: &[&str] = &["succeeded", "failed"];
/// Values of the label `reason`: what became of a migration.
pub const REASONS: &[&str] = &["done", "refused", "timeout", "unreachable"];

/// What became of a migration, each as its label says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migrated {
    /// The instance handed over what it was asked for.
    Done,
    /// It said that it did not, or that the other one did not take it.
    Refused,
    /// It did not say in time.
    Timeout,
    /// It could not be asked.
    Unreachable,
}

/// The recorder of a process that moves requests. There are no such series where nobody does.
#[derive(Clone)]
pub struct Rescheduling {
    asked: Counter,
    failed: Counter,
    /// By [`REASONS`].
    outcomes: [Counter; REASONS.len()],
    by: Family<Counter, 2>,
}

impl Scheduler {
    /// A recorder of migrations that are chosen by this rule and order.
    pub fn rescheduling(&self, rule: &str, order: &str) -> Rescheduling {
        let registry = self.shared.telemetry.registry();
        let by = registry.counter(&catalogue::RESCHEDULING_TOTAL);
        let outcomes = registry.counter(&catalogue::MIGRATIONS_TOTAL);
        let outcome = |reason: &str| outcomes.with([RESULTS[usize::from(reason != REASONS[0])], reason]);
        Rescheduling {
            asked: by.with([rule, order]),
            failed: registry.counter(&catalogue::RESCHEDULING_FAILED_TOTAL).with([]),
            outcomes: [outcome(REASONS[0]), outcome(REASONS[1]), outcome(REASONS[2]), outcome(REASONS[3])],
            by,
        }
    }
}

impl Rescheduling {
    /// The same, with migrations chosen by another rule and order.
    pub fn selecting(&self, rule: &str, order: &str) -> Self {
        Self { asked: self.by.with([rule, order]), ..self.clone() }
    }

    /// An instance is asked to hand requests over.
    pub fn asked(&self) {
        self.asked.inc();
    }

    /// That came of it.
    pub fn ended(&self, outcome: Migrated) {
        self.outcomes[outcome as usize].inc();
        if outcome != Migrated::Done {
            self.failed.inc();
        }
    }
}
