//! What readers of a discovery see.

use serde::Serialize;
use telemetry::clock::{self, Moment};

use crate::api::{InferType, LlmInstance};
use crate::records::BadRecord;

/// The instances there are, by id in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    instances: Vec<LlmInstance>,
}

impl Roster {
    pub(super) fn new(mut instances: Vec<LlmInstance>) -> Self {
        instances.sort_by(|a, b| a.id.cmp(&b.id));
        Self { instances }
    }

    /// All of them.
    #[must_use]
    pub fn instances(&self) -> &[LlmInstance] {
        &self.instances
    }

    /// Those of one type.
    pub fn of(&self, infer_type: InferType) -> impl Iterator<Item = &LlmInstance> {
        self.instances.iter().filter(move |instance| instance.infer_type == infer_type)
    }

    /// The instance with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&LlmInstance> {
        let found = self.instances.binary_search_by(|instance| instance.id.as_str().cmp(id)).ok()?;
        self.instances.get(found)
    }

    /// A line for whoever came, went, or is no longer what it was.
    pub(super) fn changes_since(&self, before: &Self) -> Vec<String> {
        let line = |what: &str, instance: &LlmInstance| {
            format!("{what} {} instance {} at {}", instance.infer_type, instance.id, instance.endpoint)
        };
        let came = self.instances.iter().filter_map(|instance| match before.get(&instance.id) {
            None => Some(line("new", instance)),
            Some(old) if old != instance => Some(line("changed", instance)),
            Some(_) => None,
        });
        let went = before.instances.iter().filter(|old| self.get(&old.id).is_none());
        came.chain(went.map(|old| line("gone:", old))).collect()
    }
}

/// How a source is.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// Which source, without secrets.
    pub source: String,
    /// It has answered at least once.
    pub loaded: bool,
    /// It does not answer.
    pub failure: Option<Failure>,
    /// What it has that cannot be used.
    #[serde(serialize_with = "as_text")]
    pub ignored: Vec<BadRecord>,
}

/// A source that does not answer.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Since when.
    #[serde(rename = "for_seconds", serialize_with = "as_age")]
    pub since: Moment,
    /// Why.
    pub problem: String,
}

impl Health {
    pub(super) fn new(source: String) -> Self {
        Self { source, loaded: false, failure: None, ignored: Vec::new() }
    }

    /// Whether it answers, and all that it says can be used.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.loaded && self.failure.is_none() && self.ignored.is_empty()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn as_age<S: serde::Serializer>(since: &Moment, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((clock::now() - *since).as_secs_f64())
}

fn as_text<S: serde::Serializer>(bad: &[BadRecord], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(bad.iter().map(ToString::to_string))
}
