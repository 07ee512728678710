//! A client's body made ready for an engine.
//!
//! The bytes go on as they came, but for the members that must change: hosts that only a coordinator may name are removed,
//! and a stream is asked to report its usage. What was asked for beyond the client's own wish is remembered
//! ([`Prepared::hide`]), to be taken out of the answer again.

use std::sync::Arc;

use bytes::Bytes;
use cluster::blocks::TextBlocks;
use openai::usage::HideUsage;
use openai::{Api, Body, BodyError, Head};
use pd::hosts;

use crate::prompt::PromptTokens;

/// A body ready to be sent, and what was learnt of it.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What the engine gets.
    pub(crate) body: Bytes,
    /// The model that the client asked for.
    pub(crate) model: Option<String>,
    /// Whether the client wants an event stream.
    pub(crate) stream: bool,
    /// What the engine will say that the client did not ask for.
    pub(crate) hide: HideUsage,
    /// How long its prompt is.
    pub(crate) prompt: PromptTokens,
    /// What it is made of, where that is known and schedulers are to be told.
    pub(crate) prompt_ids: Option<Arc<[u32]>>,
    /// Its text in blocks, where what it is made of is not known and schedulers are to be told.
    pub(crate) prompt_text: Option<TextBlocks>,
}

/// Proves that a body is a JSON object, and takes out the members that name hosts.
///
/// # Errors
/// Where it is none, with the byte offset.
pub(crate) fn parse(bytes: Bytes) -> Result<Body, BodyError> {
    without_hosts(Body::parse(bytes)?)
}

/// Reads and edits a body. `exact` asks a stream for a running token count on every chunk.
///
/// # Errors
/// Where a member that the gateway reads has the wrong type; with the byte offset.
pub(crate) fn prepare(api: Api, body: &Body, prompt: PromptTokens, exact: bool) -> Result<Prepared, BodyError> {
    let head = body.head(api)?;
    let hide = hidden(api, &head, exact);
    let mut edit = body.edit();
    if hide.last {
        edit = edit.set_in("stream_options", "include_usage", &b"true"[..]);
    }
    if hide.continuous {
        edit = edit.set_in("stream_options", "continuous_usage_stats", &b"true"[..]);
    }
    let model = head.model.as_deref().map(str::to_owned);
    let stream = head.stream && api != Api::Embeddings;
    Ok(Prepared { body: edit.build(), model, stream, hide, prompt, prompt_ids: None, prompt_text: None })
}

/// The same body without members that name hosts. Few bodies have any, so a second parse is paid for by those only.
fn without_hosts(body: Body) -> Result<Body, BodyError> {
    let clean = hosts::strip(&body);
    if clean.len() == body.bytes().len() { Ok(body) } else { Body::parse(clean) }
}

/// What has to be asked for that the client did not. The APIs of typed events always report their usage, and have no option
/// for it.
fn hidden(api: Api, head: &Head<'_>, exact: bool) -> HideUsage {
    let optional = matches!(api, Api::ChatCompletions | Api::Completions);
    if !head.stream || !optional {
        return HideUsage::default();
    }
    HideUsage { last: !head.include_usage, continuous: exact && !head.continuous_usage_stats }
}

#[cfg(test)]
mod tests;
