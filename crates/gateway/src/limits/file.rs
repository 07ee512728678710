//! The limits as they stand in a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_yaml_ng::{Mapping, Value};

/// Stands for everybody who has no entry.
pub(super) const OTHERS: &str = "*";

/// What somebody may use; what is not said is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Limit {
    /// Requests in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) concurrency: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) requests_per_minute: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tokens_per_minute: Option<u64>,
}

/// The limits of one kind of holder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) named: BTreeMap<Arc<str>, Limit>,
    /// Of everybody else.
    pub(super) others: Option<Limit>,
}

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(super) models: Section,
    pub(super) keys: Section,
}

impl Limit {
    /// What is wrong with it.
    fn faults(self) -> Vec<String> {
        let members = [
            ("concurrency", self.concurrency),
            ("requests-per-minute", self.requests_per_minute),
            ("tokens-per-minute", self.tokens_per_minute),
        ];
        if members.iter().all(|(_, value)| value.is_none()) {
            return vec!["limits nothing: leave it out, or say what it limits".to_owned()];
        }
        let zero = members.iter().filter(|(_, value)| *value == Some(0));
        zero.map(|(name, _)| format!("{name} is 0, which lets nobody in: take the key back, or the route")).collect()
    }
}

impl Rules {
    /// Reads a file's text, all of it.
    ///
    /// # Errors
    /// Every fault there is.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let read: Option<Mapping> =
            serde_yaml_ng::from_str(text).map_err(|error| format!("is no YAML mapping: {error}"))?;
        // A file that is being written is empty for a moment.
        let read = read.ok_or("says nothing: `{}` is how to limit nothing on purpose")?;
        let (mut rules, mut faults) = (Self::default(), Vec::new());
        for (name, entries) in &read {
            match name.as_str() {
                Some("models") => rules.models = Section::read("models", entries, &mut faults),
                Some("keys") => rules.keys = Section::read("keys", entries, &mut faults),
                _ => faults.push(format!("{} is none of models, keys", shown(name))),
            }
        }
        if faults.is_empty() { Ok(rules) } else { Err(faults.join("; ")) }
    }

    /// What holds for a model's own account.
    pub(super) fn of_model(&self, name: &str) -> Limit {
        self.models.named.get(name).copied().unwrap_or_default()
    }

    /// What holds for the account of all models that have none of their own.
    pub(super) fn of_other_models(&self) -> Limit {
        self.models.others.unwrap_or_default()
    }

    /// What holds for a key's account.
    pub(super) fn of_key(&self, name: &str) -> Limit {
        let Section { named, others } = &self.keys;
        named.get(name).copied().or(*others).unwrap_or_default()
    }

    /// Whether keys are limited.
    pub(crate) fn limits_keys(&self) -> bool {
        self.keys != Section::default()
    }
}

impl Section {
    fn read(section: &str, entries: &Value, faults: &mut Vec<String>) -> Self {
        let mut read = Self::default();
        let Value::Mapping(entries) = entries else {
            faults.push(format!("{section} is no mapping of names to limits"));
            return read;
        };
        for (name, entry) in entries {
            let Some(name) = name.as_str() else {
                faults.push(format!("{section}: {} is no text; put it in quotes", shown(name)));
                continue;
            };
            let limit: Limit = match serde_yaml_ng::from_value(entry.clone()) {
                Ok(limit) => limit,
                Err(error) => {
                    faults.push(format!("{section}.{name}: {error}"));
                    continue;
                }
            };
            faults.extend(limit.faults().into_iter().map(|fault| format!("{section}.{name}: {fault}")));
            if name == OTHERS {
                read.others = Some(limit);
            } else {
                read.named.insert(name.into(), limit);
            }
        }
        read
    }
}

fn shown(value: &Value) -> String {
    let text = serde_yaml_ng::to_string(value).unwrap_or_default();
    format!("`{}`", text.trim())
}
