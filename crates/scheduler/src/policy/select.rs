//! Who of those that may be chosen is.

use std::cmp::Ordering as Order;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};

use cluster::api::InferType;

use super::reserve::Reserved;
use super::{Metric, Weighing};
use crate::view::Instance;

/// A candidate: its place in the snapshot.
pub(super) type Candidate = u32;

/// How one of the candidates is chosen.
#[derive(Debug)]
pub(super) enum Selector {
    /// The best by the metrics, or any of the best `of`.
    Best {
        /// In this order.
        by: Vec<Metric>,
        /// How many are good enough.
        of: usize,
    },
    /// The same one as last time, while it is a candidate; else the best.
    Fixed {
        /// By these.
        by: Vec<Metric>,
        /// Hash of the id that was chosen last; 0 where there is none.
        last: AtomicU64,
    },
    /// The better of two that are drawn.
    PowerOfTwo {
        /// By these.
        by: Vec<Metric>,
    },
    /// The one with most to do that still has less than a limit; where none has, the one with least.
    Tightest {
        /// The first is compared with the limit.
        by: Vec<Metric>,
        /// The limit.
        below: f64,
        /// Whoever is kept for this comes before all others that are below the limit.
        first: Option<InferType>,
    },
    /// Each in turn.
    RoundRobin {
        /// Whose turn it is.
        turn: AtomicU64,
    },
}

/// Random numbers that can be repeated: the n-th is a function of seed and n.
#[derive(Debug)]
pub struct Dice {
    seed: u64,
    thrown: AtomicU64,
}

impl Dice {
    /// Dice with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, thrown: AtomicU64::new(0) }
    }

    /// A number below `sides`; 0 where there are none.
    fn throw(&self, sides: usize) -> usize {
        let n = self.thrown.fetch_add(1, Ordering::Relaxed);
        // SplitMix64: the state is a counter, so that it can be advanced without a lock.
        let mut z = self.seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * sides as u128) >> 64) as usize
    }
}

/// What a selector compares with.
#[derive(Clone, Copy)]
pub(super) struct Bench<'a> {
    pub(super) instances: &'a [Instance],
    pub(super) weighing: Weighing<'a>,
    pub(super) reserved: Reserved,
}

impl Bench<'_> {
    fn value(&self, metric: Metric, candidate: Candidate) -> f64 {
        let value = metric.cost(&self.instances[candidate as usize], &self.weighing);
        // A number that is none must not win.
        if value.is_nan() { f64::INFINITY } else { value }
    }

    /// Compares two candidates whose numbers by the first metric are known. Never equal, unless they are the same.
    fn compare(&self, by: &[Metric], (a, a_first): (Candidate, f64), (b, b_first): (Candidate, f64)) -> Order {
        let later = || {
            let mut rest = by.iter().skip(1);
            rest.find_map(|&metric| {
                let order = self.value(metric, a).total_cmp(&self.value(metric, b));
                (order != Order::Equal).then_some(order)
            })
        };
        // The snapshot is in the order of ids.
        a_first.total_cmp(&b_first).then_with(|| later().unwrap_or_else(|| a.cmp(&b)))
    }

    fn first(&self, by: &[Metric], candidate: Candidate) -> f64 {
        by.first().map_or(0.0, |&metric| self.value(metric, candidate))
    }

    fn best(&self, by: &[Metric], candidates: &[Candidate]) -> Option<Candidate> {
        let keyed = candidates.iter().map(|&candidate| (candidate, self.first(by, candidate)));
        keyed.min_by(|&a, &b| self.compare(by, a, b)).map(|(candidate, _)| candidate)
    }

    /// All candidates as [`Selector::Tightest`] has them: who is kept for the work, the others below the limit from the fullest
    /// to the emptiest, and then those that are not below it, the emptiest first.
    fn tightest(
        &self,
        by: &[Metric],
        below: f64,
        first: Option<InferType>,
        candidates: &[Candidate],
    ) -> Vec<Candidate> {
        let kept = first.and_then(|work| self.reserved.of(work)).map(|at| at as Candidate);
        let key = |&candidate: &Candidate| (candidate, self.first(by, candidate));
        let (mut below, mut above): (Vec<_>, Vec<_>) =
            candidates.iter().map(key).partition(|(_, value)| *value < below);
        below.sort_by(|&(a, a_value), &(b, b_value)| {
            let kept_first = (Some(b) == kept).cmp(&(Some(a) == kept));
            // Of equals the order is the usual one.
            let fullest = b_value.total_cmp(&a_value);
            kept_first.then(fullest).then_with(|| self.compare(by, (a, a_value), (b, b_value)))
        });
        above.sort_by(|&a, &b| self.compare(by, a, b));
        below.into_iter().chain(above).map(|(candidate, _)| candidate).collect()
    }

    /// All candidates, the best first.
    pub(super) fn ranked(&self, by: &[Metric], candidates: &[Candidate]) -> Vec<Candidate> {
        let mut keyed: Vec<_> = candidates.iter().map(|&candidate| (candidate, self.first(by, candidate))).collect();
        keyed.sort_by(|&a, &b| self.compare(by, a, b));
        keyed.into_iter().map(|(candidate, _)| candidate).collect()
    }
}

