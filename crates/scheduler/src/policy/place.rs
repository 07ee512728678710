//! A placement: one instance, or a prefill and a decode instance, both or none.

use cluster::api::{InferType, SchedulingMode, SchedulingStage};
use telemetry::clock::Moment;

use super::explain::Explanation;
use super::stage::Silent;
use super::{Chosen, Nobody, Policy, Rejected, Weighing};
use crate::prefix::Hits;
use crate::view::ClusterView;

/// A request to place, as far as a policy needs it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// The model that is asked for; empty asks for any.
    pub model: &'a str,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// What instances are thought to have of it in their caches, where that was looked up.
    pub hits: Option<&'a Hits>,
    /// How many instances are wanted.
    pub mode: SchedulingMode,
    /// Which one is wanted now, where they are wanted one after the other.
    pub stage: Option<SchedulingStage>,
    /// Instances not to be sent to.
    pub excluded: &'a [String],
    /// The instance that has another part of it already, by its place in the snapshot.
    pub taken: Option<usize>,
}

/// Where a request goes: one choice, or prefill and decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// What each instance is for, and who it is.
    pub choices: Vec<(InferType, Chosen)>,
}

/// Why a request goes nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no instance at all.
    #[error("no instance is known")]
    NoInstance,
    /// There are some, but none of the type that is needed.
    #[error("{known} instances are known, and none of them is for {wanted}")]
    NoMatch {
        /// The type.
        wanted: InferType,
        /// How many there are.
        known: usize,
    },
    /// There are some of the type, but none that serves the model.
    #[error("no {wanted} instance serves the model {model:?}")]
    NoModel {
        /// The type.
        wanted: InferType,
        /// The model.
        model: String,
    },
    /// Those that there are do not take requests now.
    #[error("no {wanted} instance takes requests: {why}")]
    Unavailable {
        /// The type.
        wanted: InferType,
        /// How many were left out, and why.
        why: String,
    },
    /// Those that there are have too much to do.
    #[error("all {wanted} instances are busy: {why}")]
    Busy {
        /// The type.
        wanted: InferType,
        /// How many were left out, and why.
        why: String,
    },
    /// The request does not say which half is to be placed.
    #[error("scheduling_mode pd_staged needs scheduling_stage, prefill or decode")]
    NoStage,
}

/// The types that a request needs, in the order of its stages.
fn wanted(ask: &Ask<'_>) -> Result<&'static [InferType], Refusal> {
    match (ask.mode, ask.stage) {
        (SchedulingMode::Neutral, _) => Ok(&[InferType::Neutral]),
        (SchedulingMode::PdBatch, _) => Ok(&[InferType::Prefill, InferType::Decode]),
        (SchedulingMode::PdStaged, Some(SchedulingStage::Prefill)) => Ok(&[InferType::Prefill]),
        (SchedulingMode::PdStaged, Some(SchedulingStage::Decode)) => Ok(&[InferType::Decode]),
        (SchedulingMode::PdStaged, None) => Err(Refusal::NoStage),
    }
}

impl Policy {
    pub(crate) fn weighing<'a>(&self, wanted: InferType, ask: &Ask<'a>, now: Moment) -> Weighing<'a> {
        Weighing { mode: self.mode(), wanted, prompt_tokens: ask.prompt_tokens, hits: ask.hits, now }
    }

    /// Places a request. Changes nothing but whose turn it is: the caller enters the placement in the accounts.
    ///
    /// # Errors
    /// [`Refusal`], as soon as one of the instances that are needed is not to be had.
    pub fn place(&self, view: &ClusterView, ask: &Ask<'_>, now: Moment) -> Result<Placement, Refusal> {
        let mut choices = Vec::with_capacity(2);
        for &wanted in wanted(ask)? {
            let ask = &Ask { taken: taken(&choices), ..*ask };
            let chosen = self.stage(wanted).choose(view, ask, self.weighing(wanted, ask, now), &mut Silent);
            choices.push((wanted, chosen.map_err(|nobody| refusal(view, ask, wanted, nobody))?));
        }
        Ok(Placement { choices })
    }

    /// Places a request, and says of every instance why it was or was not chosen.
    ///
    /// # Errors
    /// As [`Policy::place`]; the explanation goes as far as the choice that failed.
    pub fn explain(
        &self,
        view: &ClusterView,
        ask: &Ask<'_>,
        now: Moment,
    ) -> (Result<Placement, Refusal>, Vec<Explanation>) {
        let wanted = match wanted(ask) {
            Ok(wanted) => wanted,
            Err(refusal) => return (Err(refusal), Vec::new()),
        };
        let (mut choices, mut explanations) = (Vec::with_capacity(2), Vec::with_capacity(2));
        for &wanted in wanted {
            let ask = &Ask { taken: taken(&choices), ..*ask };
            let (chosen, explanation) = Explanation::of(self, wanted, view, ask, now);
            explanations.push(explanation);
            match chosen {
                Ok(chosen) => choices.push((wanted, chosen)),
                Err(nobody) => return (Err(refusal(view, ask, wanted, nobody)), explanations),
            }
        }
        (Ok(Placement { choices }), explanations)
    }
}

/// Who has the half of a request that was placed first: a hand-over to oneself is none.
fn taken(choices: &[(InferType, Chosen)]) -> Option<usize> {
    choices.first().map(|(_, chosen)| chosen.at)
}

fn refusal(view: &ClusterView, ask: &Ask<'_>, wanted: InferType, nobody: Nobody) -> Refusal {
    let count = |why: Rejected| nobody.rejected[why as usize];
    let known = view.instances.len();
    let of_type = known - count(Rejected::InferType) as usize;
    if known == 0 {
        return Refusal::NoInstance;
    }
    if of_type == 0 {
        return Refusal::NoMatch { wanted, known };
    }
    if of_type == count(Rejected::Model) as usize {
        return Refusal::NoModel { wanted, model: ask.model.to_owned() };
    }
    let reasons: Vec<String> = Rejected::ALL[1..]
        .iter()
        .filter(|&&why| count(why) > 0)
        .map(|&why| format!("{} by {}", count(why), why.as_str()))
        .collect();
    let why = format!("of {of_type}, left out {}", reasons.join(", "));
    if count(Rejected::Threshold) > 0 { Refusal::Busy { wanted, why } } else { Refusal::Unavailable { wanted, why } }
}
