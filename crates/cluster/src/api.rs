//! The JSON that gateways and the scheduler exchange: `POST /schedule`, `/release` and `/report`, and the greeting of
//! `/keepalive`.
//!
//! The Go programs on the other side write a missing list as `null` and a missing word as `""`; both are read, and written
//! where they write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::blocks::TextBlocks;

/// What an instance is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InferType {
    /// Prefill and decode.
    #[default]
    Neutral,
    /// Computes prompts for others.
    Prefill,
    /// Generates from prompts computed elsewhere.
    Decode,
}

impl InferType {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Neutral, Self::Prefill, Self::Decode];

    /// The word in records, JSON and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Neutral => "neutral",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

impl fmt::Display for InferType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no [`InferType`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of neutral, prefill and decode")]
pub struct UnknownInferType(pub String);

impl FromStr for InferType {
    type Err = UnknownInferType;

    fn from_str(text: &str) -> Result<Self, UnknownInferType> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or_else(|| UnknownInferType(text.to_owned()))
    }
}

/// How many instances a request is placed on, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SchedulingMode {
    /// On one neutral instance.
    #[default]
    #[serde(rename = "neutral", alias = "")]
    Neutral,
    /// On a prefill and a decode instance, both at once.
    #[serde(rename = "pd_batch")]
    PdBatch,
    /// On a prefill instance first, on a decode instance when that is done.
    #[serde(rename = "pd_staged")]
    PdStaged,
}

/// Which half of a request is placed, in [`SchedulingMode::PdStaged`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchedulingStage {
    /// The first.
    Prefill,
    /// The second.
    Decode,
}

/// A request to place (`/schedule`), or one that has been (`/schedule`'s answer, `/release`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulingRequest {
    /// The request's id: what engines list in their status.
    pub id: String,
    /// The model that is asked for.
    #[serde(default)]
    pub model: String,
    /// Which gateway asks, as [`Endpoint`] is written: its end of the `/keepalive` connection.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gateway_id: String,
    /// How many instances are wanted.
    #[serde(default)]
    pub scheduling_mode: SchedulingMode,
    /// Which one is wanted now; written as `""` where there is none.
    #[serde(default, with = "blank")]
    pub scheduling_stage: Option<SchedulingStage>,
    /// Tokens of the prompt.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub prompt_num_tokens: u64,
    /// The tokens themselves, where the gateway passes them on.
    #[serde(default, deserialize_with = "null_is_default", serialize_with = "empty_is_null")]
    pub prompt_token_ids: Vec<u32>,
    /// Hashes of the prompt's text, where the tokens are not known. Not upstream's, and not part of an answer.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Option::is_none")]
    pub prompt_text: Option<TextBlocks>,
    /// Ids of instances that failed it, not to be chosen again. Not upstream's: it ignores members that it does not know.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub excluded_instances: Vec<String>,
    /// Where it goes.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub scheduling_result: Vec<LlmInstance>,
    /// What the scheduler expects of it there, and asks to be told the truth of. Not upstream's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Times>,
}

/// Times of one request, in microseconds from its placement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// To its first token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_us: Option<u64>,
    /// From there to its last one, for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpot_us: Option<u64>,
}

impl SchedulingRequest {
    /// The instance of a type that it was placed on.
    #[must_use]
    pub fn placed_on(&self, infer_type: InferType) -> Option<&LlmInstance> {
        self.scheduling_result.iter().find(|instance| instance.infer_type == infer_type)
    }
}

/// Where a scheduler that announced [`TAKES_BATCHES`] takes a [`Batch`]; Candor's own, upstream has none.
pub const BATCH_PATH: &str = "/batch";

/// The header by which a scheduler's answer to `/keepalive` says that it takes batches.
pub const TAKES_BATCHES: &str = "x-candor-takes-batches";

/// What one gateway has for the scheduler at one moment, in one exchange: a gateway under load would spend more on an exchange
/// for each request than on the request. What is released is released before anything is placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch<T> {
    /// As bodies of `/release` are; `id` and `scheduling_result` are enough.
    #[serde(default = "Vec::new")]
    pub release: Vec<SchedulingRequest>,
    /// As bodies of `/schedule` are.
    #[serde(default = "Vec::new")]
    pub schedule: Vec<T>,
}

/// What became of one request to place in a [`Batch`]. The answer to it is a list of these, in the order of the requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The status that `/schedule` would have answered.
    pub status: u16,
    /// Where the request goes, with status 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scheduling_result: Vec<LlmInstance>,
    /// What the scheduler expects of it there, and asks to be told the truth of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Times>,
    /// Why it goes nowhere, with any other status.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// An instance that requests can be sent to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LlmInstance {
    /// Grows when the instance starts anew.
    #[serde(default)]
    pub version: i64,
    /// Its id.
    pub id: String,
    /// The model it serves.
    #[serde(default)]
    pub model: String,
    /// What it is used for.
    pub infer_type: InferType,
    /// Where requests go.
    pub endpoint: Endpoint,
    /// Address for KV transfer.
    #[serde(default)]
    pub aux_ip: String,
    /// Its port.
    #[serde(default)]
    pub aux_port: i64,
    /// Data-parallel rank.
    #[serde(default)]
    pub dp_rank: i64,
    /// Ranks there are.
    #[serde(default)]
    pub dp_size: i64,
}

/// A host and a port. Also what a gateway greets the scheduler with: its own end of the `/keepalive` connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint {
    /// A name or an address, IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// One line of `/report`, whose body is an array of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportEvent {
    /// What happened.
    pub kind: ReportKind,
    /// To which request.
    pub id: String,
    /// The model it asked for.
    #[serde(default)]
    pub model: String,
    /// Of which store the instance is.
    pub infer_type: InferType,
    /// Where it runs.
    pub instance_id: String,
    /// Which gateway reports.
    #[serde(default)]
    pub gateway_id: String,
    /// Tokens it has by now, prompt and generated.
    #[serde(default)]
    pub num_tokens: u64,
    /// What the scheduler expected of it. Not upstream's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Times>,
    /// What it was in truth. Not upstream's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Times>,
}

/// What a [`ReportEvent`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// It has more tokens.
    StateUpdate,
    /// Its first token is there.
    PrefillDone,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Go's empty lists arrive as `null`.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// And are written so.
fn empty_is_null<S: serde::Serializer>(list: &[u32], serializer: S) -> Result<S::Ok, S::Error> {
    if list.is_empty() { serializer.serialize_none() } else { list.serialize(serializer) }
}

/// Go's empty words.
mod blank {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::SchedulingStage;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Word {
        Known(SchedulingStage),
        Text(String),
        Null(()),
    }

    #[expect(clippy::ref_option, reason = "serde passes fields by reference")]
    pub(super) fn serialize<S: Serializer>(stage: &Option<SchedulingStage>, serializer: S) -> Result<S::Ok, S::Error> {
        match stage {
            Some(stage) => stage.serialize(serializer),
            None => serializer.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SchedulingStage>, D::Error> {
        match Word::deserialize(deserializer)? {
            Word::Known(stage) => Ok(Some(stage)),
            Word::Null(()) => Ok(None),
            Word::Text(text) if text.is_empty() => Ok(None),
            Word::Text(text) => Err(serde::de::Error::unknown_variant(&text, &["prefill", "decode", ""])),
        }
    }
}

#[cfg(test)]
mod tests;