impl Selector {
    /// By which metrics it compares.
    pub(super) fn by(&self) -> &[Metric] {
        match self {
            Self::Best { by, .. } | Self::Fixed { by, .. } | Self::PowerOfTwo { by } | Self::Tightest { by, .. } => by,
            Self::RoundRobin { .. } => &[],
        }
    }

    /// The name in files and spans.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Best { of: 1, .. } => "best",
            Self::Best { .. } => "top-k",
            Self::Fixed { .. } => "fixed",
            Self::PowerOfTwo { .. } => "power-of-two",
            Self::Tightest { .. } => "tightest",
            Self::RoundRobin { .. } => "round-robin",
        }
    }

    /// For which work it prefers the one that is kept for it.
    pub(super) fn prefers_reserved(&self) -> Option<InferType> {
        match self {
            Self::Tightest { first, .. } => *first,
            _ => None,
        }
    }

    /// All candidates, the likeliest first.
    pub(super) fn rank(&self, bench: Bench<'_>, candidates: &[Candidate]) -> Vec<Candidate> {
        match self {
            Self::Tightest { by, below, first } => bench.tightest(by, *below, *first, candidates),
            _ => bench.ranked(self.by(), candidates),
        }
    }

    /// One of the candidates, which are in the order of their ids; `None` where there is none.
    pub(super) fn choose(&self, bench: Bench<'_>, candidates: &[Candidate], dice: &Dice) -> Option<Candidate> {
        match self {
            Self::Best { by, of: 0 | 1 } => bench.best(by, candidates),
            Self::Best { by, of } => {
                let ranked = bench.ranked(by, candidates);
                let good = &ranked[..ranked.len().min(*of)];
                good.get(dice.throw(good.len())).copied()
            }
            Self::Fixed { by, last } => {
                let before = last.load(Ordering::Relaxed);
                let same = candidates.iter().copied().find(|&at| hash(&bench.instances[at as usize].id) == before);
                let chosen = same.or_else(|| bench.best(by, candidates))?;
                last.store(hash(&bench.instances[chosen as usize].id), Ordering::Relaxed);
                Some(chosen)
            }
            Self::PowerOfTwo { by } => match candidates {
                [only] => Some(*only),
                _ => bench.best(by, &draw_two(candidates, dice)?),
            },
            Self::Tightest { .. } => self.rank(bench, candidates).first().copied(),
            Self::RoundRobin { turn } => {
                let turn = turn.fetch_add(1, Ordering::Relaxed);
                candidates.get((turn % candidates.len().max(1) as u64) as usize).copied()
            }
        }
    }
}

/// Two different ones.
fn draw_two(candidates: &[Candidate], dice: &Dice) -> Option<[Candidate; 2]> {
    let others = candidates.len().checked_sub(1)?;
    let first = dice.throw(candidates.len());
    let second = (first + 1 + dice.throw(others)) % candidates.len();
    Some([candidates[first], candidates[second]])
}

/// A hash that is never 0.
fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish() | 1
}
