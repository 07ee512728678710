//! Why a choice fell as it did.

use cluster::api::InferType;
use serde::Serialize;
use telemetry::clock::Moment;

use super::stage::Judge;
use super::{Ask, Chosen, Metric, Nobody, Policy, Rejected};
use crate::view::ClusterView;

/// One choice, explained. What `POST /schedule?explain=1` answers for each instance that the request needs.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The type that was wanted.
    pub infer_type: InferType,
    /// The policy.
    pub policy: String,
    /// How it selects.
    pub selector: &'static str,
    /// Metrics that candidates are ranked by, the first before the second; after them by id.
    pub ranked_by: Vec<&'static str>,
    /// Whether thresholds were passed over, since nobody was below them.
    pub fallback: bool,
    /// Id of the instance that was chosen.
    pub chosen: Option<String>,
    /// Every instance, the chosen ones' rivals first.
    pub instances: Vec<Judgement>,
}

/// What was thought of one instance.
#[derive(Debug, Serialize)]
pub struct Judgement {
    /// Its id.
    pub instance_id: String,
    /// What it is used for.
    pub infer_type: InferType,
    /// The filter that left it out.
    pub filtered_by: Option<&'static str>,
    /// Its place among the candidates, from 1.
    pub rank: Option<usize>,
    /// How old its status is, in milliseconds.
    pub status_age_ms: f64,
    /// Its metrics.
    pub metrics: Vec<Measure>,
}

/// A metric of an instance.
#[derive(Debug, Serialize)]
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// Its value; `null` where it cannot be predicted yet.
    pub value: Option<f64>,
}

/// Remembers the last word on each instance: that of the fallback pass, where there was one.
struct Notes(Vec<Option<Rejected>>);

impl Judge for Notes {
    fn judged(&mut self, at: usize, rejected: Option<Rejected>) {
        if let Some(note) = self.0.get_mut(at) {
            *note = rejected;
        }
    }
}

impl Explanation {
    pub(super) fn of(
        policy: &Policy,
        wanted: InferType,
        view: &ClusterView,
        ask: &Ask<'_>,
        now: Moment,
    ) -> (Result<Chosen, Nobody>, Self) {
        let (stage, weighing) = (policy.stage(wanted), policy.weighing(wanted, ask, now));
        // Before the choice: what the choice changes is no reason for it.
        let measures: Vec<Vec<Measure>> = view
            .instances
            .iter()
            .map(|instance| {
                let metrics = Metric::ALL.into_iter().filter(|metric| metric.is_of(weighing.mode));
                let measure =
                    |metric: Metric| Measure { name: metric.as_str(), value: metric.known(instance, &weighing) };
                metrics.map(measure).collect()
            })
            .collect();
        let mut notes = Notes(vec![None; view.instances.len()]);
        let chosen = stage.choose(view, ask, weighing, &mut notes);
        let left: Vec<u32> = (0_u32..).zip(&notes.0).filter(|(_, note)| note.is_none()).map(|(at, _)| at).collect();
        let mut ranks = vec![None; view.instances.len()];
        for (rank, at) in stage.rank(view, ask, weighing, &left).into_iter().enumerate() {
            ranks[at as usize] = Some(rank + 1);
        }
        let judged = view.instances.iter().zip(measures).zip(notes.0).zip(ranks);
        let mut instances: Vec<Judgement> = judged
            .map(|(((instance, metrics), note), rank)| Judgement {
                instance_id: instance.id.to_string(),
                infer_type: instance.infer_type,
                filtered_by: note.map(Rejected::as_str),
                rank,
                status_age_ms: instance.age(now).as_secs_f64() * 1e3,
                metrics,
            })
            .collect();
        instances.sort_by_key(|judgement| judgement.rank.unwrap_or(usize::MAX));
        let explanation = Self {
            infer_type: wanted,
            policy: policy.name().to_owned(),
            selector: stage.selector(),
            ranked_by: stage.selector.by().iter().map(|metric| metric.as_str()).collect(),
            fallback: chosen.is_ok_and(|chosen| chosen.fallback),
            chosen: chosen
                .ok()
                .and_then(|chosen| view.instances.get(chosen.at))
                .map(|instance| instance.id.to_string()),
            instances,
        };
        (chosen, explanation)
    }
}
