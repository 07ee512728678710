//! What there is: series, labels, metadata.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::answer::{Answer, ApiError};
use super::params::Params;
use crate::metrics::Labels;
use crate::state::State;

type Result<T> = std::result::Result<T, ApiError>;

/// `/series`.
pub(super) fn series(state: &State, params: &Params) -> Result<Answer> {
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let found: Vec<Labels> = matching(state, params)?.into_iter().collect();
    let (found, more) = limited(found, params)?;
    Ok(cut(Answer::of(json!(found)), more))
}

/// `/labels`.
pub(super) fn labels(state: &State, params: &Params) -> Result<Answer> {
    let names: BTreeSet<Arc<str>> = match everything(params) {
        true => state.metrics.label_names(),
        false => matching(state, params)?.iter().flat_map(Labels::iter).map(|(name, _)| Arc::from(name)).collect(),
    };
    let (names, more) = limited(names.iter().map(|name| &**name).collect(), params)?;
    Ok(cut(Answer::of(json!(names)), more))
}

/// `/label/<name>/values`.
pub(super) fn values(state: &State, name: &str, params: &Params) -> Result<Answer> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if name.is_empty() || !name.chars().all(legal) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(ApiError::bad_data(format!("invalid label name: {name:?}")));
    }
    let values: BTreeSet<Arc<str>> = match everything(params) {
        true => state.metrics.label_values(name),
        false => matching(state, params)?.iter().filter_map(|labels| labels.shared(name).cloned()).collect(),
    };
    let (values, more) = limited(values.iter().map(|value| &**value).collect(), params)?;
    Ok(cut(Answer::of(json!(values)), more))
}

/// `/metadata`.
pub(super) fn metadata(state: &State, params: &Params) -> Result<Answer> {
    let most = params.count("limit")?.unwrap_or(usize::MAX);
    let wanted = params.text("metric");
    let families =
        state.metrics.metadata().into_iter().filter(|(name, _)| wanted.is_none_or(|wanted| **name == *wanted));
    let data: Map<String, Value> =
        families.take(most).map(|(name, metadata)| (name.to_string(), json!([metadata]))).collect();
    Ok(Answer::of(Value::Object(data)))
}

/// Whether the question is about all series at all times, which needs no look at any of them.
fn everything(params: &Params) -> bool {
    ["match[]", "start", "end"].iter().all(|name| params.text(name).is_none())
}

/// The series of any of the selectors, all where there is none.
fn matching(state: &State, params: &Params) -> Result<BTreeSet<Labels>> {
    let (start, end) = params.range()?;
    let mut selectors = params.selectors()?;
    if selectors.is_empty() {
        selectors.push(Vec::new());
    }
    Ok(selectors.iter().flat_map(|matchers| state.metrics.series(matchers, start, end)).collect())
}

/// At most `limit` of them, and whether there were more.
fn limited<T>(mut found: Vec<T>, params: &Params) -> Result<(Vec<T>, bool)> {
    let most = params.count("limit")?.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let more = found.len() > most;
    found.truncate(most);
    Ok((found, more))
}

fn cut(answer: Answer, more: bool) -> Answer {
    if more { answer.warn("results truncated due to limit".to_owned()) } else { answer }
}
