//! How long things will take, learnt from what they took.
//!
//! Every status tells what the instance's latest step took and how many prompt tokens it computed. The [`Predictor`] learns
//! from that, for each model and type of instance, what a step takes (by recursive least squares, which correct a measured
//! profile where there is one). What it has learnt is a [`Forecast`], an immutable value that goes into the snapshot; decisions ask it, and
//! are never waited for.
//!
//! Everything here is a function of what it is given, the time included.

mod forecast;
mod profile;
mod regression;

use std::collections::HashMap;
use std::sync::Arc;

use cluster::api::InferType;

use forecast::Shape;
pub use forecast::{Forecast, Situation};
pub use profile::{Decodes, Prefills, ProfileFault};
use regression::Regression;

#[cfg(test)]
mod tests;

/// How predictions are made.
#[derive(Clone, Debug)]
pub struct PredictorConfig {
    /// Samples before anything is predicted that no profile tells.
    pub warmup: u32,
    /// What prompts take, as measured beforehand.
    pub prefills: Option<Arc<Prefills>>,
    /// What decode steps take, as measured beforehand.
    pub decodes: Option<Arc<Decodes>>,
}

/// A step that an instance made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// Prompt tokens that it computed.
    pub prefill_tokens: i64,
    /// Requests that decoded in it.
    pub batch: i64,
    /// Their tokens.
    pub context: i64,
    /// What it took.
    pub ms: f64,
}

/// Whose steps are alike: those of instances of one model and type.
type Class = (Arc<str>, InferType);

/// What is known of each class. Belongs to one task.
#[derive(Debug)]
pub struct Predictor {
    shape: Shape,
    warmup: u32,
    classes: HashMap<Class, Learner>,
}

#[derive(Debug)]
struct Learner {
    regression: Regression,
    /// Steps with prompt tokens, and with decoding requests, that were learnt from.
    seen: [u32; 2],
    forecast: Arc<Forecast>,
    /// Something was learnt since the forecast was made.
    stale: bool,
}

impl Predictor {
    /// Nothing learnt yet.
    #[must_use]
    pub fn new(config: &PredictorConfig) -> Self {
        let shape = Shape { prefills: config.prefills.clone(), decodes: config.decodes.clone() };
        Self { shape, warmup: config.warmup, classes: HashMap::new() }
    }

    /// Learns from a step. One that took no time, or did nothing, tells nothing.
    pub fn learn(&mut self, model: &Arc<str>, infer_type: InferType, step: Step) {
        let Some((row, target)) = self.shape.sample(&step) else {
            return;
        };
        let learner = self.class(model, infer_type);
        learner.regression.learn(row, target);
        let parts = [step.prefill_tokens, step.batch];
        for (seen, part) in learner.seen.iter_mut().zip(parts) {
            *seen = seen.saturating_add(u32::from(part > 0));
        }
        learner.stale = true;
    }

    /// What is known by now of instances of this model and type.
    pub fn forecast(&mut self, model: &Arc<str>, infer_type: InferType) -> Arc<Forecast> {
        let (shape, warmup) = (self.shape.clone(), self.warmup);
        let learner = self.class(model, infer_type);
        if std::mem::take(&mut learner.stale) {
            learner.forecast = Arc::new(learner.make(shape, warmup));
        }
        Arc::clone(&learner.forecast)
    }

    /// Forgets the classes that no instance belongs to any more.
    pub fn keep(&mut self, is_there: impl Fn(&str, InferType) -> bool) {
        self.classes.retain(|(model, infer_type), _| is_there(model, *infer_type));
    }

    fn class(&mut self, model: &Arc<str>, infer_type: InferType) -> &mut Learner {
        let (shape, warmup) = (&self.shape, self.warmup);
        self.classes.entry((Arc::clone(model), infer_type)).or_insert_with(|| Learner::new(shape, warmup))
    }
}

impl Learner {
    fn new(shape: &Shape, warmup: u32) -> Self {
        let (prior, belief) = shape.prior();
        let mut learner =
            Self { regression: Regression::new(prior, belief), seen: [0; 2], forecast: Arc::default(), stale: false };
        learner.forecast = Arc::new(learner.make(shape.clone(), warmup));
        learner
    }

    fn make(&self, shape: Shape, warmup: u32) -> Forecast {
        let [prefills, decodes] = self.seen.map(|seen| seen >= warmup.max(1));
        let knows = [prefills || shape.prefills.is_some(), decodes || shape.decodes.is_some()];
        Forecast::new(shape, self.regression.coefficients(), knows)
    }
}
